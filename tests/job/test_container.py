"""As PID 1 of a container: the runtime's TERM reaches the job, and nobody stays a zombie."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import delayed
from tests.programs import PROGRAM, need
from tests.server import ApiServer, settings
from tests.waiting import until, until_exists

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
GRACE = 10
"""Seconds from the runtime's TERM to its KILL where nobody says otherwise: docker-stop(1)."""
READ_ONLY_HOME = ("sh", "-c", 'mount -t tmpfs -o ro none "$HOME" && exec "$@"', "sh")
COUNT_CHILDREN = f"""{sys.executable} - <<'END'
import os, time
def of_pid_1():
    states = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try: stat = open(f'/proc/{{pid}}/stat').read()
        except OSError: continue
        if stat.rpartition(')')[2].split()[1] == '1': states.append(pid)
    return states
deadline = time.monotonic() + 15
while len(of_pid_1()) > 1 and time.monotonic() < deadline: time.sleep(.05)
print('children of PID 1:', len(of_pid_1()))
END
"""


@pytest.fixture(autouse=True)
def namespaces() -> None:
    """Skip where no PID namespace can be made."""
    need("unshare")
    made = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no PID namespace here: {made.stderr.strip()}")


@pytest.fixture
def containers() -> Iterator[list["subprocess.Popen[str]"]]:
    """What was started; ended with the test."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait(60)
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def start(
    containers: list["subprocess.Popen[str]"],
    api: ApiServer,
    tmp_path: Path,
    script: str,
    *options: str,
    root: tuple[str, ...] = (),
    **env: str,
) -> "subprocess.Popen[str]":
    """Start a container whose entrypoint is `exec` with `script` as its job.

    root: what prepares its file system and then executes the words that follow.
    """
    process = subprocess.Popen(
        [*UNSHARE, *root, *PROGRAM, "exec", "backup", *options, "--", "bash", "-c", script],
        env={**os.environ, **settings(api), **env},
        cwd=tmp_path,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    containers.append(process)
    return process


def entrypoint(process: "subprocess.Popen[str]") -> int:
    """Return the pid, as seen from here, of the container's PID 1."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until(children.read_text, "there is a PID 1")
    return int(children.read_text().split()[0])


def test_it_is_pid_1_and_the_runtimes_term_reaches_the_job_and_is_reported(
    containers: list["subprocess.Popen[str]"], api: ApiServer, tmp_path: Path
) -> None:
    script = (
        "trap 'echo stopping; exit 9' TERM; echo $PPID > parent;"
        " while :; do sleep 60 & wait $!; done"
    )
    process = start(containers, api, tmp_path, script)
    until_exists(tmp_path / "parent")
    os.kill(entrypoint(process), signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (9, "stopping\n"), err
    assert (tmp_path / "parent").read_text() == "1\n"
    assert api.kinds() == ["start", "fail"]
    assert "asked to stop by SIGTERM" in api.requests[-1].json["errorMessage"]


def test_a_job_without_a_handler_dies_of_the_term(
    containers: list["subprocess.Popen[str]"], api: ApiServer, tmp_path: Path
) -> None:
    """The job is no PID 1, so the kernel's protection of that is not its own."""
    process = start(containers, api, tmp_path, "touch begun; sleep 60; echo unreached")
    until_exists(tmp_path / "begun")
    os.kill(entrypoint(process), signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (143, "")
    assert api.requests[-1].json["errorMessage"].startswith("terminated by SIGTERM")


def test_the_report_goes_out_within_the_grace_period(
    containers: list["subprocess.Popen[str]"], api: ApiServer, tmp_path: Path
) -> None:
    """No state dir, an API that takes its time, and a runtime that kills what is left then."""
    api.script(delayed(2), kind="fail")
    script = "trap 'sleep 1; exit 9' TERM; touch begun; while :; do sleep 60 & wait $!; done"
    process = start(containers, api, tmp_path, script, root=READ_ONLY_HOME)
    until_exists(tmp_path / "begun")
    until(lambda: api.kinds() == ["start"], "the start came")
    os.kill(entrypoint(process), signal.SIGTERM)
    _, err = process.communicate(timeout=GRACE)
    assert process.returncode == 9, err
    assert api.kinds() == ["start", "fail"]
    assert api.requests[-1].json["errorMessage"].startswith("exited with code 9")


@pytest.mark.uses("waitid", reason="PID 1 of a container reaps orphans")
def test_orphans_are_reaped(
    containers: list["subprocess.Popen[str]"], api: ApiServer, tmp_path: Path
) -> None:
    orphans = "for n in 1 2 3 4 5; do (sleep 0.0$n & ) ; done; echo orphan $n; sleep 0.2;"
    process = start(containers, api, tmp_path, orphans + COUNT_CHILDREN)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "orphan 5\nchildren of PID 1: 1\n"), err


def test_a_state_dir_in_a_read_only_file_system_costs_a_warning_only(
    containers: list["subprocess.Popen[str]"], api: ApiServer, tmp_path: Path
) -> None:
    process = start(containers, api, tmp_path, "echo ran; exit 4", root=READ_ONLY_HOME)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (4, "ran\n"), err
    assert "no record on disk of this run" in err
    assert "Read-only file system" in err
    assert api.kinds() == ["start", "fail"]
    assert api.requests[-1].json["logOutput"] == "ran\n"


@pytest.mark.parametrize("state", ["/proc/none", "/sys/state"])
def test_a_state_dir_that_cannot_be_costs_a_warning_only(
    containers: list["subprocess.Popen[str]"], api: ApiServer, tmp_path: Path, state: str
) -> None:
    process = start(containers, api, tmp_path, "echo ran; exit 4", CRONTIFY_STATE_DIR=state)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (4, "ran\n"), err
    assert "no record on disk of this run" in err
    assert api.kinds() == ["start", "fail"]


def test_what_a_container_left_queued_its_successor_delivers(
    containers: list["subprocess.Popen[str]"], api: ApiServer, tmp_path: Path
) -> None:
    """Killed whole by the runtime; the next one, PID 1 again, finds the record in the volume."""
    first = start(containers, api, tmp_path, "touch begun; sleep 60")
    until_exists(tmp_path / "begun")
    until(lambda: api.kinds() == ["start"], "the start came")
    os.kill(entrypoint(first), signal.SIGKILL)
    first.wait(60)
    second = start(containers, api, tmp_path, "echo again")
    second.communicate(timeout=60)
    assert api.kinds() == ["start", "fail", "start", "success"]
    assert "the wrapper was killed" in api.requests[1].json["errorMessage"]


def test_a_key_command_that_fails_is_not_taken_for_one_that_went_well(
    containers: list["subprocess.Popen[str]"], api: ApiServer, tmp_path: Path
) -> None:
    """PID 1 buries orphans, but not what it waits for itself: its exit code would be lost."""
    config = tmp_path / "config.toml"
    config.write_text(
        'api_key_command = ["sh", "-c", "(sleep 0.01 &); (sleep 0.1 &); echo ck_live_1; exit 3"]'
    )
    script = "for n in 1 2 3 4 5 6 7 8 9; do (sleep 0.0$n &); done; sleep 0.5; echo ran"
    process = start(
        containers, api, tmp_path, script, CRONTIFY_API_KEY="", CRONTIFY_CONFIG=str(config)
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "ran\n"), err
    assert "exited with code 3" in err
    assert api.requests == []
