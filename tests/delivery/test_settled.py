"""A report that the server has is recorded as delivered, once, whatever became of our own files."""

import json
import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from crontify_cli import record
from crontify_cli.delivery.journal import Journal, journal_path
from crontify_cli.delivery.records import live_runs
from tests.conftest import Crontify
from tests.delivery.outcomes import queue
from tests.faults import delayed
from tests.job.test_hostile_places import small_disk  # noqa: F401 - a fixture
from tests.programs import PROGRAM, need
from tests.server import ApiServer, Behaviour, Exchange, right
from tests.waiting import until

WAIT = "echo out; until [ -e go ]; do sleep .05; done"


@pytest.fixture
def unusable(state: Path) -> Path:
    """A directory in the journal's place; remove it and the journal can be used."""
    path = Path(journal_path(str(state)))
    path.mkdir(parents=True)
    state.chmod(0o700)
    return path


def start(env: dict[str, str], folder: Path, job: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*PROGRAM, "exec", "backup", "--", "sh", "-c", job],
        cwd=folder,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def reports(state: Path) -> list[tuple[str | None, str | None]]:
    """Return the outcome and the state of the report of each run in the journal."""
    return [(row.outcome, row.report) for row in Journal.open(str(state)).runs()]


def sent(api: ApiServer) -> list[str]:
    return [request.kind for request in api.accepted]


