"""The journal's file in every state that a disk and other programs can bring it into."""

import os
import random
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import crontify_cli
from crontify_cli.delivery.journal import VERSION, Journal, JournalError, MonitorQueue, journal_path
from crontify_cli.delivery.retention import prune
from crontify_cli.delivery.waiting import discard
from crontify_cli.record import SIZE
from tests.conftest import Crontify
from tests.delivery.outcomes import finish, queue
from tests.job.test_hostile_places import small_disk  # noqa: F401 - a fixture
from tests.programs import need
from tests.server import ApiServer

JOB = ("exec", "backup", "--", "sh", "-c", "echo out; exit 7")


def filled(state: Path) -> Path:
    """Make a journal with a history of some pages; return its file, with nothing in the WAL."""
    for at in range(40):
        finish(state, f"m{at % 5}", "success", log="x" * 500)
    path = Path(journal_path(str(state)))
    assert not path.with_name("journal.db-wal").exists()
    return path


def noise(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def noise_behind_the_first_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut_in_the_header(path: Path) -> None:
    os.truncate(path, 50)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def of_another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as db:
        db.executescript(f"CREATE TABLE bookmarks (url); PRAGMA user_version = {VERSION}")
    db.close()


@pytest.mark.parametrize(
    "damage",
    [
        *(noise, noise_behind_the_first_page, truncated, cut_in_the_header, emptied),
        of_another_program,
    ],
)
def test_a_file_that_is_no_journal_is_set_aside_and_the_run_stands_in_a_new_one(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    state: Path,
    damage: Callable[[Path], None],
) -> None:
    path = filled(state)
    damage(path)
    damaged = path.read_bytes()
    done = crontify(*JOB, env=env)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert api.kinds() == ["start", "fail"]
    (line,) = done.stderr.splitlines()
    aside = min(state.glob("journal.db.corrupt-*"))  # its -wal and -shm went with it
    assert aside.read_bytes()[:1000] == damaged[:1000]
    assert str(path) in line
    assert f"set aside as {aside}, begun anew" in line
    (row,) = Journal.open(str(state)).runs()
    assert (row.outcome, row.report) == ("fail", "delivered")


@pytest.mark.parametrize("damage", [emptied, noise, noise_behind_the_first_page])
def test_a_broken_file_is_set_aside_once_by_all_who_find_it_at_once(
    state: Path, damage: Callable[[Path], None]
) -> None:
    """One of them says so, and nobody sets the new file aside, with what stands in it by then."""
    finders = 6
    together = threading.Barrier(finders, timeout=60)

    def find(home: Path, monitor: str) -> str | None:
        together.wait()
        journal = Journal.open(str(home), wait=60)
        finish(home, monitor, "fail", journal=journal)
        warning = journal.warning
        journal.close()
        return warning

    monitors = [f"job-{number}" for number in range(finders)]
    with ThreadPoolExecutor(finders) as threads:
        for home in (state / str(at) for at in range(8)):
            damage(filled(home))
            said = [words for words in threads.map(find, [home] * finders, monitors) if words]
            assert len(said) == 1
            rows = Journal.open(str(home)).runs()
            assert sorted(row.monitor for row in rows) == monitors


def test_an_outcome_is_not_lost_with_a_file_that_breaks_under_an_open_connection(
    state: Path,
) -> None:
    path = filled(state)
    journal = Journal.open(str(state))
    noise_behind_the_first_page(path)
    report = finish(state, "backup", "fail", journal=journal)
    assert report == 1
    assert journal.warning is not None
    assert "set aside as" in journal.warning
    assert [row.monitor for row in Journal.open(str(state)).runs()] == ["backup"]


def test_an_outcome_goes_into_the_file_that_has_the_name_by_then(state: Path) -> None:
    path = filled(state)
    journal = Journal.open(str(state))
    path.unlink()
    finish(state, "backup", "fail", journal=journal)
    assert [row.monitor for row in Journal.open(str(state)).runs()] == ["backup"]


def test_an_outcome_is_synced_when_finish_returns(state: Path, tmp_path: Path) -> None:
    """It survives a power cut, which no test can make: the system calls are looked at."""
    need("strace")
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from crontify_cli.delivery.journal import Journal\n"
        "from tests.delivery.outcomes import finish\n"
        "journal = Journal.open(sys.argv[1])\n"
        "finish(Path(sys.argv[1]), 'backup', 'fail', journal=journal)\n"
        "os._exit(0)\n"  # closing the last connection would sync, too
    )
    trace = ["strace", "-f", "-y", "-o", "trace", "-e", "trace=write,pwrite64,fsync,fdatasync"]
    subprocess.run(
        [*trace, sys.executable, "-c", script, str(state)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
    )
    calls = [
        line.split()[1].partition("(")[0]
        for line in (tmp_path / "trace").read_text().splitlines()
        if "/journal.db-wal>" in line
    ]
    assert "pwrite64" in calls
    assert calls[-1] in ("fsync", "fdatasync"), calls


def test_a_newer_journal_is_left_alone(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    path = filled(state)
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    before = path.read_bytes()
    done = crontify(*JOB, env=env)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert api.kinds() == ["start", "fail"]
    (line,) = done.stderr.splitlines()
    assert f"{path} is of version {VERSION + 1}" in line
    assert "is sent directly" in line
    assert path.read_bytes() == before
    flush = crontify("flush", env=env)
    assert flush.returncode == 1
    assert "install the newer crontify" in flush.stderr


@pytest.fixture
def locked(state: Path) -> Iterator[Path]:
    """A journal that another process has locked, and does not let go."""
    path = filled(state)
    script = (
        "import sqlite3, sys, time; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        " db.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); time.sleep(1000)"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"locked\n"
        yield path
        holder.kill()


def test_a_lock_that_stays_costs_the_journal_and_not_the_report(
    crontify: Crontify, api: ApiServer, env: dict[str, str], locked: Path
) -> None:
    done = crontify(*JOB, env=env)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert api.kinds()[-1] == "fail"
    (line,) = done.stderr.splitlines()
    assert "its report is sent directly" in line
    assert f"{locked}: database is locked" in line


def test_a_lock_that_others_take_in_turn_is_waited_for(state: Path) -> None:
    path = filled(state)
    script = (
        "import sqlite3, sys, time; db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for at in range(5):\n"
        "    db.execute('BEGIN EXCLUSIVE')\n"
        "    db.execute('INSERT INTO chores VALUES (?, 1)', (str(at),))\n"
        "    print('locked', flush=True)\n"
        "    time.sleep(1)\n"
        "    db.execute('COMMIT')\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as others:
        assert others.stdout
        assert others.stdout.readline() == b"locked\n"
        journal = Journal.open(str(state), wait=3)
        assert finish(state, "backup", "fail", journal=journal)


@pytest.fixture
def ram_disk(small_disk: Path) -> Path:  # noqa: F811 - the fixture
    """A file system of 3 MB: room for a journal and for the record of a run, once."""
    remount = ["mount", "-o", "remount,size=3m", str(small_disk)]
    subprocess.run(remount, check=True)
    return small_disk


def test_a_disk_that_is_full_by_now(
    crontify: Crontify, api: ApiServer, env: dict[str, str], ram_disk: Path
) -> None:
    env = {**env, "CRONTIFY_STATE_DIR": str(ram_disk / "state")}
    filled(ram_disk / "state")
    # The record has its place, and the secrets at its end, a moment after the job's start.
    size = f"stat -c %s {ram_disk}/state/live/$CRONTIFY_RUN-backup.rec"
    script = (
        f"until [ $({size}) -gt {SIZE} ]; do sleep .02; done;"
        f" dd if=/dev/zero of={ram_disk}/filler bs=4k 2>/dev/null; echo out; exit 7"
    )
    done = crontify("exec", "backup", "--", "sh", "-c", script, env=env)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert api.kinds() == ["start", "fail"]
    (line,) = done.stderr.splitlines()
    assert "is sent directly" in line
    assert f"{ram_disk / 'state/journal.db'}: " in line


def test_a_disk_that_is_read_only_by_now(
    crontify: Crontify, api: ApiServer, env: dict[str, str], ram_disk: Path
) -> None:
    env = {**env, "CRONTIFY_STATE_DIR": str(ram_disk / "state")}
    path = filled(ram_disk / "state")
    subprocess.run(["mount", "-o", "remount,ro", str(ram_disk)], check=True)
    done = crontify(*JOB, env=env)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert api.kinds() == ["start", "fail"]
    record, journal = done.stderr.splitlines()
    assert "no record on disk" in record
    assert "is sent directly" in journal
    assert str(path) in journal


OPEN = "import sys; from crontify_cli.delivery.journal import Journal; Journal.open(sys.argv[1])"


def test_it_is_made_complete_or_not_at_all(state: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", OPEN, str(state / "whole")], check=True)
    whole = time.monotonic() - began
    for at in range(12):
        maker = subprocess.Popen([sys.executable, "-c", OPEN, str(state / str(at))])
        time.sleep(chance.uniform(whole / 2, whole))
        maker.send_signal(signal.SIGKILL)
        maker.wait()
        path = Path(journal_path(str(state / str(at))))
        if path.exists():
            Journal.open(str(state / str(at)), create=False).close()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_many_make_it_at_once_and_all_have_the_same(state: Path) -> None:
    makers = [subprocess.Popen([sys.executable, "-c", OPEN, str(state)]) for _ in range(8)]
    assert [maker.wait(60) for maker in makers] == [0] * 8
    assert {path.name for path in state.iterdir()} <= {
        "journal.db",
        "journal.db-wal",
        "journal.db-shm",
    }


def test_everything_is_for_the_owner_alone(
    crontify: Crontify, env: dict[str, str], state: Path
) -> None:
    old = os.umask(0)
    try:
        crontify(*JOB, env=env)
    finally:
        os.umask(old)
    for path in (state, *state.rglob("*")):
        assert not path.stat().st_mode & 0o077, path


def test_what_commands_and_runs_ask_is_answered_by_an_index(state: Path) -> None:
    """No question reads every run or report, but those that want them all."""
    first, second, *_, newest = queue(state, "backup", *["fail"] * 6, "success")
    journal = Journal.open(str(state))
    run_id = journal.report(first).run_id
    journal.note_start(run_id, "acknowledged", "clrun")
    asked: list[str] = []
    journal._db.set_trace_callback(asked.append)
    mine = MonitorQueue("http://127.0.0.1:1", "backup", "me")
    lineup = journal.claim(mine)
    assert lineup
    assert lineup.folded == (first, second)
    journal.report(lineup.send[0])
    journal.would_close(run_id, [run_id])
    journal.unended("http://127.0.0.1:1", "backup")
    journal.settle(first, "queued", is_trouble=True)
    journal.settle(first, "delivered", run_id="clrun")
    journal.supersede([newest])
    journal.release("me", [second])
    journal.failures_in_a_row("backup")
    journal.recent_successes("backup")
    list(journal.runs(monitor="backup", limit=20))
    list(journal.runs(monitor="backup", failed=True, limit=1))
    list(journal.runs(limit=20))
    journal.run(run_id)
    journal.find_runs("clrun")
    journal.queue()
    journal.queued_monitors("http://127.0.0.1:1")
    journal._db.set_trace_callback(None)
    assert len(asked) > 15
    for sql in asked:
        if sql.startswith(("SELECT", "UPDATE", "INSERT")):
            plan = [row[3] for row in journal._db.execute(f"EXPLAIN QUERY PLAN {sql}")]
            scans = [step for step in plan if step.startswith("SCAN") and "INDEX" not in step]
            # The newest of all are read by their own number, as many as asked for.
            in_order = "ORDER BY seq DESC LIMIT" in sql and "WHERE 1 ORDER" in sql
            assert in_order or scans in ([], ["SCAN (subquery-1)"], ["SCAN CONSTANT ROW"]), sql


def test_a_query_on_a_broken_file_says_what_became_of_it(state: Path) -> None:
    path = filled(state)
    journal = Journal.open(str(state))
    noise_behind_the_first_page(path)
    with pytest.raises(JournalError, match=r"journal\.db: .*; set aside as .*corrupt-") as caught:
        list(journal.runs())
    assert caught.value.is_set_aside


def test_no_statement_has_numbered_parameters() -> None:
    """From Python 3.14 on sqlite3 refuses `?1` with a sequence of values."""
    package = Path(crontify_cli.__file__).parent
    numbered = re.compile(r"[=<>(,]\s*\?\d|\b(?:LIMIT|OFFSET)\s+\?\d")
    assert [file for file in package.rglob("*.py") if numbered.search(file.read_text())] == []


def test_what_is_noted_next_to_a_queued_report_is_forgotten_with_it(tmp_path: Path) -> None:
    ids = queue(tmp_path, "backup", "success", *["fail"] * 6)
    journal = Journal.open(str(tmp_path))

    def noted() -> set[int]:
        tables = "SELECT report_id FROM unanswered UNION ALL SELECT report_id FROM troubled"
        found = [int(str(each)) for (each,) in journal.query(tables)]
        assert len(found) == 2 * len(set(found)), "in both"
        return set(found)

    for report in ids:
        journal.settle(report, "queued", is_trouble=True, unanswered_at=time.time())
    assert noted() == set(ids)
    lineup = journal.claim(MonitorQueue("http://127.0.0.1:1", "backup", "me"))
    assert lineup
    assert lineup.superseded
    assert lineup.folded
    assert noted() == set(lineup.send)
    first, second, *others = lineup.send
    journal.settle(first, "delivered")
    journal.release("me", lineup.send)
    discard(journal, [journal.report(second).run_id])
    assert noted() == set(others)
    prune(journal, 1, 0)
    assert noted() == {max(others)}
