"""With a terminal: a signal reaches the job once, from wherever it came."""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crontify_cli.delivery.journal import Journal
from tests.faults import rate_limited
from tests.programs import PROGRAM
from tests.server import ApiServer, Behaviour, Request, settings
from tests.terminal import Terminal
from tests.waiting import until
from tests.waiting import until_exists as wait_for

COMMAND = [*PROGRAM, "exec", "backup", "--"]


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A new terminal."""
    with Terminal() as terminal:
        yield terminal


def start(
    script: str, terminal: Terminal, api: ApiServer, tmp_path: Path
) -> "subprocess.Popen[bytes]":
    """Run the job as a shell's foreground job on the terminal."""
    command = [*COMMAND, "sh", "-c", script]
    process = terminal.start(command, cwd=tmp_path, env={**os.environ, **settings(api)})
    wait_for(tmp_path / "begun")
    return process


def test_ctrl_c_reaches_the_job_once(terminal: Terminal, api: ApiServer, tmp_path: Path) -> None:
    script = (
        "n=0; trap 'n=$((n+1)); echo $n > count' INT; touch begun;"
        "until [ -e go ]; do sleep .02; done; exit 3"
    )
    process = start(script, terminal, api, tmp_path)
    terminal.type("\x03")
    wait_for(tmp_path / "count")
    time.sleep(0.3)  # for a second one, if there were one
    (tmp_path / "go").touch()
    assert process.wait(60) == 3
    assert (tmp_path / "count").read_text() == "1\n"


@pytest.mark.uses("sigwaitinfo", reason="nothing else tells who sent a signal")
def test_a_signal_sent_by_hand_is_passed_on_though_there_is_a_terminal(
    terminal: Terminal, api: ApiServer, tmp_path: Path
) -> None:
    script = (
        "trap 'touch int' INT; trap 'touch usr1' USR1; touch begun;"
        "until [ -e int ] && [ -e usr1 ]; do sleep .02; done; exit 4"
    )
    process = start(script, terminal, api, tmp_path)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(60) == 4
    assert (tmp_path / "int").exists()


def test_a_rate_limit_is_shown_and_ctrl_c_leaves_the_report_queued(
    terminal: Terminal, api: ApiServer, tmp_path: Path
) -> None:
    def choose(request: Request) -> Behaviour | None:
        return rate_limited(50) if request.kind == "fail" else None

    api.choose = choose
    process = start("touch begun; exit 5", terminal, api, tmp_path)
    shown = terminal.read_until("queued)")
    assert "backup: rate limited; sending the report in " in shown
    terminal.type("\x03")
    assert process.wait(60) == 5
    rest = terminal.read_to_end()
    result = "crontify: queued: 429: Too many requests; the next run or 'crontify flush' sends it\n"
    # The line may be drawn once more before we learn of the key.
    assert re.search(rf"\^C(\rbackup: [^\r]+)*\r {{79}}\r{re.escape(result)}\Z", rest), rest
    assert api.kinds() == ["start", "fail"]
    journal = Journal.open(os.path.join(os.environ["HOME"], ".local/state/crontify"))
    assert journal.queue()[0] == 1


