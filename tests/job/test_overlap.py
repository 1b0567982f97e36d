"""`--overlap`: one run of a monitor at a time on this host."""

import os
import signal
from pathlib import Path

import pytest

from crontify_cli.delivery.journal import Journal
from crontify_cli.job.overlap import Lock
from crontify_cli.job.process import Interrupted, Process
from tests.conftest import Crontify
from tests.faults import rate_limited
from tests.job.conftest import Launch
from tests.server import ApiServer, settings
from tests.waiting import until, until_exists

HOLD = "touch holding; until [ -e go ]; do sleep .02; done"


def test_skip_is_75_and_one_line_and_nothing_sent(
    launch: Launch, crontify: Crontify, api: ApiServer, tmp_path: Path, home: Path
) -> None:
    first = launch("--overlap", "skip", "--", "sh", "-c", HOLD)
    until_exists(tmp_path / "holding")
    until(lambda: api.kinds() == ["start"], "the first run's start came")
    options = ("--overlap", "skip", "--", "touch", "ran")
    second = crontify("exec", "backup", *options, env=settings(api))
    assert (second.returncode, second.stdout) == (75, "")
    line = f"crontify: backup is already running (pid {first.pid}): this run is skipped\n"
    assert second.stderr == line
    assert not (tmp_path / "ran").exists()
    (tmp_path / "go").touch()
    first.communicate(timeout=60)
    assert first.returncode == 0
    assert api.kinds() == ["start", "success"]
    journal = Journal.open(os.fspath(home / ".local/state/crontify"))
    outcomes = [run.outcome for run in journal.runs()]
    assert sorted(map(str, outcomes)) == ["skipped", "success"]


def test_wait_runs_after_the_other_has_ended(
    launch: Launch, api: ApiServer, tmp_path: Path
) -> None:
    first = launch("--overlap", "wait", "--", "sh", "-c", f"{HOLD}; echo first >> order")
    until(lambda: api.kinds() == ["start"], "the first run's start came")
    second = launch("--overlap", "wait", "--", "sh", "-c", "echo second >> order")
    until(lambda: _waits_for_lock(second.pid), "the second waits")
    assert not (tmp_path / "order").exists()
    (tmp_path / "go").touch()
    assert first.wait(60) == second.wait(60) == 0
    assert (tmp_path / "order").read_text() == "first\nsecond\n"
    # On a busy machine the second start is too late to be sent: its job has ended long before.
    assert api.kinds() in (["start", "success"] * 2, ["start", "success", "success"])


def _waits_for_lock(pid: int) -> bool:
    return f" {pid} " in "".join(
        line for line in Path("/proc/locks").read_text().splitlines(True) if "->" in line
    )


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_stop_while_waiting_ends_it_without_a_job(
    launch: Launch, api: ApiServer, tmp_path: Path, name: str
) -> None:
    first = launch("--overlap", "wait", "--", "sh", "-c", HOLD)
    until_exists(tmp_path / "holding")
    second = launch("--overlap", "wait", "--", "touch", "ran")
    until(lambda: _waits_for_lock(second.pid), "the second waits")
    second.send_signal(getattr(signal, name))
    _, err = second.communicate(timeout=60)
    assert second.returncode == 128 + getattr(signal, name)
    waits = f"crontify: backup is already running (pid {first.pid}): waiting for it to end\n"
    assert err == f"{waits}crontify: backup: stopped while waiting for the run before this one\n"
    assert not (tmp_path / "ran").exists()
    (tmp_path / "go").touch()


