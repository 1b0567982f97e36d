"""No thread, no process, hardly any descriptor to be had: what became of the job is still known."""

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.programs import PROGRAM, need
from tests.server import ApiServer, settings

UID = 100_000 + os.getpid()
"""A user without any process, so that a limit on their number is ours alone."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of that user's, which tmp_path, below a folder of root's, cannot be."""
    need("setpriv")
    if os.geteuid():
        pytest.skip("needs root, to become another user")
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, UID, UID)
        yield Path(name)


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(folder: Path, api: ApiServer) -> Start:
    """Start `crontify ARGS` as that user, with at most so many processes and threads."""

    def start(processes: int, *args: str) -> "subprocess.Popen[str]":
        # Python and this source tree may lie where only root looks.
        caps = "+dac_read_search"
        ids = ("--reuid", str(UID), "--regid", str(UID), "--clear-groups")
        return subprocess.Popen(
            ["setpriv", *ids, "--inh-caps", caps, "--ambient-caps", caps, *PROGRAM, *args],
            env={**os.environ, **settings(api), "HOME": str(folder)},
            cwd=folder,
            preexec_fn=partial(resource.setrlimit, resource.RLIMIT_NPROC, (processes, processes)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def flush_and_read(start: Start, folder: Path) -> list[tuple[str | None, str | None]]:
    """Run `crontify flush` without the limit; return outcome and reason of each run."""
    flush = start(1000, "flush")
    _, err = flush.communicate(timeout=60)
    assert flush.returncode == 0, err
    with closing(sqlite3.connect(folder / ".local/state/crontify/journal.db")) as journal:
        return journal.execute("SELECT outcome, reason FROM runs ORDER BY seq DESC").fetchall()


@pytest.mark.parametrize(("code", "outcome"), [(0, "success"), (7, "fail")])
def test_a_job_is_reported_as_it_ended_though_no_thread_can_be_started(
    start: Start, folder: Path, api: ApiServer, code: int, outcome: str
) -> None:
    job = f"echo out; while ! [ -e go ]; do :; done; exit {code}"  # no process beside the shell
    run = start(2, "exec", "backup", "--", "sh", "-c", job)
    assert run.stderr
    said = run.stderr.readline()
    (folder / "go").touch()
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out, err) == (code, "out\n", "")
    assert "the job goes on" in said
    assert api.kinds() == []
    reason = f"exited with code {code}; its own process could not report it"
    assert flush_and_read(start, folder) == [(outcome, reason)]
    assert api.kinds() == [outcome]


def test_a_job_that_cannot_be_forked_is_reported_as_one_that_could_not_be_started(
    start: Start, folder: Path, api: ApiServer
) -> None:
    run = start(1, "exec", "backup", "--", "true")
    _, err = run.communicate(timeout=60)
    assert run.returncode == 126
    assert "could not be started: true: Resource temporarily unavailable" in err
    ((outcome, reason),) = flush_and_read(start, folder)
    assert outcome == "fail"
    assert str(reason).startswith("could not be started: true: Resource temporarily unavailable")
    assert api.kinds() == ["fail"]
    assert "could not be started: true" in api.requests[0].json["errorMessage"]


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.parametrize("code", [0, 7])
@pytest.mark.parametrize("descriptors", range(4, 14))
def test_a_job_is_reported_as_it_ended_though_hardly_any_descriptor_is_left(
    api: ApiServer, tmp_path: Path, descriptors: int, code: int
) -> None:
    """With fewer not even Python itself starts."""
    if descriptors < 5 and sys.version_info < (3, 12):
        pytest.skip("Python 3.11 needs five descriptors to start")
    state = tmp_path / "state"
    env = {**os.environ, **settings(api), "CRONTIFY_STATE_DIR": str(state)}
    limited = [sys.executable, "-c", LIMITED, str(descriptors)]
    job = f"echo out; exit {code}"
    done = subprocess.run(
        [*limited, *PROGRAM, "exec", "backup", "--", "sh", "-c", job],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (code, "out\n"), done.stderr
    assert "Traceback" not in done.stderr
    flushed = subprocess.run([*PROGRAM, "flush"], env=env, timeout=60)
    assert flushed.returncode == 0
    ends = [request for request in api.accepted if request.kind != "start"]
    if "no record" in done.stderr or not (state / "journal.db").exists():
        assert "is lost, since" in done.stderr or ends
        return
    # If no descriptor was left to write down that the report was sent, it is sent again.
    assert {each.kind for each in ends} == {"fail" if code else "success"}, done.stderr
    assert len(ends) <= 2
    assert ends[0].json["meta"]["exit_code"] == code
