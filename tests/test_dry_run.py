"""`exec --dry-run` tells what would be run and reported, and does neither."""

from pathlib import Path

import pytest

from tests.conftest import Crontify
from tests.server import KEY, ApiServer


@pytest.fixture
def file(home: Path, api: ApiServer, tmp_path: Path) -> Path:
    """A config whose key comes from a command, which leaves a trace."""
    path = home / ".config/crontify/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(
        f'base_url = "{api.url}"\napi_key_command = "touch {tmp_path}/asked"\nredact = ["a"]\n'
        '[headers]\nX-Team = "hunter2"\n'
        '[monitors.nightly]\nid = "clnightly"\ntimeout = "1h"\nredact = ["b"]\n'
    )
    path.chmod(0o600)
    return path


def rows(output: str) -> dict[str, tuple[str, str]]:
    lines = (line.split("\t") for line in output.splitlines())
    return {name: (value, source) for name, value, source in lines}


def test_everything_is_resolved_and_nothing_is_done(
    crontify: Crontify, api: ApiServer, file: Path, tmp_path: Path
) -> None:
    flags = ("--dry-run", "--shell", "-q", "--tolerate", "0", "--redact", "c", "--no-start")
    command = f"touch {tmp_path}/ran; echo 'a  b'"
    done = crontify("exec", *flags, "nightly", "--", command, env={"SHELL": "/bin/sh"})
    assert (done.returncode, done.stderr) == (0, "")
    found, config = rows(done.stdout), f"file:{file}"
    assert found["monitor"] == ("nightly", "argument")
    assert found["id"] == ("clnightly", config)
    assert found["base_url"] == (api.url, config)
    assert found["api_key"] == (f"printed by touch {tmp_path}/asked", f"{file}: api_key_command")
    assert found["command"][0].startswith("/bin/sh -c 'touch ")
    assert found["overlap"] == ("allow", "default")
    assert found["timeout"] == ("1h", config)
    assert found["tolerate"] == ("0", "flag")
    assert found["output"] == ("none", "flag")
    assert found["start"] == ("never", "flag")
    assert found["kill_after"] == ("10s", "default")
    assert found["redact"] == ('["a", "b", "c"]', "flag")
    assert found["headers"] == ('["X-Team"]', config)
    assert "hunter2" not in done.stdout
    assert api.requests == []
    assert not (tmp_path / "asked").exists()
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "home/.local/state").exists()


def test_the_key_itself_is_not_shown(crontify: Crontify, env: dict[str, str]) -> None:
    done = crontify("exec", "--dry-run", "backup", "--", "true", env=env)
    assert rows(done.stdout)["api_key"] == ("set", "CRONTIFY_API_KEY")
    assert KEY[-4:] not in done.stdout
    assert rows(done.stdout)["base_url"][1] == "env:CRONTIFY_BASE_URL"
    by_flag = ("--base-url", "http://127.0.0.1:1", "--api-key-file", "/k")
    found = rows(crontify("exec", "backup", "--dry-run", *by_flag, "true", env=env).stdout)
    assert found["base_url"] == ("http://127.0.0.1:1", "flag")
    assert found["api_key"] == ("in /k", "--api-key-file")


def test_no_start_in_a_config_file_is_shown_as_what_it_means(
    crontify: Crontify, file: Path
) -> None:
    with file.open("a") as config:
        config.write('no_start = true\n[monitors.other]\nno_start = true\nstart = "auto"\n')
    found = rows(crontify("exec", "--dry-run", "nightly", "--", "true").stdout)
    assert found["start"] == ("never", f"file:{file}")
    found = rows(crontify("exec", "--dry-run", "other", "--", "true").stdout)
    assert found["start"] == ("auto", f"file:{file}")


def test_without_a_key_that_is_said(crontify: Crontify) -> None:
    done = crontify("exec", "--dry-run", "backup", "--", "true")
    assert rows(done.stdout)["api_key"] == ("none: nothing is reported", "default")


@pytest.mark.parametrize(
    "args",
    [("backup",), ("--", "true"), ("backup", "--shell", "a", "b"), ("backup", "--timeout=x", "a")],
)
def test_a_usage_error_of_exec_is_one_of_the_dry_run(
    crontify: Crontify, args: tuple[str, ...]
) -> None:
    real, dry = crontify("exec", *args), crontify("exec", "--dry-run", *args)
    assert (real.returncode, dry.returncode) == (2, 2)
    assert (dry.stdout, dry.stderr) == ("", real.stderr)


def test_problems_of_the_settings_are_said_as_by_exec(crontify: Crontify, file: Path) -> None:
    file.write_text('timout = 5\nbase_url = "htp://x"\n')
    done = crontify("exec", "--dry-run", "backup", "--", "true")
    assert done.returncode == 0
    assert "timout: unknown key; did you mean timeout?" in done.stderr
    assert "base_url: invalid URL" in done.stderr
