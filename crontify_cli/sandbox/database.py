"""The sandbox's SQLite file: where it is, how it is made and opened, and what can be wrong with it.

Write-ahead log with synchronous=NORMAL: what is committed has been handed to the kernel,
so it outlives a SIGKILL. Only a power cut can take the last commits, and it
cannot break the file.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crontify_cli.errors import CrontifyError
from crontify_cli.places import state_dir

SCHEMA = 1
APPLICATION_ID = 0x43524F4E  # "CRON", so that another program's file is not taken for ours

_DDL = """
CREATE TABLE signing (secret BLOB NOT NULL);
CREATE TABLE accounts (
    row INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    key_hash BLOB,
    min_interval INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE monitors (
    row INTEGER PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_ping_at INTEGER,
    UNIQUE (account, id)
);
CREATE TABLE rules (
    row INTEGER PRIMARY KEY,
    monitor INTEGER NOT NULL REFERENCES monitors ON DELETE CASCADE,
    field TEXT NOT NULL,
    operator TEXT NOT NULL,
    value REAL NOT NULL,
    UNIQUE (monitor, field, operator, value)
);
CREATE TABLE runs (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    monitor INTEGER NOT NULL REFERENCES monitors ON DELETE CASCADE,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    meta TEXT,
    error_message TEXT
);
CREATE INDEX runs_of_monitor ON runs (monitor);
CREATE UNIQUE INDEX one_open_run ON runs (monitor) WHERE status = 'running';
CREATE TABLE logs (
    run INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
    content TEXT NOT NULL
);
CREATE TABLE alerts (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    message TEXT NOT NULL,
    log_head TEXT,
    created_at INTEGER NOT NULL
);
CREATE INDEX alerts_of_run ON alerts (run);
"""

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_FOREIGN = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def default_path() -> Path:
    """Return `sandbox.db` in the state directory; raises CrontifyError where there is none."""
    try:
        return Path(state_dir(), "sandbox.db")
    except OSError as error:
        raise CrontifyError(f"no place for the sandbox's database: {error}: use --db") from None


@contextmanager
def opened(path: Path, *, make: bool, busy_timeout: float = 10.0) -> Iterator[sqlite3.Connection]:
    """Yield a connection without automatic transactions, and close it in the end.

    With `make` a missing file is made, 0600, and a missing directory, 0700; what SQLite
    or the system refuses, then or within the block, is raised as a CrontifyError.
    `busy_timeout` is in seconds.
    """
    if not make and not path.exists():
        raise CrontifyError(f"no sandbox database at {path}: start one with crontify sandbox serve")
    try:
        _make_private(path, make=make)
        connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None)
        try:
            _prepare(connection, path)
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise CrontifyError(explain(error, path)) from error
    except OSError as error:
        reason = error.strerror or error
        raise CrontifyError(
            f"cannot open the sandbox's database {path}: {reason}:"
            " mind its permissions, or name another with --db"
        ) from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block alone among writers; its writes are kept together or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        abandon(connection)
        raise
    connection.execute("COMMIT")


def abandon(connection: sqlite3.Connection) -> None:
    """Undo the open transaction, if SQLite has not done so itself (it does on a full disk)."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def explain(error: sqlite3.Error, path: Path) -> str:
    """Return what is wrong with the file and what to do, in one line."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte: the primary code
    if code in _BUSY:
        return f"the sandbox's database {path} is held by another program: try again"
    if code in _FULL:
        return (
            f"cannot write the sandbox's database {path}: {error}:"
            " free some space, or name another with --db"
        )
    if code in _FOREIGN:
        return (
            f"{path} is not a sandbox database: {error}:"
            " name another with --db, or move it out of the way"
        )
    return (
        f"cannot use the sandbox's database {path}: {error}:"
        " mind its permissions, or name another with --db"
    )


def _make_private(path: Path, *, make: bool) -> None:
    if make:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives the write-ahead log the mode of the database.
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0)
    os.close(os.open(path, flags, 0o600))


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if not _is_ours(connection, path):
        _make(connection, path)
    if path.stat().st_mode & 0o077:  # it has the secret that signs the tokens
        path.chmod(0o600)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_size_limit = 16777216")


def _make(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    with transaction(connection):
        if _is_ours(connection, path):  # another process was quicker
            return
        for statement in _DDL.split(";"):
            connection.execute(statement)
        connection.execute("INSERT INTO signing VALUES (?)", (os.urandom(32),))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _is_ours(connection: sqlite3.Connection, path: Path) -> bool:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application == APPLICATION_ID and version == SCHEMA:
        return True
    if application == APPLICATION_ID:
        raise CrontifyError(
            f"the sandbox's database {path} is of another version of crontify (schema {version},"
            f" this one has {SCHEMA}): name another with --db, or move it out of the way"
        )
    if tables or application or version:
        raise CrontifyError(
            f"{path} is another program's database: name another with --db for the sandbox"
        )
    return False