def test_a_journal_that_was_locked_when_the_run_began_is_used_at_its_end(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path, tmp_path: Path
) -> None:
    Journal.open(str(state)).close()
    lock = sqlite3.connect(journal_path(str(state)), isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    run = start(env, tmp_path, f"{WAIT}; exit 5")
    api.wait_for(1)  # without the journal
    lock.execute("ROLLBACK")
    lock.close()
    (tmp_path / "go").touch()
    run.communicate(timeout=60)
    assert run.returncode == 5
    assert reports(state) == [("fail", "delivered")]
    assert crontify("flush", env=env).returncode == 0
    assert sent(api) == ["start", "fail"]


def test_a_disk_that_was_full_when_the_run_began(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    tmp_path: Path,
    small_disk: Path,  # noqa: F811 - the fixture
) -> None:
    subprocess.run(["mount", "-o", "remount,size=3m", str(small_disk)], check=True)
    state = small_disk / "state"
    env = {**env, "CRONTIFY_STATE_DIR": str(state)}
    Journal.open(str(state)).close()
    filler = ["dd", "if=/dev/zero", f"of={small_disk}/filler", "bs=4k"]
    assert b"No space left" in subprocess.run(filler, capture_output=True).stderr
    run = start(env, tmp_path, f"{WAIT}; exit 5")
    api.wait_for(1)
    (small_disk / "filler").unlink()
    (tmp_path / "go").touch()
    run.communicate(timeout=60)
    assert run.returncode == 5
    assert reports(state) == [("fail", "delivered")]
    assert crontify("flush", env=env).returncode == 0
    assert sent(api) == ["start", "fail"]


def test_what_was_sent_without_a_journal_is_written_down_later(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path, unusable: Path
) -> None:
    assert crontify("exec", "backup", "--", "sh", "-c", "exit 5", env=env).returncode == 5
    unusable.rmdir()
    assert crontify("exec", "backup", "--", "true", env=env).returncode == 0
    assert reports(state) == [("fail", "delivered"), ("success", "delivered")]
    assert sent(api) == ["start", "fail", "start", "success"]
    assert live_runs(str(state)) == []


@pytest.mark.parametrize("frozen", ["record", "folder"])
def test_a_record_that_cannot_be_removed_is_not_sent_again(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    state: Path,
    unusable: Path,
    frozen: str,
) -> None:
    need("chattr")
    what = f"{state}/live" + ("/$CRONTIFY_RUN-backup.rec" if frozen == "record" else "")
    try:
        job = f"chattr +i {what} && exit 5"
        done = crontify("exec", "backup", "--", "sh", "-c", job, env=env)
        if "chattr" in done.stderr:
            pytest.skip(done.stderr)
        assert done.returncode == 5
        assert len(live_runs(str(state))) == 1
        unusable.rmdir()
        for _ in range(2):
            assert crontify("flush", env=env).returncode == 0
        assert sent(api) == ["start", "fail"]
    finally:
        subprocess.run(["chattr", "-R", "-i", str(state / "live")], check=True)
    assert crontify("flush", env=env).returncode == 0
    assert sent(api) == ["start", "fail"]
    assert reports(state) == [("fail", "delivered")]
    assert os.listdir(state / "live") == []


def test_without_journal_and_record_one_file_is_made_at_the_end(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    impatient: dict[str, str],
    state: Path,
    unusable: Path,
) -> None:
    """Neither locks nor a mapping are needed for it, and it is on disk before the first attempt."""
    api.down()
    live = state / "live"
    live.touch()
    job = f"rm {live}; echo why; exit 5"
    trace = state / "trace"
    command = [*PROGRAM, "exec", "backup", "--", "sh", "-c", job]
    need("strace")
    done = subprocess.run(
        ["strace", "-f", "-o", str(trace), "-e", "trace=fsync,rename,renameat,connect", *command],
        env={**os.environ, **impatient},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 5
    assert "'crontify flush' reports the run from its record" in done.stderr
    calls = [line.split(None, 1)[1] for line in trace.read_text().splitlines()]
    synced = next(at for at, call in enumerate(calls) if call.startswith("fsync("))
    renamed = next(at for at, call in enumerate(calls) if ".rec" in call)
    assert synced < renamed
    assert any("connect" in call and f"htons({api.port})" in call for call in calls[renamed:])
    (run,) = live_runs(str(state))
    assert os.stat(run.path).st_blocks * 512 < 20_000
    assert os.listdir(live) == [os.path.basename(run.path)]
    found = json.loads(crontify("doctor", "--json", env=impatient).stdout)
    assert any(each["found"].startswith("1 report queued, for ") for each in found)
    unusable.rmdir()
    api.up()
    assert crontify("flush", env=env).returncode == 0
    (fail,) = [request.json for request in api.accepted]
    assert fail["errorMessage"].endswith(
        "exited with code 5; its own process could not report it: why"
    )
    assert fail["logOutput"] == "why\n"
    assert live_runs(str(state)) == []


def test_a_delivery_that_the_journal_could_not_take_is_not_made_again(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    locks: list[sqlite3.Connection] = []

    def lock_then_take(exchange: Exchange) -> None:
        path = journal_path(str(state))
        locks.append(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
        locks[0].execute("BEGIN EXCLUSIVE")
        right.act(exchange)

    api.script(Behaviour(lock_then_take), kind="fail")
    assert crontify("exec", "backup", "--", "sh", "-c", "exit 5", env=env).returncode == 5
    locks[0].execute("ROLLBACK")
    locks[0].close()
    assert reports(state) == [("fail", "queued")]
    assert crontify("flush", env=env).returncode == 0
    assert reports(state) == [("fail", "delivered")]
    assert sent(api) == ["start", "fail"]


def test_no_delivery_is_begun_that_our_exit_would_break_off(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path, tmp_path: Path
) -> None:
    config = tmp_path / "short.toml"
    config.write_text("report_timeout = 4\nhttp_timeout = 3\n")
    queue(state, "other", *"abc", url=api.url)
    api.choose = lambda request: delayed(1.3) if "/other/" in request.path else None
    short = {**env, "CRONTIFY_CONFIG": str(config)}
    assert crontify("exec", "backup", "--", "true", env=short).returncode == 0
    assert crontify("flush", env=env).returncode == 0
    messages = [r.json["errorMessage"][-1] for r in api.accepted if "/other/" in r.path]
    assert messages == list("abc")


def test_an_attempt_in_flight_when_a_person_has_enough_is_waited_for(
    crontify: Crontify, api: ApiServer, env: dict[str, str], tmp_path: Path, state: Path
) -> None:
    api.script(delayed(0.4), kind="fail")
    run = start(env, tmp_path, "exit 5")
    until(lambda: "fail" in api.kinds(), "the fail is in flight")
    run.terminate()
    run.communicate(timeout=60)
    assert run.returncode == 5
    assert crontify("flush", env=env).returncode == 0
    assert sent(api) == ["start", "fail"]
    assert reports(state) == [("fail", "delivered")]


def test_the_header_is_synced_while_the_job_runs(env: dict[str, str], tmp_path: Path) -> None:
    need("strace")
    trace = tmp_path / "trace"
    job = f"until grep -q 'fdatasync.*{record.SUFFIX}' {trace}; do sleep .05; done"
    command = [*PROGRAM, "exec", "backup", "--", "timeout", "25", "sh", "-c", job]
    done = subprocess.run(
        ["strace", "-f", "-y", "-o", str(trace), "-e", "trace=fdatasync", *command],
        env={**os.environ, **env},
        timeout=60,
    )
    assert done.returncode == 0
