"""The journal of runs and, in the same file, the outbox of their reports (the only sqlite3).

A report is a row from before its first attempt until it was delivered, superseded
or refused for good, and stays behind as history. Rows are leased: whoever sends one
writes its own name (`processes.identity`) into it first; a lease ends with its holder.

Write-ahead logging lets readers and one writer work at once. A connection belongs
to the thread that opened it.
"""

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from crontify_cli import processes
from crontify_cli.model import Ending, Meta, Ping, Run

VERSION = 1
LEASE_SECONDS = 300.0
"""How long a lease holds whose holder lives in another PID namespace, out of sight."""

_SCHEMA = """
CREATE TABLE runs (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  monitor TEXT NOT NULL,
  monitor_id TEXT NOT NULL,
  base_url TEXT NOT NULL,
  command TEXT NOT NULL,
  wrapper_pid INTEGER NOT NULL, wrapper_start INTEGER NOT NULL,
  job_pid INTEGER NOT NULL, job_start INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  started_at REAL NOT NULL,
  start_state TEXT,
  remote_run_id TEXT,
  outcome TEXT, reason TEXT, exit_code INTEGER,
  ended_at REAL, duration REAL,
  meta TEXT, excerpt TEXT
);
CREATE INDEX runs_by_monitor ON runs (monitor, seq);
CREATE INDEX runs_that_failed ON runs (monitor, seq) WHERE outcome IN ('fail', 'tolerated', 'lost');
CREATE INDEX runs_by_remote_id ON runs (remote_run_id) WHERE remote_run_id IS NOT NULL;
CREATE TABLE reports (
  id INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL UNIQUE,
  base_url TEXT NOT NULL,
  monitor_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  meta TEXT NOT NULL,
  error_message TEXT,
  log_output TEXT,
  ended_at REAL NOT NULL,
  state TEXT NOT NULL DEFAULT 'queued',
  attempts INTEGER NOT NULL DEFAULT 0,
  last_error TEXT,
  settled_at REAL,
  owner TEXT, owned_at REAL
);
CREATE INDEX reports_by_monitor ON reports (base_url, monitor_id, id);
CREATE INDEX reports_queued ON reports (base_url, monitor_id, id) WHERE state = 'queued';
CREATE TABLE chores (name TEXT PRIMARY KEY, done_at REAL NOT NULL);
"""

StartState = Literal["acknowledged", "unknown", "dropped", "refused"]
ReportState = Literal["queued", "delivered", "superseded", "refused"]


class JournalError(Exception):
    """The journal cannot be used; the message names the file and what was done with it."""


class Queued(NamedTuple):
    """A report of the outbox. `ended_at` is when its run ended, in seconds since the epoch."""

    id: int
    run_id: str
    ping: Ping
    ended_at: float
    attempts: int


class RunRow(NamedTuple):
    """A run as the journal knows it now.

    From `report` on the fields are its final report's: `report` is None where there is
    none, `message` is its error message, `settled_at` when it was sent or given up.
    """

    seq: int
    id: str
    monitor: str
    monitor_id: str
    base_url: str
    command: tuple[str, ...]
    wrapper: tuple[int, int]
    boot_id: str
    started_at: float
    start_state: StartState | None
    remote_run_id: str | None
    outcome: str | None
    reason: str | None
    exit_code: int | None
    ended_at: float | None
    duration: float | None
    meta: Meta
    excerpt: str | None
    report: ReportState | None
    attempts: int
    last_error: str | None
    message: str | None
    settled_at: float | None


class Lap(NamedTuple):
    """What statistics need of a run: times in seconds, `started_at` since the epoch."""

    monitor: str
    outcome: str | None
    started_at: float
    duration: float | None


def journal_path(state: str) -> str:
    """Return the journal's place in the state directory `state`."""
    return os.path.join(state, "journal.db")


