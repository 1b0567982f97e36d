"""A config file that somebody else could have written runs no command and names no server."""

import grp
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crontify_cli.config import load
from crontify_cli.config.keys import KEYS
from crontify_cli.config.kinds import BASE_URL, COMMAND, HEADERS, PATH, PROXY, SECRET, SMTP_URL
from crontify_cli.config.trust import UNTRUSTED, who_can_change
from tests.conftest import Crontify
from tests.programs import need
from tests.server import KEY, ApiServer
from tests.users import User

JOB = ("--", "sh", "-c", "echo out; exit 7")


@pytest.fixture
def other() -> Iterator[ApiServer]:
    """Another server, which is to get nothing."""
    with ApiServer() as server:
        yield server


@pytest.fixture
def config(home: Path) -> Path:
    """The place of the user's config file, in a folder of its own."""
    path = home / ".config/crontify/config.toml"
    path.parent.mkdir(parents=True, mode=0o700)
    return path


def write(config: Path, text: str, mode: int = 0o600) -> None:
    config.write_text(text)
    config.chmod(mode)


def command(tmp_path: Path) -> str:
    """Return a setting's value: a command that prints the key, and leaves a trace that it ran."""
    return json.dumps(["sh", "-c", f"touch {tmp_path}/ran; echo {KEY}"])


def test_a_config_of_another_user_is_not_read(
    crontify: Crontify, api: ApiServer, bob: User, tmp_path: Path
) -> None:
    """As after `sudo -E`: his commands would run as root, and root's key would go to his server."""
    content = f'api_key_command = {command(tmp_path)}\nbase_url = "{api.url}"\n'
    content += "[monitors.his-alias]\n"
    bob.run(
        "sh", "-ec", "mkdir -p .config/crontify; cat > .config/crontify/config.toml", input=content
    )
    file = bob.home / ".config/crontify/config.toml"
    env = {"HOME": str(bob.home), "CRONTIFY_STATE_DIR": str(tmp_path / "state")}
    env |= {"CRONTIFY_API_KEY": KEY, "CRONTIFY_BASE_URL": api.url}
    said = f"{file} is not read: it belongs to another user (uid {bob.uid})"
    done = crontify("exec", "backup", *JOB, env=env)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert done.stderr.count(said) == 1
    assert "the report is not sent" in done.stderr
    check = crontify("config", "check", env=env)
    assert (check.returncode, check.stderr.count(said)) == (1, 1)
    assert api.requests == []
    checks = json.loads(crontify("doctor", "--json", env=env).stdout)
    (found,) = [each for each in checks if each["check"] == "config"]
    assert (found["result"], found["found"].startswith(said)) == ("failure", True)
    assert "his-alias" not in crontify("__complete", "monitors", env=env).stdout
    assert not (tmp_path / "ran").exists()
    api.requests.clear()  # the doctor has asked whether the server is there, without a key
    os.chown(file, 0, 0)
    flush = crontify("flush", env=env)  # the folder is still bob's; key and server are not his
    assert f"{file.parent} belongs to another user (uid {bob.uid})" in flush.stderr
    assert not (tmp_path / "ran").exists()
    assert api.kinds() == ["fail"]


def test_nothing_is_written_to_the_config_folder_of_another_user(
    crontify: Crontify, bob: User, tmp_path: Path
) -> None:
    bob.shell(
        f"mkdir -p .config/crontify; ln -s {tmp_path}/made .config/crontify/.config.toml.lock"
    )
    before = sorted(path.name for path in bob.home.rglob("*"))
    env = {"HOME": str(bob.home), "EDITOR": "true"}
    for args in (["set", "keep_days", "30"], ["edit"]):
        done = crontify("config", *args, env=env)
        assert done.returncode == 1
        assert f"crontify belongs to another user (uid {bob.uid}), so nothing" in done.stderr
    assert sorted(path.name for path in bob.home.rglob("*")) == before
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("loose", ["file", "folder"])
def test_a_config_that_others_can_write_runs_no_command(
    crontify: Crontify, api: ApiServer, config: Path, tmp_path: Path, loose: str
) -> None:
    write(config, f"api_key_command = {command(tmp_path)}\ntoken_command = {command(tmp_path)}\n")
    place = config if loose == "file" else config.parent
    place.chmod(0o722)
    env = {"CRONTIFY_BASE_URL": api.url}
    said = (
        f"{config}: api_key_command, token_command are not used:"
        f" others can write to {place} (mode 0722); run: chmod go-w {place}"
    )
    done = crontify("exec", "backup", *JOB, env=env)
    assert (done.returncode, done.stderr.count(said)) == (7, 1), done.stderr
    check = crontify("config", "check", env=env)
    assert (check.returncode, check.stderr.count(said)) == (1, 1)
    assert api.requests == []
    checks = json.loads(crontify("doctor", "--json", env=env).stdout)
    assert {each["advice"] for each in checks if each["check"] == "config"} == {
        f"chmod go-w {place}"
    }
    assert not (tmp_path / "ran").exists()
    api.requests.clear()  # the doctor has asked whether the server is there, without a key
    subprocess.run(["chmod", "go-w", place], check=True)
    assert crontify("flush", env=env).returncode == 0
    assert api.kinds() == ["fail"]


