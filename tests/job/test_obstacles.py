"""A setting that is wrong for now costs no outcome, and sends nothing to the wrong place."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Crontify
from tests.server import KEY, ApiServer, Request, bound

RIGHT = 'api_key = "{key}"\nbase_url = "{url}"\n'
"""The config file, once it is corrected."""
BROKEN = {
    "syntax": 'api_key = "{key}\nbase_url = "{url}"\n',
    "base_url": 'api_key = "{key}"\nbase_url = "htp://127.0.0.1:1/api/v1"\n',
    "base_url-typo": 'api_key = "{key}"\nbase_urll = "{url}"\n',
    "api_key": 'api_key = "{key} y"\nbase_url = "{url}"\n',
    "api_key-typo": 'apikey = "{key}"\nbase_url = "{url}"\n',
    "api_key-below": 'base_url = "{url}"\n[monitors.backup]\napi_key = "{key}"\n',
    "key-file": 'api_key_file = "/no/such/key"\nbase_url = "{url}"\n',
    "proxy": RIGHT + 'proxy = "nowhere"\n',
    "ca_bundle": RIGHT + "ca_bundle = 7\n",
    "headers": RIGHT + 'headers = {{ "X Y" = "1" }}\n',
    "allow_http": RIGHT + 'allow_http = "yes"\n',
    "id": RIGHT + '[monitors.backup]\nid = "a/b"\n',
    "section": RIGHT + "[monitors]\nbackup = 7\n",
    "redact": RIGHT + 'redact = ["("]\n',
    "own-redact": RIGHT + '[monitors.backup]\nredact = ["("]\n',
}


@pytest.fixture
def config(home: Path) -> Path:
    file = home / ".config/crontify/config.toml"
    file.parent.mkdir(parents=True)
    file.touch(0o600)
    return file


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Let the default base URL, should it be used, be found at a proxy where nobody answers."""
    with bound() as sock:
        yield {"https_proxy": f"http://127.0.0.1:{sock.getsockname()[1]}"}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=list(BROKEN))
def test_an_outcome_waits_until_the_settings_are_right(
    crontify: Crontify,
    api: ApiServer,
    config: Path,
    state: Path,
    elsewhere: dict[str, str],
    broken: str,
) -> None:
    """Then the monitor's next run reports it, or else a flush, and neither does it again."""
    config.write_text(broken.format(key=KEY, url=api.url))
    done = crontify("exec", "backup", "--", "sh", "-c", "echo why; exit 3", env=elsewhere)
    assert done.returncode == 3
    assert api.connections == 0
    assert "not sent" in done.stderr
    assert "no API key" not in done.stderr
    assert len(set(done.stderr.splitlines())) == len(done.stderr.splitlines()), "said once"
    shutil.copytree(state, state.with_name("copy"))
    config.write_text(RIGHT.format(key=KEY, url=api.url))
    assert crontify("exec", "backup", "--", "true").returncode == 0
    check(api.accepted[0])
    assert crontify("flush").returncode == 0
    assert [request.kind for request in api.accepted].count("fail") == 1
    shutil.rmtree(state)
    state.with_name("copy").rename(state)
    api.accepted.clear()
    assert crontify("flush").returncode == 0
    (fail,) = api.accepted
    check(fail)


def check(fail: Request) -> None:
    assert (fail.kind, fail.path) == ("fail", "/api/v1/ping/backup/fail")
    assert "exited with code 3" in fail.json["errorMessage"]
    assert fail.json["errorMessage"].endswith(": why")


def test_an_unreadable_config_waits_too(
    crontify: Crontify, api: ApiServer, env: dict[str, str], tmp_path: Path
) -> None:
    missing = {**env, "CRONTIFY_CONFIG": str(tmp_path / "later.toml")}
    assert crontify("exec", "backup", "--", "false", env=missing).returncode == 1
    assert api.requests == []
    (tmp_path / "later.toml").touch()
    assert crontify("flush", env=missing).returncode == 0
    assert [request.kind for request in api.accepted] == ["fail"]


def test_a_config_on_a_disk_that_is_not_mounted_waits_too(
    crontify: Crontify, api: ApiServer, config: Path, tmp_path: Path
) -> None:
    config.unlink(missing_ok=True)
    config.symlink_to(tmp_path / "mounted.toml")
    assert crontify("exec", "backup", "--", "false").returncode == 1
    assert api.requests == []
    (tmp_path / "mounted.toml").write_text(RIGHT.format(key=KEY, url=api.url))
    assert crontify("flush").returncode == 0
    assert [request.kind for request in api.accepted] == ["fail"]


@pytest.mark.parametrize(
    ("name", "value"), [("CRONTIFY_API_KEY", "ck_live_x y"), ("CRONTIFY_BASE_URL", "htp://x/api")]
)
def test_a_wrong_variable_waits_too(
    crontify: Crontify, api: ApiServer, env: dict[str, str], name: str, value: str
) -> None:
    done = crontify("exec", "backup", "--", "false", env={**env, name: value})
    assert name in done.stderr
    assert api.requests == []
    assert crontify("flush", env=env).returncode == 0
    assert [request.kind for request in api.accepted] == ["fail"]


