"""With a terminal: a signal reaches the job once, from wherever it came."""

import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crontify_cli.delivery.journal import Journal
from tests.faults import rate_limited
from tests.server import KEY, ApiServer, Behaviour, Request
from tests.waiting import until
from tests.waiting import until_exists as wait_for

COMMAND = [sys.executable, "-m", "crontify_cli", "exec", "backup", "--"]


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The two ends of a new terminal."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


def start(
    script: str, terminal: tuple[int, int], api: ApiServer, tmp_path: Path
) -> "subprocess.Popen[bytes]":
    """Run the job as a shell's foreground job on the terminal."""
    _, theirs = terminal
    process = subprocess.Popen(
        [*COMMAND, "sh", "-c", script],
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "CRONTIFY_API_KEY": KEY, "CRONTIFY_BASE_URL": api.url},
        preexec_fn=lambda: _make_controlling(0),
    )
    os.close(theirs)
    wait_for(tmp_path / "begun")
    return process


def _make_controlling(fd: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


def test_ctrl_c_reaches_the_job_once(
    terminal: tuple[int, int], api: ApiServer, tmp_path: Path
) -> None:
    script = (
        "n=0; trap 'n=$((n+1)); echo $n > count' INT; touch begun;"
        "until [ -e go ]; do sleep .02; done; exit 3"
    )
    process = start(script, terminal, api, tmp_path)
    os.write(terminal[0], b"\x03")
    wait_for(tmp_path / "count")
    time.sleep(0.3)  # for a second one, if there were one
    (tmp_path / "go").touch()
    assert process.wait(20) == 3
    assert (tmp_path / "count").read_text() == "1\n"


def test_a_signal_sent_by_hand_is_passed_on_though_there_is_a_terminal(
    terminal: tuple[int, int], api: ApiServer, tmp_path: Path
) -> None:
    script = (
        "trap 'touch int' INT; trap 'touch usr1' USR1; touch begun;"
        "until [ -e int ] && [ -e usr1 ]; do sleep .02; done; exit 4"
    )
    process = start(script, terminal, api, tmp_path)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(20) == 4
    assert (tmp_path / "int").exists()


def read_until(terminal: int, wanted: bytes) -> bytes:
    """Return what the terminal showed up to and with `wanted`."""
    shown = b""
    deadline = time.monotonic() + 30
    while wanted not in shown:
        left = deadline - time.monotonic()
        assert left > 0, f"{wanted!r} is not in {shown!r}"
        if select.select([terminal], [], [], left)[0]:
            shown += os.read(terminal, 65536)
    return shown


def test_a_rate_limit_is_shown_and_ctrl_c_leaves_the_report_queued(
    terminal: tuple[int, int], api: ApiServer, tmp_path: Path
) -> None:
    def choose(request: Request) -> Behaviour | None:
        return rate_limited(50) if request.kind == "fail" else None

    api.choose = choose
    process = start("touch begun; exit 5", terminal, api, tmp_path)
    shown = read_until(terminal[0], b"queued)")
    assert b"backup: rate limited; sending the report in " in shown
    os.write(terminal[0], b"\x03")
    rest = read_until(terminal[0], b"\x1b[?25h")  # the cursor is back
    assert b"Traceback" not in rest
    assert process.wait(20) == 5
    assert api.kinds() == ["start", "fail"]
    journal = Journal.open(os.path.join(os.environ["HOME"], ".local/state/crontify"))
    assert journal.queue()[0] == 1


@pytest.fixture
def shell(
    terminal: tuple[int, int], api: ApiServer, tmp_path: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """An interactive bash with job control on the terminal."""
    process = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        cwd=tmp_path,
        stdin=terminal[1],
        stdout=terminal[1],
        stderr=terminal[1],
        start_new_session=True,
        env={
            **os.environ,
            "CRONTIFY_API_KEY": KEY,
            "CRONTIFY_BASE_URL": api.url,
            "PS1": "ready> ",
            "TERM": "dumb",
        },
        preexec_fn=lambda: _make_controlling(0),
    )
    os.close(terminal[1])
    read_until(terminal[0], b"ready> ")
    yield process
    process.kill()
    process.wait(10)


def type_line(terminal: int, line: str) -> None:
    os.write(terminal, line.encode() + b"\n")


def test_ctrl_z_and_fg(
    shell: "subprocess.Popen[bytes]", terminal: tuple[int, int], api: ApiServer, tmp_path: Path
) -> None:
    job = "echo $$ > pid; touch begun; until [ -e go ]; do sleep .05; done; echo finished; exit 6"
    (tmp_path / "job.sh").write_text(job)
    type_line(terminal[0], f"{shlex.join(COMMAND)} sh job.sh")
    wait_for(tmp_path / "begun")
    os.write(terminal[0], b"\x1a")
    read_until(terminal[0], b"ready> ")
    pid = (tmp_path / "pid").read_text().strip()
    until(lambda: stat(pid) == "T", "the job is stopped")
    type_line(terminal[0], "fg")
    until(lambda: stat(pid) != "T", "the job goes on")
    (tmp_path / "go").touch()
    read_until(terminal[0], b"finished")
    read_until(terminal[0], b"ready> ")
    type_line(terminal[0], "echo code=$?")
    read_until(terminal[0], b"code=6")
    assert api.kinds() == ["start", "fail"]


def stat(pid: str) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_ctrl_c_in_a_shell_ends_the_job_and_is_reported(
    shell: "subprocess.Popen[bytes]", terminal: tuple[int, int], api: ApiServer, tmp_path: Path
) -> None:
    type_line(terminal[0], f"{shlex.join(COMMAND)} sh -c 'touch begun; exec sleep 60'")
    wait_for(tmp_path / "begun")
    os.write(terminal[0], b"\x03")
    read_until(terminal[0], b"ready> ")
    type_line(terminal[0], "echo code=$?")
    read_until(terminal[0], b"code=130")
    assert api.requests[-1].json["errorMessage"].startswith("terminated by SIGINT")


def test_a_job_behind_a_pipe_may_ask_at_the_terminal(
    shell: "subprocess.Popen[bytes]", terminal: tuple[int, int], api: ApiServer, tmp_path: Path
) -> None:
    """As `dump | crontify exec … psql`, which asks for its password on /dev/tty."""
    job = "cat > /dev/null; touch begun; read answer < /dev/tty; echo got:$answer; exit 4"
    (tmp_path / "job.sh").write_text(job)
    type_line(terminal[0], f"echo data | {shlex.join(COMMAND)} sh job.sh")
    wait_for(tmp_path / "begun")
    type_line(terminal[0], "swordfish")
    read_until(terminal[0], b"got:swordfish")
    read_until(terminal[0], b"ready> ")
    type_line(terminal[0], "echo code=$?")
    read_until(terminal[0], b"code=4")


def test_a_background_job_that_asks_at_the_terminal_stops_until_fg(
    shell: "subprocess.Popen[bytes]", terminal: tuple[int, int], api: ApiServer, tmp_path: Path
) -> None:
    job = "cat > /dev/null; touch begun; read answer < /dev/tty; echo got:$answer; exit 4"
    (tmp_path / "job.sh").write_text(job)
    type_line(terminal[0], f"echo data | {shlex.join(COMMAND)} sh job.sh &")
    wait_for(tmp_path / "begun")
    type_line(terminal[0], "until jobs -s | grep .; do sleep .1; done; echo it is so")
    read_until(terminal[0], b"\nit is so")
    type_line(terminal[0], "fg")
    type_line(terminal[0], "swordfish")
    read_until(terminal[0], b"got:swordfish")
    read_until(terminal[0], b"ready> ")
    type_line(terminal[0], "echo code=$?")
    read_until(terminal[0], b"code=4")


def test_an_ignored_interrupt_is_none_for_us_either(
    terminal: tuple[int, int], api: ApiServer, tmp_path: Path
) -> None:
    """As after `trap '' INT`."""
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = start(
            "touch begun; until [ -e go ]; do sleep .02; done; exit 3", terminal, api, tmp_path
        )
    finally:
        signal.signal(signal.SIGINT, old)
    os.write(terminal[0], b"\x03")
    read_until(terminal[0], b"^C")
    time.sleep(0.2)  # for the signal, if there were one
    (tmp_path / "go").touch()
    assert process.wait(20) == 3
    assert api.requests[-1].json["errorMessage"] == "exited with code 3"