@pytest.mark.parametrize("key", ["base_url", "proxy", "ca_bundle"])
def test_a_server_that_others_could_have_named_gets_nothing_and_nor_does_any_other(
    crontify: Crontify, api: ApiServer, other: ApiServer, config: Path, key: str
) -> None:
    """The report waits: the key is sent only to the server that it was configured for."""
    values = {"base_url": other.url, "proxy": other.url, "ca_bundle": "/etc/ssl/other.pem"}
    write(config, f'{key} = "{values[key]}"\n', 0o666)
    env = {"CRONTIFY_API_KEY": KEY}
    env |= {} if key == "base_url" else {"CRONTIFY_BASE_URL": api.url}
    done = crontify("exec", "backup", *JOB, env=env)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert f"{config}: {key} is not used: others can write to {config} (mode 0666)" in done.stderr
    assert "the report is not sent" in done.stderr
    assert crontify("flush", env=env).returncode == 1
    assert crontify("config", "get", key, env=env).stdout.strip() != values[key]
    assert (api.requests, other.requests) == ([], [])
    settings = load(str(config), {}).settings
    assert (settings.base_url == "", settings.proxy, settings.ca_bundle) == (
        key == "base_url",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("api_key", '"ck_live_of_their_own"'),
        ("api_key_file", '"secret"'),
        ("headers", '{ X-Team = "theirs" }'),
        ("allow_http", "true"),
    ],
)
def test_what_others_could_have_added_to_a_request_is_not_sent(
    crontify: Crontify, api: ApiServer, config: Path, key: str, value: str
) -> None:
    """Not their key, with which they would get the log, and no file that only we can read."""
    write(config.parent / "secret", "only for root\n")
    write(config, f"{key} = {value}\n", 0o666)
    env = {"CRONTIFY_BASE_URL": api.url}
    said = f"{config}: {key} is not used: others can write to {config} (mode 0666)"
    done = crontify("exec", "backup", *JOB, env=env)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert said in done.stderr
    assert api.requests == []
    write(config, "")
    assert crontify("flush", env={**env, "CRONTIFY_API_KEY": KEY}).returncode == 0
    assert api.kinds() == ["fail"]


@pytest.mark.parametrize("setting", ['token_file = "secret"', 'token = "theirs"'])
def test_no_token_is_sent_that_others_could_have_named(
    crontify: Crontify, api: ApiServer, config: Path, setting: str
) -> None:
    write(config.parent / "secret", "only for root\n")
    write(config, f"{setting}\n", 0o666)
    done = crontify("logs", "backup", "clx8f3k2m0000", env={"CRONTIFY_BASE_URL": api.url})
    assert (done.returncode, api.requests) == (1, [])
    assert f"{config}: {setting.split()[0]} is not used" in done.stderr


def test_whatever_names_a_file_a_command_or_a_server_is_not_taken_from_others() -> None:
    dangerous = (PATH, COMMAND, SECRET, HEADERS, BASE_URL, PROXY, SMTP_URL)
    assert {key.name for key in KEYS if key.kind in dangerous} <= set(UNTRUSTED)


def test_no_file_is_replaced_that_others_could_have_named(
    crontify: Crontify, api: ApiServer, config: Path, tmp_path: Path
) -> None:
    write(config, f'metrics_file = "{tmp_path}/made.prom"\n', 0o622)
    env = {"CRONTIFY_BASE_URL": api.url, "CRONTIFY_API_KEY": KEY}
    done = crontify("exec", "backup", *JOB, env=env)
    assert f"{config}: metrics_file is not used: others can write to {config}" in done.stderr
    assert api.kinds() == ["start", "fail"]
    assert not (tmp_path / "made.prom").exists()


