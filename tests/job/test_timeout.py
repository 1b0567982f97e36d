"""`--timeout` ends the job and all that belongs to it, and says so."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.job.conftest import Launch
from tests.programs import PROGRAM
from tests.server import ApiServer, settings
from tests.waiting import until, until_gone, within_any


class Timed(NamedTuple):
    """A run that its time limit of so many seconds has ended."""

    limit: float
    code: int
    out: str


def timed_out(launch: Launch, folder: Path, script: str, *options: str) -> Timed:
    """Run a job that touches `ready` with a limit that it reaches that before."""

    def attempt(seconds: float) -> Timed:
        process = launch("--timeout", f"{seconds}s", *options, "--", "bash", "-c", script)
        out, _ = process.communicate(timeout=60)
        return Timed(seconds, process.returncode, out)

    return within_any(attempt, lambda _: (folder / "ready").exists())


def test_a_timeout_is_term_exit_124_and_a_message(
    launch: Launch, api: ApiServer, tmp_path: Path
) -> None:
    # A shell whose child is killed by the same signal may say so first.
    trap = "exec 2>/dev/null; trap 'echo got TERM; exit 0' TERM"
    done = timed_out(launch, tmp_path, f"{trap}; touch ready; while :; do sleep 60 & wait $!; done")
    assert (done.code, done.out) == (124, "got TERM\n")
    fail = api.requests[-1]
    assert fail.kind == "fail"
    assert fail.json["errorMessage"].startswith(f"timed out after {done.limit:g}s")
    assert fail.json["logOutput"] == "got TERM\n"
    assert fail.json["meta"]["exit_code"] == 124
    assert fail.json["meta"]["duration_ms"] >= 975 * done.limit


def test_what_ignores_the_term_is_killed(launch: Launch, api: ApiServer, tmp_path: Path) -> None:
    script = "trap '' TERM; sh -c 'echo $$ > grandchild; touch ready; exec sleep 60'; sleep 60"
    done = timed_out(launch, tmp_path, script, "--kill-after=0.3s")
    assert done.code == 124
    until_gone(int((tmp_path / "grandchild").read_text()))
    message = api.requests[-1].json["errorMessage"]
    assert message.startswith(f"timed out after {done.limit:g}s")


def test_a_grandchild_that_outlives_the_job_in_its_group_is_killed_too(
    launch: Launch, tmp_path: Path
) -> None:
    script = (
        "(trap '' TERM; sh -c 'echo $PPID > survivor; touch ready'; while :; do sleep .1; done)"
        " & sleep 60"
    )
    assert timed_out(launch, tmp_path, script, "--kill-after", "0.3s").code == 124
    until_gone(int((tmp_path / "survivor").read_text()))


def test_a_flood_of_output_does_not_hold_up_the_timeout(launch: Launch, api: ApiServer) -> None:
    process = launch("--timeout", "1s", "-q", "--", "yes")
    process.communicate(timeout=60)
    assert process.returncode == 124
    assert 1000 <= api.requests[-1].json["meta"]["duration_ms"] < 10_000


def test_a_stopped_job_gets_the_term_too(launch: Launch, tmp_path: Path) -> None:
    """Long before the KILL, which needs nobody to go on."""
    script = "trap 'echo got TERM; exit 0' TERM; touch ready; kill -STOP $$; sleep 60"
    done = timed_out(launch, tmp_path, script, "--kill-after", "50s")
    assert (done.code, done.out) == (124, "got TERM\n")


def test_a_timeout_keeps_the_output_up_to_then(
    launch: Launch, api: ApiServer, tmp_path: Path
) -> None:
    done = timed_out(launch, tmp_path, "echo one; echo two; touch ready; exec sleep 60")
    assert done.out == "one\ntwo\n"
    assert api.requests[-1].json["logOutput"] == "one\ntwo\n"


def test_a_job_that_ends_in_time_is_left_alone(launch: Launch, api: ApiServer) -> None:
    process = launch("--timeout", "1m", "--", "sh", "-c", "exit 3")
    process.communicate(timeout=60)
    assert process.returncode == 3
    assert "timed out" not in api.requests[-1].json["errorMessage"]


def test_the_config_may_set_the_timeout(launch: Launch, api: ApiServer, home: Path) -> None:
    config = home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[monitors.backup]\ntimeout = "1s"\nkill_after = "0.2s"\n')
    process = launch("--", "bash", "-c", "trap '' TERM; while :; do sleep .1; done")
    process.communicate(timeout=60)
    assert process.returncode == 124


def test_a_stop_during_the_grace_after_the_timeout_still_reaches_the_job(
    launch: Launch, tmp_path: Path
) -> None:
    script = "trap 'exit 6' HUP; trap 'touch asked' TERM; until false; do sleep .02; done"
    asked = tmp_path / "asked"

    def attempt(seconds: float) -> "subprocess.Popen[str]":
        limits = ("--timeout", f"{seconds}s", "--kill-after", "30s")
        process = launch(*limits, "--", "bash", "-c", script)
        until(lambda: asked.exists() or process.poll() is not None, "the time is up")
        return process

    process = within_any(attempt, lambda _: asked.exists())
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 124


def test_zombies_that_nobody_buries_do_not_hold_up_the_end(api: ApiServer, tmp_path: Path) -> None:
    """A container's PID 1 is often a program that never waits for orphans."""
    job = ["bash", "-c", "trap '' TERM; while :; do sleep .1; done"]
    command = [*PROGRAM, "exec", "--timeout", "1s", "--kill-after", "0.3s", "backup", "--", *job]
    lazy = (
        "import ctypes, os, subprocess, sys\n"
        "assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0\n"  # PR_SET_CHILD_SUBREAPER
        f"sys.exit(subprocess.run({command!r}, timeout=60).returncode)\n"
    )
    environ = {**os.environ, **settings(api)}
    done = subprocess.run([sys.executable, "-c", lazy], env=environ, cwd=tmp_path, check=False)
    assert done.returncode == 124


@pytest.mark.parametrize("stderr", [subprocess.PIPE, subprocess.STDOUT])
def test_a_reader_that_takes_nothing_does_not_hold_up_the_end(
    launch: Launch, api: ApiServer, stderr: int
) -> None:
    """As a pager that was stopped; nobody reads the pipe here until the end."""
    process = launch("--timeout", "1s", "--", "yes", stderr=stderr)
    assert process.wait(60) == 124
    assert api.kinds() == ["start", "fail"]
    out, err = process.communicate(timeout=60)
    assert out.startswith("y\ny\n")
    if stderr == subprocess.PIPE:
        assert "no longer went to stdout: nobody read it any more" in err


def test_a_slow_reader_after_the_timeout_still_gets_everything(
    launch: Launch, tmp_path: Path
) -> None:
    script = "seq 40000; echo last; touch ready; exec sleep 60"

    def attempt(seconds: float) -> str:
        process = launch("--timeout", f"{seconds}s", "--", "sh", "-c", script)
        assert process.stdout
        out = ""
        while piece := process.stdout.read(4096):
            out += piece
            time.sleep(0.04)
        assert process.wait(60) == 124
        return out

    out = within_any(attempt, lambda _: (tmp_path / "ready").exists())
    assert out == "".join(f"{number}\n" for number in range(1, 40001)) + "last\n"