class Journal:
    """An open journal. Every method raises JournalError if the file fails it."""

    def __init__(self, path: str, connection: sqlite3.Connection, inode: int) -> None:
        self.path = path
        self._db = connection
        self._inode = inode

    @classmethod
    def open(cls, state: str, *, wait: float = 5.0, create: bool = True) -> "Journal":
        """Open the journal of the state directory `state`, and make it if it is not there.

        wait: seconds to wait for another process's lock, here and in every method.
        A file that is no journal is set aside, and a new one is made.
        create: make one where there is none, instead of raising.
        """
        path = journal_path(state)
        try:
            if not os.path.exists(path):
                if not create:
                    raise JournalError(f"there is no journal yet at {path}")
                _create(path)
            inode = os.stat(path).st_ino
            try:
                return cls._open(path, wait)
            except sqlite3.DatabaseError as error:
                if not _is_corrupt(error):
                    raise
                warning = f"{path}: {error}; {_set_aside(path, inode)}, begun anew"
                if not os.path.exists(path):
                    _create(path)
                journal = cls._open(path, wait)
                journal.warning = warning
                return journal
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"{path}: {error}") from error

    warning: str | None = None
    """What a person should know of how the journal was opened."""

    @classmethod
    def _open(cls, path: str, wait: float) -> "Journal":
        db = sqlite3.connect(f"file:{_quote(path)}?mode=rw", timeout=wait, uri=True)
        db.isolation_level = None  # transactions are begun by hand, and IMMEDIATE
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            raise _Foreign("not a journal")
        if version != VERSION:
            db.close()
            raise JournalError(
                f"{path} is of version {version}, and this crontify knows {VERSION}:"
                " install the newer crontify, or move the file away"
            )
        db.execute("PRAGMA synchronous = NORMAL")
        return cls(path, db, os.stat(path).st_ino)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self, durable: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            if durable:
                self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failure(error) from error
        finally:
            if durable:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("PRAGMA synchronous = NORMAL")

    def _query(self, sql: str, values: Iterable[object] = ()) -> Iterator[tuple[object, ...]]:
        try:
            yield from self._db.execute(sql, tuple(values))
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.Error) -> JournalError:
        what = f"{self.path}: {error}"
        if isinstance(error, sqlite3.DatabaseError) and _is_corrupt(error):
            what += f"; {_set_aside(self.path, self._inode)}"
        return JournalError(what)

    # Runs

    def begin(self, run: Run) -> None:
        """Write down that `run` has started; nothing if it stands there already."""
        with self._transaction() as db:
            _begin(db, run)

    def note_start(self, run_id: str, state: StartState, remote_run_id: str | None) -> None:
        """Write down what became of the start ping."""
        with self._transaction() as db:
            db.execute(
                "UPDATE runs SET start_state = ?, remote_run_id = coalesce(?, remote_run_id)"
                " WHERE id = ?",
                (state, remote_run_id, run_id),
            )

    def failures_in_a_row(self, monitor: str) -> int:
        """Return how many runs of `monitor` failed since its last success."""
        rows = self._query(
            "SELECT count(*) FROM runs WHERE monitor = ?1"
            " AND outcome IN ('fail', 'tolerated', 'lost') AND seq > coalesce("
            "(SELECT max(seq) FROM runs WHERE monitor = ?1 AND outcome = 'success'), 0)",
            (monitor,),
        )
        return int(str(next(rows)[0]))

    def finish(self, run: Run, ending: Ending, ping: Ping | None, owner: str | None) -> int | None:
        """Write down a run's end together with its report, durably; return the report's id.

        owner: who sends the report now, None to leave it to whoever comes first.
        None is returned where there is no report, or where the run had ended already.
        """
        with self._transaction(durable=True) as db:
            _begin(db, run)
            changed = db.execute(
                "UPDATE runs SET outcome = ?, reason = ?, exit_code = ?, ended_at = ?,"
                " duration = ?, meta = ?, excerpt = ? WHERE id = ? AND outcome IS NULL",
                (
                    ending.outcome,
                    ending.reason,
                    ending.exit_code,
                    ending.ended_at,
                    ending.duration,
                    json.dumps(dict(ending.meta)),
                    ending.excerpt,
                    run.id,
                ),
            ).rowcount
            if not changed or ping is None:
                return None
            return db.execute(
                "INSERT INTO reports (run_id, base_url, monitor_id, kind, meta, error_message,"
                " log_output, ended_at, owner, owned_at) VALUES (?,?,?,?,?,?,?,?,?,?)",
                (
                    run.id,
                    run.base_url,
                    ping.monitor_id,
                    ping.kind,
                    json.dumps(dict(ping.meta)),
                    ping.error_message,
                    ping.log_output,
                    ending.ended_at,
                    owner,
                    time.time() if owner else None,
                ),
            ).lastrowid

    def run(self, run_id: str) -> RunRow | None:
        """Return the run with exactly this local id."""
        rows = self._query(f"{_RUN_ROWS} WHERE runs.id = ?", (run_id,))
        return next(map(_run_row, rows), None)

    def runs(
        self,
        *,
        monitor: str | None = None,
        failed: bool = False,
        since: float | None = None,
        limit: int | None = None,
    ) -> Iterator[RunRow]:
        """Yield runs, the newest first. since: seconds since the epoch, of the run's start."""
        where, values = ["1"], []  # type: list[str], list[object]
        if monitor is not None:
            where, values = [*where, "monitor = ?"], [*values, monitor]
        if failed:
            where.append("outcome IN ('fail', 'tolerated', 'lost')")
        if since is not None:
            where, values = [*where, "started_at >= ?"], [*values, since]
        sql = f"{_RUN_ROWS} WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"
        for row in self._query(sql, (*values, -1 if limit is None else limit)):
            yield _run_row(row)

    def find_runs(self, name: str, limit: int = 2) -> list[RunRow]:
        """Return the runs that `name` may mean: a remote run id, a local id or its start.

        The newest first.
        """
        end = name[:-1] + chr(ord(name[-1]) + 1) if name else ""
        where = "remote_run_id = ? OR (runs.id >= ? AND runs.id < ?)"
        sql = f"{_RUN_ROWS} WHERE {where} ORDER BY seq DESC LIMIT ?"
        return [_run_row(row) for row in self._query(sql, (name, name, end, limit))]

    def laps(self, *, monitor: str | None = None, since: float | None = None) -> Iterator[Lap]:
        """Yield what statistics need of the runs that `runs` would yield, in its order."""
        rows = self._query(
            "SELECT monitor, outcome, started_at, duration FROM runs"
            " WHERE (?1 IS NULL OR monitor = ?1) AND (?2 IS NULL OR started_at >= ?2)"
            " ORDER BY seq DESC",
            (monitor, since),
        )
        yield from map(Lap._make, rows)

    def recent_successes(self, monitor: str, among: int = 100) -> list[float]:
        """Return how long the successes took, in seconds, among a monitor's newest runs."""
        rows = self._query(
            "SELECT duration FROM (SELECT outcome, duration FROM runs WHERE monitor = ?"
            " ORDER BY seq DESC LIMIT ?) WHERE outcome = 'success' AND duration IS NOT NULL",
            (monitor, among),
        )
        return [float(str(duration)) for (duration,) in rows]

    # Reports

    def claim(
        self, base_url: str, monitor_id: str, owner: str, *, limit: int = 100, except_run: str = ""
    ) -> list[Queued]:
        """Lease the oldest queued reports of a monitor that nobody alive holds; oldest first.

        except_run: the run whose report the caller sends apart.
        """
        with self._transaction() as db:
            rows = db.execute(
                f"{_QUEUED} WHERE state = 'queued' AND base_url = ? AND monitor_id = ?"
                " AND run_id != ? ORDER BY id LIMIT ?",
                (base_url, monitor_id, except_run, limit),
            ).fetchall()
            free = [row for row in rows if row[-2] == owner or not _is_held(row[-2], row[-1])]
            db.executemany(
                "UPDATE reports SET owner = ?, owned_at = ? WHERE id = ?",
                [(owner, time.time(), row[0]) for row in free],
            )
        return [_queued(row) for row in free]

    def newest_report(self, base_url: str, monitor_id: str) -> int:
        """Return the id of a monitor's newest report, whatever became of it; 0 without any."""
        rows = self._query(
            "SELECT max(id) FROM reports WHERE base_url = ? AND monitor_id = ?",
            (base_url, monitor_id),
        )
        return int(str(next(rows)[0] or 0))

    def is_contested(self, base_url: str, monitor_id: str, owner: str) -> bool:
        """Tell whether another living process holds a queued report of this monitor."""
        rows = self._query(
            "SELECT owner, owned_at FROM reports WHERE state = 'queued' AND base_url = ?"
            " AND monitor_id = ? AND owner IS NOT NULL AND owner != ?",
            (base_url, monitor_id, owner),
        )
        return any(_is_held(str(holder), float(str(at))) for holder, at in rows)

    def settle(
        self, report_id: int, state: ReportState, *, error: str = "", run_id: str | None = None
    ) -> None:
        """Write down what an attempt brought, and end the lease.

        run_id: the remote run that a delivered report closed, if the server named one.
        """
        with self._transaction() as db:
            db.execute(
                "UPDATE reports SET state = ?, attempts = attempts + 1, last_error = ?,"
                " settled_at = ?, owner = NULL, owned_at = NULL WHERE id = ?",
                (state, error or None, time.time(), report_id),
            )
            if run_id:
                db.execute(
                    "UPDATE runs SET remote_run_id = coalesce(remote_run_id, ?) WHERE id ="
                    " (SELECT run_id FROM reports WHERE id = ?)",
                    (run_id, report_id),
                )

    def supersede(self, report_ids: Iterable[int]) -> None:
        """Settle successes that newer outcomes made pointless."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE reports SET state = 'superseded', settled_at = ?, owner = NULL,"
                " owned_at = NULL WHERE id = ?",
                [(time.time(), report_id) for report_id in report_ids],
            )

    def release(self, owner: str, report_ids: Iterable[int]) -> None:
        """End leases of `owner` on reports that it did not get to: somebody else may."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE reports SET owner = NULL, owned_at = NULL WHERE id = ? AND owner = ?",
                [(report_id, owner) for report_id in report_ids],
            )

    def requeue_refused(self, base_url: str) -> int:
        """Queue again what the server had refused; return how many reports that are."""
        with self._transaction() as db:
            return db.execute(
                "UPDATE reports SET state = 'queued' WHERE state = 'refused' AND base_url = ?",
                (base_url,),
            ).rowcount

    def queued_monitors(self, base_url: str) -> list[str]:
        """Return the monitor ids that have queued reports, the longest waiting first."""
        rows = self._query(
            "SELECT monitor_id, min(id) FROM reports WHERE state = 'queued' AND base_url = ?"
            " GROUP BY monitor_id ORDER BY 2",
            (base_url,),
        )
        return [str(monitor_id) for monitor_id, _ in rows]

    def queue(self, base_url: str | None = None) -> tuple[int, float | None]:
        """Return how many reports are queued, and when the oldest one's run ended."""
        rows = self._query(
            "SELECT count(*), min(ended_at) FROM reports WHERE state = 'queued'"
            " AND (?1 IS NULL OR base_url = ?1)",
            (base_url,),
        )
        count, oldest = next(rows)
        return int(str(count)), None if oldest is None else float(str(oldest))

    # Chores

    def is_due(self, chore: str, seconds: float) -> bool:
        """Tell whether `chore` was last done `seconds` ago or more; then it counts as done now."""
        now = time.time()
        with self._transaction() as db:
            row = db.execute("SELECT done_at FROM chores WHERE name = ?", (chore,)).fetchone()
            if row and 0 <= now - row[0] < seconds:
                return False
            db.execute("INSERT OR REPLACE INTO chores VALUES (?, ?)", (chore, now))
        return True

    def prune(self, keep_runs: int, keep_days: float) -> None:
        """Forget runs beyond the newest `keep_runs` or older than `keep_days`, and their reports.

        What is still queued goes too when its time is over: nothing may grow for ever.
        """
        with self._transaction() as db:
            db.execute(
                "DELETE FROM runs WHERE started_at < ? OR seq <= (SELECT max(seq) - ? FROM runs)",
                (time.time() - keep_days * 86400, keep_runs),
            )
            db.execute("DELETE FROM reports WHERE run_id NOT IN (SELECT id FROM runs)")