def test_what_others_can_write_but_names_no_command_and_no_server_is_a_warning(
    crontify: Crontify, api: ApiServer, config: Path
) -> None:
    write(config, "keep_days = 7\n", 0o622)
    env = {"CRONTIFY_BASE_URL": api.url, "CRONTIFY_API_KEY": KEY}
    said = f"{config}: others can write to {config} (mode 0622); run: chmod go-w {config}"
    done = crontify("exec", "backup", *JOB, env=env)
    assert done.stderr.count(said) == 1
    assert api.kinds() == ["start", "fail"]
    check = crontify("config", "check", env=env)
    assert (check.returncode, check.stderr.count(said)) == (0, 1)
    assert crontify("config", "get", "keep_days", env=env).stdout == "7\n"
    checks = json.loads(crontify("doctor", "--json", env=env).stdout)
    assert f"chmod go-w {config}" in [each["advice"] for each in checks if each["check"] == "modes"]


def test_a_setting_of_the_environment_replaces_the_one_that_others_could_have_written(
    crontify: Crontify, api: ApiServer, other: ApiServer, config: Path
) -> None:
    write(config, f'base_url = "{other.url}"\n', 0o666)
    env = {"CRONTIFY_BASE_URL": api.url, "CRONTIFY_API_KEY": KEY}
    assert crontify("exec", "backup", *JOB, env=env).returncode == 7
    assert (api.kinds(), other.requests) == (["start", "fail"], [])


def test_a_config_of_roots_counts_for_every_user(api: ApiServer, bob: User, tmp_path: Path) -> None:
    file = bob.home.parent / f"{bob.home.name}.toml"
    try:
        file.write_text(f'api_key = "{KEY}"\nbase_url = "{api.url}"\n')
        file.chmod(0o644)
        done = bob.crontify("exec", "backup", *JOB, env={"CRONTIFY_CONFIG": str(file)})
    finally:
        file.unlink()
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert api.kinds() == ["start", "fail"], done.stderr


def changeable(path: Path) -> str:
    return who_can_change(str(path), path.stat())


def test_who_can_change_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o755)
    file = folder / "config.toml"
    write(file, "", 0o644)
    assert changeable(file) == ""
    os.chown(file, 0, 54321)
    file.chmod(0o664)
    assert "(mode 0664)" in changeable(file)
    os.chown(file, 0, 0)
    assert pwd.getpwuid(0).pw_name == grp.getgrgid(0).gr_name  # a group of its user alone
    assert changeable(file) == ""
    file.chmod(0o602)
    assert "(mode 0602)" in changeable(file)
    file.chmod(0o600)
    folder.chmod(0o777)
    assert f"others can write to {folder} (mode 0777)" in changeable(file)
    folder.chmod(0o1777)  # as /tmp: nobody can replace the file of another user
    assert changeable(file) == ""
    folder.chmod(0o755)
    os.chown(folder, 54321, 0)
    assert f"{folder} belongs to another user (uid 54321)" in changeable(file)


def test_the_folder_of_a_link_and_that_of_its_target_count(tmp_path: Path) -> None:
    for name in ("links", "targets"):
        (tmp_path / name).mkdir(mode=0o755)
    target, link = tmp_path / "targets/config.toml", tmp_path / "links/config.toml"
    write(target, "")
    link.symlink_to(target)
    assert changeable(link) == ""
    for loose in (link.parent, target.parent):
        loose.chmod(0o777)
        assert str(loose) in changeable(link)
        loose.chmod(0o755)


def test_a_config_map_is_mounted_read_only(tmp_path: Path) -> None:
    """Its folder has mode 0777 in Kubernetes."""
    need("unshare", "mount")
    folder = tmp_path / "map"
    folder.mkdir()
    code = (
        "import sys, os; from crontify_cli.config.trust import who_can_change as who;"
        f"print(who({str(folder / 'c')!r}, os.stat({str(folder / 'c')!r})))"
    )
    script = (
        f"mount -t tmpfs -o mode=0777 tmpfs {folder}; touch {folder}/c; chmod 644 {folder}/c; "
        '"$@"; mount -o remount,ro tmpfs '
        f'{folder}; "$@"'
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script, "sh", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    if "mount:" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"may not mount here: {done.stderr.strip()}")
    first, second = done.stdout.split("\n")[:2]
    assert (f"others can write to {folder} (mode 0777)" in first, second) == (True, "")
