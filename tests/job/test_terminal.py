"""With a terminal: a signal reaches the job once, from wherever it came."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import KEY, ApiServer

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


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not come"
        time.sleep(0.01)


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