@pytest.fixture
def shell(
    terminal: Terminal, api: ApiServer, tmp_path: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """An interactive bash with job control on the terminal."""
    process = terminal.start(
        ["bash", "--norc", "--noprofile", "-i"],
        cwd=tmp_path,
        env={**os.environ, **settings(api), "PS1": "ready> ", "TERM": "dumb"},
    )
    terminal.read_until("ready> ")
    yield process
    process.kill()
    process.wait(60)


def test_ctrl_z_and_fg(
    shell: "subprocess.Popen[bytes]", terminal: Terminal, api: ApiServer, tmp_path: Path
) -> None:
    # It waits in its own process: dash, caught in its vfork(2), would not stop.
    os.mkfifo(tmp_path / "go")
    (tmp_path / "job.sh").write_text(
        "echo $$ > pid; : > begun; read line < go; echo finished; exit 6"
    )
    terminal.type_line(f"{shlex.join(COMMAND)} sh job.sh")
    wait_for(tmp_path / "begun")
    terminal.type("\x1a")
    terminal.read_until("ready> ")
    pid = (tmp_path / "pid").read_text().strip()
    until(lambda: stat(pid) == "T", "the job is stopped")
    terminal.type_line("fg")
    until(lambda: stat(pid) != "T", "the job goes on")
    (tmp_path / "go").write_text("\n")
    terminal.read_until("finished")
    terminal.read_until("ready> ")
    terminal.type_line("echo code=$?")
    terminal.read_until("code=6")
    assert api.kinds() == ["start", "fail"]


def stat(pid: str) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_ctrl_c_in_a_shell_ends_the_job_and_is_reported(
    shell: "subprocess.Popen[bytes]", terminal: Terminal, api: ApiServer, tmp_path: Path
) -> None:
    terminal.type_line(f"{shlex.join(COMMAND)} sh -c 'touch begun; exec sleep 60'")
    wait_for(tmp_path / "begun")
    terminal.type("\x03")
    terminal.read_until("ready> ")
    terminal.type_line("echo code=$?")
    terminal.read_until("code=130")
    assert api.requests[-1].json["errorMessage"].startswith("terminated by SIGINT")


def test_a_job_behind_a_pipe_may_ask_at_the_terminal(
    shell: "subprocess.Popen[bytes]", terminal: Terminal, api: ApiServer, tmp_path: Path
) -> None:
    """As `dump | crontify exec … psql`, which asks for its password on /dev/tty."""
    job = "cat > /dev/null; touch begun; read answer < /dev/tty; echo got:$answer; exit 4"
    (tmp_path / "job.sh").write_text(job)
    terminal.type_line(f"echo data | {shlex.join(COMMAND)} sh job.sh")
    wait_for(tmp_path / "begun")
    terminal.type_line("swordfish")
    terminal.read_until("got:swordfish")
    terminal.read_until("ready> ")
    terminal.type_line("echo code=$?")
    terminal.read_until("code=4")


def test_a_background_job_that_asks_at_the_terminal_stops_until_fg(
    shell: "subprocess.Popen[bytes]", terminal: Terminal, api: ApiServer, tmp_path: Path
) -> None:
    job = "cat > /dev/null; touch begun; read answer < /dev/tty; echo got:$answer; exit 4"
    (tmp_path / "job.sh").write_text(job)
    terminal.type_line(f"echo data | {shlex.join(COMMAND)} sh job.sh &")
    wait_for(tmp_path / "begun")
    terminal.type_line("until jobs -s | grep .; do sleep .1; done; echo it is so")
    terminal.read_until("\nit is so")
    terminal.type_line("fg")
    terminal.type_line("swordfish")
    terminal.read_until("got:swordfish")
    terminal.read_until("ready> ")
    terminal.type_line("echo code=$?")
    terminal.read_until("code=4")


def test_an_ignored_interrupt_is_none_for_us_either(
    terminal: Terminal, api: ApiServer, tmp_path: Path
) -> None:
    """As after `trap '' INT`."""
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = start(
            "touch begun; until [ -e go ]; do sleep .02; done; exit 3", terminal, api, tmp_path
        )
    finally:
        signal.signal(signal.SIGINT, old)
    terminal.type("\x03")
    terminal.read_until("^C")
    time.sleep(0.2)  # for the signal, if there were one
    (tmp_path / "go").touch()
    assert process.wait(60) == 3
    assert api.requests[-1].json["errorMessage"] == "exited with code 3"


def test_a_lost_line_hangs_up_the_job_of_a_session_leader(api: ApiServer, tmp_path: Path) -> None:
    """As `ssh -t host crontify exec …`: the kernel tells the leader of the session alone."""
    script = (
        "trap 'touch hung-up; exit 9' HUP; touch begun;"
        "until [ -e go ]; do sleep .02; done 2>/dev/null"
    )
    with Terminal() as terminal:
        process = start(script, terminal, api, tmp_path)
    wait_for(tmp_path / "hung-up")
    assert process.wait(60) == 9