def test_the_lock_dies_with_its_process_and_the_job_does_not_inherit_it(
    launch: Launch, crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    first = launch("--overlap", "skip", "--", "sh", "-c", f"echo $$ > job; {HOLD}")
    until_exists(tmp_path / "holding")
    first.kill()
    first.wait(60)
    second = crontify("exec", "backup", "--overlap", "skip", "--", "echo", "ran", env=settings(api))
    assert (second.returncode, second.stdout) == (0, "ran\n")
    (tmp_path / "go").touch()


def test_monitors_do_not_lock_each_other_and_allow_locks_nothing(
    launch: Launch, crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    launch("--overlap", "skip", "--", "sh", "-c", HOLD)
    until_exists(tmp_path / "holding")
    for words in (("other", "--overlap", "skip"), ("backup",), ("backup", "--overlap=allow")):
        done = crontify("exec", *words, "--", "echo", "ran", env=settings(api))
        assert (done.returncode, done.stdout) == (0, "ran\n")
    (tmp_path / "go").touch()


@pytest.mark.parametrize("mode", ["skip", "wait"])
def test_the_lock_is_released_when_the_job_ends_not_when_it_is_reported(
    launch: Launch, crontify: Crontify, api: ApiServer, impatient: dict[str, str], mode: str
) -> None:
    api.script(rate_limited(60), kind="success")
    first = launch("--overlap", mode, "--", "true")
    until(lambda: api.kinds() == ["start", "success"], "the first report is refused")
    done = crontify("exec", "backup", "--overlap", mode, "--", "echo", "ran", env=impatient)
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert first.poll() is None, "the first run still waits to report"


def test_a_start_waits_until_the_run_before_it_has_stored_its_outcome(
    launch: Launch, api: ApiServer, tmp_path: Path
) -> None:
    """The older run's report would close the newer run on the server."""
    slow = r"(?P<n>\d)(a|aa)+$"  # takes all the time that it is given, and so delays the report
    output = f"echo 1{'a' * 60}b"
    options = ("--overlap", "wait", "--meta-regex", slow)
    first = launch(*options, "--", "sh", "-c", f"{HOLD}; {output}")
    until(lambda: api.kinds() == ["start"], "the first run's start came")
    second = launch("--overlap", "wait", "--", "sh", "-c", "until [ -e end ]; do sleep .02; done")
    until(lambda: _waits_for_lock(second.pid), "the second waits")
    (tmp_path / "go").touch()
    assert first.wait(60) == 0
    # Once the job has ended a start may be too late to be sent.
    until(lambda: len(api.kinds()) > 2, "the second run's start came")
    (tmp_path / "end").touch()
    assert second.wait(60) == 0
    assert api.kinds() == ["start", "success", "start", "success"]


def test_without_a_place_for_the_lock_the_job_runs_and_a_line_says_so(
    crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(tmp_path / "file")}
    done = crontify("exec", "backup", "--overlap", "skip", "--", "echo", "ran", env=env)
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert "no overlap lock for this run\n" in done.stderr  # the next line says why
    assert api.kinds() == ["start", "success"]


def test_a_stop_that_came_before_the_wait_ends_it(
    launch: Launch, tmp_path: Path, home: Path
) -> None:
    first = launch("--overlap", "skip", "--", "sh", "-c", HOLD)
    until_exists(tmp_path / "holding")
    process = Process()
    process.received_signals.append(signal.SIGTERM)
    with pytest.raises(Interrupted):
        Lock("backup").take(process, wait=True)
    (tmp_path / "go").touch()
    first.communicate(timeout=60)


@pytest.mark.parametrize(
    "signals",
    [
        (signal.SIGCONT,),
        (signal.SIGUSR1,),
        (signal.SIGUSR2, signal.SIGUSR1),
        (signal.SIGTSTP, signal.SIGCONT),
    ],
    ids=lambda signals: "+".join(each.name for each in signals),
)
def test_a_signal_that_asks_for_no_end_does_not_end_the_wait(
    launch: Launch, tmp_path: Path, signals: tuple[signal.Signals, ...]
) -> None:
    first = launch("--overlap", "wait", "--", "sh", "-c", f"{HOLD}; echo first >> order")
    until_exists(tmp_path / "holding")
    second = launch("--overlap", "wait", "--", "sh", "-c", "echo second >> order")
    until(lambda: _waits_for_lock(second.pid), "the second waits")
    for number in signals:
        second.send_signal(number)
        if number == signal.SIGTSTP:
            until(lambda: _state(second.pid) == "T", "the second is stopped")
    until(lambda: not _pending(second.pid), "the signals are handled")
    until(lambda: _waits_for_lock(second.pid), "the second waits again")
    (tmp_path / "go").touch()
    assert first.wait(60) == second.wait(60) == 0
    assert (tmp_path / "order").read_text() == "first\nsecond\n"
    assert second.stderr
    assert second.stderr.read().count("\n") == 1  # that it waits, once


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _pending(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return sum(int(line.split()[1], 16) for line in status.splitlines() if "Pnd:" in line)
