"""`exec -vv` says when each step of a run was reached, and leaves the job's own lines whole."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import Crontify
from tests.faults import delayed
from tests.programs import PROGRAM
from tests.server import KEY, ApiServer, Behaviour, Exchange, right
from tests.waiting import until

STEP = re.compile(r"crontify: +([0-9]+\.[0-9]) ms  (.*)")
# Leaves a line of stderr unfinished until the file is there, and the last one for ever.
WAIT = 'while ! [ -e "$0" ]; do sleep 0.02; done'
JOB = f'echo out; printf begin >&2; {WAIT}; printf " end\\nlast" >&2'

MAIN = ["loaded", "overlap lock taken", "record made", "job started", "job ended"]
MAIN += ["output drained", "outcome in the journal", "exit"]
REPORTING = ["reporting thread started", "settings read", "API key read", "ready to send"]
FIRST = ["connecting to HOST", "connected", "request sent", "answered", "start: received"]
SECOND = ["request to HOST", "request sent", "answered", "success: received"]


def steps(stderr: str) -> list[tuple[float, str]]:
    """Return the steps with their milliseconds; without what differs from run to run."""
    found = []
    for line in stderr.splitlines():
        if step := STEP.fullmatch(line):
            what = re.sub(r"127\.0\.0\.1:\d+", "HOST", step[2])
            what = re.sub(r" \(run .*\)$", "", re.sub(r"^job \d+ started", "job started", what))
            found.append((float(step[1]), what))
    return found


def test_every_step_is_shown_with_growing_numbers_between_the_lines_of_the_job(
    crontify: Crontify, api: ApiServer, env: dict[str, str], tmp_path: Path
) -> None:
    go = tmp_path / "go"

    def answer_and_go(exchange: Exchange) -> None:
        right.act(exchange)
        go.touch()

    api.script(Behaviour(answer_and_go), kind="start")
    began = time.monotonic()
    flags = ("-vv", "--overlap", "skip")
    done = crontify("exec", *flags, "backup", "--", "sh", "-c", JOB, str(go), env=env)
    elapsed = (time.monotonic() - began) * 1000
    assert (done.returncode, done.stdout) == (0, "out\n")
    assert "begin end\nlast\ncrontify: " in done.stderr
    assert KEY not in done.stderr
    found = steps(done.stderr)
    numbers = [number for number, _ in found]
    assert numbers == sorted(numbers)
    assert 0 < numbers[0] < numbers[-1] < elapsed
    names = [name for _, name in found]
    assert [name for name in names if name in MAIN] == MAIN
    # What the two threads do is in order for each of them.
    rest = iter(names)
    assert all(name in rest for name in (*REPORTING, *FIRST, *SECOND, "nothing more to send"))
    lines = done.stderr.replace("begin end\nlast\n", "").splitlines()
    assert all(map(STEP.fullmatch, lines))


def test_the_steps_appear_while_the_job_runs(
    api: ApiServer, env: dict[str, str], tmp_path: Path
) -> None:
    """Someone who sees a run hang wants to know where."""
    said, go = tmp_path / "said", tmp_path / "go"
    api.default = delayed(0.01)
    command = [*PROGRAM, "exec", "-v", "-v", "backup", "--", "sh", "-c", WAIT, str(go)]
    with said.open("w") as stream:
        run = subprocess.Popen(command, env={**os.environ, **env}, stderr=stream)
    try:
        until(lambda: "start: received" in said.read_text(), "the start is shown")
    finally:
        go.touch()
        run.wait(30)
    assert "success: received" in said.read_text()


def test_a_failure_is_a_step_and_held_output_comes_first(
    crontify: Crontify, impatient: dict[str, str]
) -> None:
    env = {**impatient, "CRONTIFY_BASE_URL": "http://127.0.0.1:1"}
    flags = ("-vv", "--output", "on-failure")
    done = crontify("exec", *flags, "backup", "--", "sh", "-c", "printf half >&2; exit 3", env=env)
    assert done.returncode == 3
    assert re.search(r"^half$", done.stderr, re.M)
    assert "ms  failed: cannot connect to 127.0.0.1:1: " in done.stderr
    assert "ms  exit\n" in done.stderr


def test_a_job_that_ends_at_once_has_started_before(crontify: Crontify) -> None:
    """We learn of its end before we have noted that it was started."""
    names = [name for _, name in steps(crontify("exec", "-vv", "backup", "--", "true").stderr)]
    assert names.index("record made") < names.index("job started") < names.index("job ended")


@pytest.mark.parametrize("flags", [[], ["-v"]])
def test_nothing_of_it_is_loaded_or_said_unless_it_is_asked_for_twice(
    crontify: Crontify, env: dict[str, str], flags: list[str]
) -> None:
    done = crontify(
        *("exec", *flags, "backup", "--", "true"), env={**env, "PYTHONPROFILEIMPORTTIME": "1"}
    )
    assert "crontify_cli.job.supervisor" in done.stderr
    assert "crontify_cli.job.steps" not in done.stderr
    assert " ms  " not in done.stderr
    assert ("success: received" in done.stderr) == bool(flags)
