"""A report is composed from complete information, or left to whoever recovers the run."""

import contextlib
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from crontify_cli import record
from crontify_cli.delivery.journal import Journal
from crontify_cli.state import state_dir
from tests.conftest import Crontify
from tests.job.conftest import Launch
from tests.job.test_slow_settings import slowly
from tests.server import KEY, ApiServer
from tests.waiting import until

SECRET = "hunter2-of-the-key-command"  # has no shape that a mask could know it by


def configure(home: Path, text: str) -> None:
    folder = home / ".config/crontify"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "config.toml").write_text(text)


def has_ended() -> bool:
    """Tell whether the record of the only run says that its job has ended."""
    paths = (Path(state_dir()) / record.LIVE).glob("*.rec")
    try:
        return [record.Record(path.read_bytes()).state for path in paths] == [record.ENDED]
    except ValueError:
        return False  # it is just being made


def terminated(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Send TERM until the process has ended, and return its output.

    The first wait that TERM ends is followed by another, and two signals that arrive
    together are one.
    """
    for _ in range(100):
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=0.25)
    raise AssertionError("TERM does not end it")


def everything_kept(home: Path) -> str:
    """Return what the state directory has beside the records of runs not reported yet."""
    state = Path(state_dir())
    files = [path for path in state.rglob("*") if path.is_file() and path.parent.name != "live"]
    return "".join(path.read_bytes().decode("utf-8", "replace") for path in files)


def test_a_key_that_comes_late_is_still_masked(
    launch: Launch, api: ApiServer, crontify: Crontify, home: Path, tmp_path: Path
) -> None:
    """Without the key nothing is stored or sent: it could not be masked."""
    go = tmp_path / "go"
    command = tmp_path / "key"
    command.write_text(f"#!/bin/sh\nwhile [ ! -e {go} ]; do sleep .05; done\necho {SECRET}\n")
    command.chmod(stat.S_IRWXU)
    configure(home, f'report_timeout = 1\napi_key_command = ["{command}"]\n')
    env = {"CRONTIFY_API_KEY": ""}
    api.key = SECRET
    process = launch("--", "sh", "-c", f"echo the key is {SECRET} >&2; exit 7", env=env)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 7
    assert "crontify flush" in err
    assert SECRET not in everything_kept(home)
    assert api.requests == []
    go.touch()
    done = crontify("flush", env={"CRONTIFY_BASE_URL": api.url})
    assert done.returncode == 0, done.stderr
    (fail,) = api.accepted
    assert fail.headers["x-api-key"] == SECRET
    assert SECRET not in fail.body.decode()
    assert fail.json["logOutput"] == "the key is [masked]\n"
    assert fail.json["meta"]["exit_code"] == 7
    assert SECRET not in everything_kept(home)


def test_a_run_whose_settings_come_too_late_is_reported_as_they_say(
    launch: Launch, api: ApiServer, crontify: Crontify, home: Path, tmp_path: Path
) -> None:
    """TERM ends the wait for them; the alias, the address and the redaction still count."""
    configure(
        home,
        f'base_url = "{api.url}"\napi_key = "{KEY}"\n'
        '[monitors.backup]\nid = "clbackup"\nredact = ["pass=\\\\S+"]\nsuccess_codes = "0,24"\n',
    )
    env = {"CRONTIFY_API_KEY": "", "CRONTIFY_BASE_URL": "", **slowly("tomllib", 30, tmp_path)}
    process = launch("--", "sh", "-c", "echo pass=geheim; exit 9", env=env)
    until(has_ended, "the record says that the job has ended")
    _, err = terminated(process)
    assert process.returncode == 9
    assert "could not be read in time" in err
    assert crontify("flush").returncode == 0
    (fail,) = api.accepted
    assert fail.path.endswith("/ping/clbackup/fail")
    assert "geheim" not in fail.body.decode()
    assert "exited with code 9" in fail.json["errorMessage"]
    (row,) = Journal.open(state_dir()).runs()
    assert (row.base_url, row.monitor_id, row.outcome) == (api.url, "clbackup", "fail")


@pytest.mark.parametrize(
    ("flags", "code", "kind"),
    [
        ((), 0, "success"),
        ((), 24, "success"),
        ((), 7, "fail"),
        (("--success-codes", "7"), 7, "success"),
        (("--min-duration", "1h"), 0, "fail"),
        (("--timeout", "0.2"), 124, "fail"),
    ],
)
def test_a_run_left_to_recovery_is_judged_by_its_flags_and_the_settings(
    launch: Launch,
    api: ApiServer,
    crontify: Crontify,
    home: Path,
    tmp_path: Path,
    flags: tuple[str, ...],
    code: int,
    kind: str,
) -> None:
    configure(home, '[monitors.backup]\nsuccess_codes = "0,24"\n')
    key = tmp_path / "key"
    env = {"CRONTIFY_API_KEY": "", "CRONTIFY_API_KEY_FILE": str(key)}
    script = "sleep 60" if code == 124 else f"exit {code}"
    process = launch(*flags, "--", "sh", "-c", script, env=env)
    assert process.wait(60) == code
    assert api.requests == []
    key.write_text(KEY)
    env = {"CRONTIFY_BASE_URL": api.url, "CRONTIFY_API_KEY_FILE": str(key)}
    assert crontify("flush", env=env).returncode == 0
    assert api.kinds() == [kind]
    assert api.requests[0].json["meta"]["exit_code"] == code
