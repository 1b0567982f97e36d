"""A machine so busy, or a disk so slow, that our settings come later than the job's end."""

from pathlib import Path

import pytest

from crontify_cli.delivery.journal import Journal
from crontify_cli.delivery.reporter import LATE_START
from tests.conftest import Crontify
from tests.job.conftest import Launch
from tests.server import ApiServer


def slowly(module: str, seconds: float, tmp_path: Path) -> dict[str, str]:
    """Make the program take so long to load a module."""
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys, time\n"
        "def hook(event, args):\n"
        f"    if event == 'import' and args[0] == {module!r}:\n"
        f"        time.sleep({seconds})\n"
        "sys.addaudithook(hook)\n"
    )
    return {"PYTHONPATH": str(folder)}


@pytest.fixture
def slow(tmp_path: Path) -> dict[str, str]:
    """Make the program take more than a second to read its settings."""
    return slowly("tomllib", 1.5, tmp_path)


def configure(home: Path, text: str) -> None:
    folder = home / ".config/crontify"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "config.toml").write_text(f"[monitors.backup]\n{text}\n")


def test_a_short_job_is_still_judged_by_them(
    launch: Launch, api: ApiServer, home: Path, slow: dict[str, str]
) -> None:
    configure(home, 'id = "clbackup"\nsuccess_codes = "0,24"')
    process = launch("--", "sh", "-c", "exit 24", env=slow)
    assert process.wait(60) == 24
    assert api.kinds() == ["start", "success"]
    assert "/clbackup/" in api.requests[-1].path


def test_their_time_limit_still_holds(
    launch: Launch, api: ApiServer, home: Path, slow: dict[str, str]
) -> None:
    configure(home, 'timeout = "1s"')
    process = launch("--", "sleep", "60", env=slow)
    assert process.wait(60) == 124
    assert api.requests[-1].json["errorMessage"] == "timed out after 1s"


def test_a_flags_time_limit_does_not_wait_for_them(
    launch: Launch, api: ApiServer, tmp_path: Path
) -> None:
    slow = slowly("tomllib", 6, tmp_path)
    process = launch("--timeout", "0.2s", "--", "sleep", "60", env=slow)
    assert process.wait(60) == 124
    assert api.requests[-1].json["meta"]["duration_ms"] < 6_000


def test_they_still_hold_a_success_back(
    launch: Launch, api: ApiServer, home: Path, slow: dict[str, str]
) -> None:
    configure(home, 'output = "on-failure"')
    process = launch("--", "sh", "-c", "echo noise; sleep 2.5; echo more", env=slow)
    assert process.communicate(timeout=60)[0] == ""
    assert process.returncode == 0


def test_what_loading_takes_is_not_taken_from_what_the_server_has(
    launch: Launch, api: ApiServer, home: Path, tmp_path: Path
) -> None:
    folder = home / ".config/crontify"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "config.toml").write_text("report_timeout = 3\n")
    process = launch("--", "true", env=slowly("h11", 4, tmp_path))
    assert process.wait(60) == 0
    assert [request.kind for request in api.accepted][-1:] == ["success"]


def test_no_start_is_sent_long_after_the_job_is_over(
    launch: Launch, api: ApiServer, tmp_path: Path
) -> None:
    """The server would take the moment of its arrival for the run's start."""
    process = launch("--", "true", env=slowly("h11", LATE_START + 0.5, tmp_path))
    assert process.wait(60) == 0
    assert api.kinds() == ["success"]


def test_a_run_that_waits_for_no_report_still_knows_its_settings(
    crontify: Crontify, api: ApiServer, home: Path, env: dict[str, str]
) -> None:
    """`report_timeout = 0` is about the server, and not about reading the file that says it."""
    folder = home / ".config/crontify"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "config.toml").write_text("report_timeout = 0\n")
    done = crontify("exec", "backup", "--no-start", "--", "false", env=env)
    assert (done.returncode, done.stderr) == (1, "")
    (row,) = Journal.open(str(home / ".local/state/crontify")).runs()
    assert row.outcome == "fail"