def _create(path: str) -> None:
    """Make the journal complete or not at all: under another name first, then linked."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    scratch = f"{path}.new-{os.getpid()}-{time.monotonic_ns()}"
    os.close(os.open(scratch, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        db = sqlite3.connect(scratch)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        finally:
            db.close()
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(scratch, path)
    finally:
        for name in (scratch, f"{scratch}-wal", f"{scratch}-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def _set_aside(path: str, inode: int) -> str:
    """Rename the corrupt journal that was the file `inode`, and say so in words.

    Another thread or process may have done so, and begun a good one in its place.
    """
    aside = f"{path}.corrupt-{int(time.time())}-{os.getpid()}"
    try:
        if os.stat(path).st_ino != inode:
            return "set aside already"
    except FileNotFoundError:
        return "set aside already"
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + suffix, aside + suffix)
    return f"set aside as {aside}"


class _Foreign(sqlite3.DatabaseError):
    """A database, but none of ours."""


def _is_corrupt(error: sqlite3.DatabaseError) -> bool:
    codes = sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB
    return isinstance(error, _Foreign) or getattr(error, "sqlite_errorcode", 0) & 0xFF in codes


def _quote(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _is_held(holder: str | None, since: float | None) -> bool:
    if holder is None or since is None:
        return False
    alive = processes.is_holder_alive(holder)
    return 0 <= time.time() - since < LEASE_SECONDS if alive is None else alive


def _begin(db: sqlite3.Connection, run: Run) -> None:
    db.execute(
        "INSERT INTO runs (id, monitor, monitor_id, base_url, command, wrapper_pid,"
        " wrapper_start, job_pid, job_start, boot_id, started_at)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING",
        (
            run.id,
            run.monitor,
            run.monitor_id,
            run.base_url,
            json.dumps(run.command),
            *run.wrapper,
            *run.job,
            run.boot_id,
            run.started_at,
        ),
    )


_QUEUED = (
    "SELECT id, run_id, monitor_id, kind, meta, error_message, log_output, ended_at, attempts,"
    " owner, owned_at FROM reports"
)
_RUN_ROWS = (
    "SELECT seq, runs.id, monitor, runs.monitor_id, runs.base_url, command, wrapper_pid,"
    " wrapper_start, boot_id, started_at, start_state, remote_run_id, outcome, reason, exit_code,"
    " runs.ended_at, duration, runs.meta, excerpt, state, attempts, last_error, error_message,"
    " settled_at"
    " FROM runs LEFT JOIN reports ON reports.run_id = runs.id"
)


def _queued(row: tuple[object, ...]) -> Queued:
    number, run_id, monitor_id, kind, meta, message, log, ended_at, attempts, *_ = row
    ping = Ping(monitor_id, kind, json.loads(meta), message, log)  # type: ignore[arg-type]  # as the schema has them
    return Queued(number, run_id, ping, ended_at, attempts)  # type: ignore[arg-type]  # as the schema has them


def _run_row(row: tuple[object, ...]) -> RunRow:
    values = list(row)
    values[5] = tuple(json.loads(str(values[5])))
    values[6:8] = [(values[6], values[7])]
    values[16] = json.loads(str(values[16])) if values[16] else {}
    values[19] = values[19] or 0
    return RunRow(*values)  # type: ignore[arg-type]  # as the schema has them