def test_a_config_without_a_key_is_local_only(
    crontify: Crontify, api: ApiServer, config: Path
) -> None:
    config.write_text(f'base_url = "{api.url}"\n')
    done = crontify("exec", "backup", "--", "false")
    assert "no API key, so nothing is reported" in done.stderr
    config.write_text(RIGHT.format(key=KEY, url=api.url))
    assert crontify("flush").returncode == 0
    assert api.requests == []


@pytest.mark.parametrize(
    "more",
    [
        '[monitors.other]\nid = "a/b"\n',
        'timeout = "soon"\n',
        "keep_runz = 1\n",
        'token = "a b"\n',
        'api_keyy_file = "/no/such"\n',
    ],
)
def test_what_a_report_does_not_need_is_no_obstacle(
    crontify: Crontify, api: ApiServer, config: Path, more: str
) -> None:
    config.write_text(RIGHT.format(key=KEY, url=api.url) + more)
    done = crontify("exec", "backup", "--", "false")
    assert str(config) in done.stderr
    assert [request.kind for request in api.accepted] == ["start", "fail"]


def test_an_upper_level_makes_a_wrong_lower_one_irrelevant(
    crontify: Crontify, api: ApiServer, env: dict[str, str], config: Path
) -> None:
    config.write_text('api_key = "a b"\nbase_url = "htp://x"\n')
    crontify("exec", "backup", "--", "false", env=env)
    assert [request.kind for request in api.accepted] == ["start", "fail"]


@pytest.mark.parametrize("command", [("flush",), ("ping", "start", "backup")])
@pytest.mark.parametrize("name", ["syntax", "base_url", "proxy", "api_key"])
def test_a_command_says_what_is_wrong_and_sends_nothing(
    crontify: Crontify,
    api: ApiServer,
    config: Path,
    elsewhere: dict[str, str],
    name: str,
    command: tuple[str, ...],
) -> None:
    config.write_text(BROKEN[name].format(key=KEY, url=api.url))
    done = crontify(*command, env=elsewhere)
    assert done.returncode == 1
    assert "nothing was sent: correct the settings first" in done.stderr
    assert str(config) in done.stderr
    assert api.connections == 0


@pytest.mark.parametrize("broken", ["syntax", "base_url", "key-file", "section", "own-redact"])
def test_a_ping_waits_until_the_settings_are_right(
    crontify: Crontify, api: ApiServer, config: Path, elsewhere: dict[str, str], broken: str
) -> None:
    """It is masked by the settings of then, and by the environment of now."""
    config.write_text(BROKEN[broken].format(key=KEY, url=api.url))
    options = ("--message", "a tiger", "--meta", "rows=3", "--meta", "share=0.5", "--log", "-")
    env = {**elsewhere, "DB_PASSWORD": "hunter2-hunter2"}
    done = crontify("ping", "fail", "backup", *options, env=env, input=f"hunter2-hunter2 {KEY}\n")
    assert done.returncode == 0
    assert "queued; the next run of backup or 'crontify flush' sends it" in done.stderr
    assert crontify("ping", "fail", "backup", "--no-queue", env=env).returncode == 1
    assert api.connections == 0
    (run,) = json.loads(crontify("runs", "--json").stdout)
    assert (run["outcome"], run["report"]) == ("failed", "queued")
    config.write_text(f"redact = ['tiger']\n{RIGHT.format(key=KEY, url=api.url)}")
    for _ in range(2):
        assert crontify("flush").returncode == 0
    (fail,) = api.requests
    late = fail.json["meta"]["late_seconds"]
    assert fail.json == {
        "errorMessage": f"(reported {late}s late) a [masked]",
        "meta": {"rows": 3, "share": 0.5, "late_seconds": late},
        "logOutput": "[masked] [masked]\n",
    }


def test_a_success_waits_too_and_the_whole_of_a_long_log_counts(
    crontify: Crontify, api: ApiServer, config: Path
) -> None:
    config.write_text(BROKEN["syntax"].format(key=KEY, url=api.url))
    log = "".join(f"line {n}\n" for n in range(300_000)) + "the cause\n"
    assert crontify("ping", "fail", "backup", "--log", "-", input=log).returncode == 0
    assert crontify("ping", "success", "backup", "--meta", "rows=3").returncode == 0
    config.write_text(RIGHT.format(key=KEY, url=api.url))
    assert crontify("flush").returncode == 0
    fail, success = api.requests
    assert "reported by crontify ping fail" in fail.json["errorMessage"]
    assert fail.json["logOutput"].startswith("line 0\n")
    assert fail.json["logOutput"].endswith("the cause\n")
    kept, left_out = re.subn(r"\n\[… [\d,]+ bytes omitted …\]\n", "\n", fail.json["logOutput"])
    assert left_out == 1
    (count,) = re.findall(r"\[… ([\d,]+) bytes", fail.json["logOutput"])
    assert len(kept) + int(count.replace(",", "")) == len(log)
    assert (success.kind, success.json["meta"]["rows"]) == ("success", 3)


def test_a_ping_that_can_be_neither_sent_nor_kept_fails(
    crontify: Crontify, config: Path, tmp_path: Path
) -> None:
    config.write_text(BROKEN["syntax"])
    (tmp_path / "file").touch()
    env = {"CRONTIFY_STATE_DIR": str(tmp_path / "file")}
    done = crontify("ping", "fail", "backup", env=env)
    assert done.returncode == 1
    assert "the ping can be neither sent nor queued: " in done.stderr
