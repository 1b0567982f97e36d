"""Without a terminal: what is sent to the wrapper reaches all of the job, and its way decides."""

import contextlib
import os
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.job.conftest import Launch
from tests.server import ApiServer
from tests.waiting import is_running, until, until_exists, until_gone

NAMES = ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2")


def test_term_reaches_grandchildren_and_the_report_names_it(
    launch: Launch, api: ApiServer, tmp_path: Path
) -> None:
    script = "sh -c 'echo $$ > grandchild; touch begun; exec sleep 60'; echo unreached"
    process = launch("--", "bash", "-c", script)
    until_exists(tmp_path / "begun")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "unreached" not in out
    until_gone(int((tmp_path / "grandchild").read_text()))
    message = api.requests[-1].json["errorMessage"]
    assert message == "terminated by SIGTERM (the wrapper was asked to stop by SIGTERM)"
    assert api.requests[-1].json["meta"]["exit_code"] == 143


def test_the_jobs_own_handler_decides(launch: Launch, api: ApiServer, tmp_path: Path) -> None:
    script = (
        "trap 'echo cleaned up; exit 7' TERM; touch begun; while :; do sleep 60 & wait $!; done"
    )
    process = launch("--", "bash", "-c", script)
    until_exists(tmp_path / "begun")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (7, "cleaned up\n")
    message = api.requests[-1].json["errorMessage"]
    assert message.startswith("exited with code 7 (the wrapper was asked to stop by SIGTERM)")


def test_a_job_that_ends_well_when_asked_to_stop_is_a_success(
    launch: Launch, api: ApiServer, tmp_path: Path
) -> None:
    script = "trap 'exit 0' TERM; touch begun; while :; do sleep 60 & wait $!; done"
    process = launch("--", "bash", "-c", script)
    until_exists(tmp_path / "begun")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert api.kinds() == ["start", "success"]


@pytest.mark.parametrize("name", NAMES)
def test_each_signal_arrives_as_itself(launch: Launch, tmp_path: Path, name: str) -> None:
    script = (
        "for s in " + " ".join(NAMES) + '; do trap "touch got-$s" $s; done; touch begun;'
        f" until [ -e got-{name} ]; do sleep .02; done; exit 9"
    )
    process = launch("--", "bash", "-c", script)
    until_exists(tmp_path / "begun")
    process.send_signal(getattr(signal, f"SIG{name}"))
    process.communicate(timeout=60)
    assert process.returncode == 9
    assert [path.name for path in tmp_path.glob("got-*")] == [f"got-{name}"]


def test_a_signal_is_passed_on_again_and_again(launch: Launch, tmp_path: Path) -> None:
    script = (
        "n=0; trap 'n=$((n+1)); touch got$n' HUP; touch begun;"
        " until [ -e got3 ]; do sleep .02; done; exit 3"
    )
    process = launch("--", "bash", "-c", script)
    until_exists(tmp_path / "begun")
    for number in (1, 2, 3):
        process.send_signal(signal.SIGHUP)
        until_exists(tmp_path / f"got{number}")
    process.communicate(timeout=60)
    assert process.returncode == 3


def test_a_signal_at_any_moment_of_the_way_to_the_spawn_ends_the_job_too(
    launch: Launch, tmp_path: Path
) -> None:
    """From before our handlers stand (then there is no job) to long after."""
    for moment in range(12):
        marker = tmp_path / f"job{moment}"
        process = launch("--", "sh", "-c", f"echo $$ > {marker}; exec sleep 60")
        until(partial(_grown, process.pid, moment), "the wrapper got that far")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)
        if marker.exists() and (pid := marker.read_text()):
            assert not is_running(int(pid))


def _grown(pid: int, steps: int) -> bool:
    """Tell whether the process has run for that many hundredths of a second by its own clock."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return True
    return int(fields[11]) + int(fields[12]) >= steps or fields[0] in "SZ"


def test_stop_and_continue_reach_the_job(launch: Launch, tmp_path: Path) -> None:
    # It waits in its own process: dash, caught in its vfork(2), would not stop.
    os.mkfifo(tmp_path / "go")
    process = launch("--", "sh", "-c", "echo $$ > job; : > begun; read line < go; exit 5")
    until_exists(tmp_path / "begun")
    job = int((tmp_path / "job").read_text())
    process.send_signal(signal.SIGTSTP)
    until(lambda: _state(job) == "T" and _state(process.pid) == "T", "both are stopped")
    process.send_signal(signal.SIGCONT)
    until(lambda: _state(job) != "T", "the job goes on")
    (tmp_path / "go").write_text("\n")
    process.communicate(timeout=60)
    assert process.returncode == 5


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_an_ignored_signal_stays_ignored_for_the_job(launch: Launch, tmp_path: Path) -> None:
    """As under nohup(1)."""
    process = launch(
        *("--", "sh", "-c", "kill -HUP $$; echo survived; exit 4"),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (4, "survived\n")


def test_the_job_inherits_no_signal_setting_of_ours(launch: Launch) -> None:
    """Python ignores PIPE and XFSZ for itself; a job must die of them as it would alone."""
    job = ["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"]
    alone = subprocess.run(job, capture_output=True, text=True, check=True).stdout
    out, _ = launch("--", *job).communicate(timeout=60)
    assert _classic(out) == _classic(alone)


def _classic(status: str) -> list[int]:
    """Return the masks without 32 and 33, with which glibc's posix_spawn does what it likes."""
    return [int(line.split()[1], 16) & 0x7FFF_FFFF for line in status.splitlines()]


@pytest.mark.uses("proc", reason="only /proc tells what another process's threads block")
def test_only_the_main_thread_takes_signals(launch: Launch, api: ApiServer, home: Path) -> None:
    """Taken by another thread, a signal would not interrupt a write that nobody reads."""
    config = home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    print_mask = "['awk', '/SigBlk/ { print $2 }', '/proc/self/status']"
    config.write_text(f"api_key_command = {print_mask}\n")
    options = ("--meta-regex", "(?P<n>x)", "--", "sh", "-c", "read line")
    process = launch(*options, stdin=subprocess.PIPE, env={"CRONTIFY_API_KEY": ""})
    until(lambda: api.kinds() == ["start"], "the start is reported")
    taken = {getattr(signal, f"SIG{name}") for name in (*NAMES, "ALRM", "CHLD", "CONT", "TSTP")}
    blocked = {}
    for thread in Path(f"/proc/{process.pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has just ended
            blocked[int(thread.name)] = _blocked(thread) & taken
    assert blocked.pop(process.pid) == set()
    assert list(blocked.values()) == [taken] * len(blocked)
    assert len(blocked) >= 2
    assert int(api.requests[0].headers["x-api-key"], 16) == 0, "the key command blocks none"
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


def _blocked(thread: Path) -> set[int]:
    mask = int((thread / "status").read_text().partition("SigBlk:")[2].split()[0], 16)
    return {number for number in range(1, 65) if mask >> number - 1 & 1}


def test_term_ends_us_though_a_reader_takes_nothing(launch: Launch, api: ApiServer) -> None:
    process = launch("--", "yes")
    until(lambda: api.kinds() == ["start"], "the start is reported")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert api.kinds() == ["start", "fail"]


def test_after_the_end_a_reader_may_take_its_time_until_we_are_asked_to_stop(
    launch: Launch, api: ApiServer, tmp_path: Path
) -> None:
    script = "head -c 100000 /dev/zero | tr '\\0' x; touch over; exit 5"
    process = launch("--", "sh", "-c", script)
    until_exists(tmp_path / "over")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(4)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 5
    assert api.kinds() == ["start", "fail"]
