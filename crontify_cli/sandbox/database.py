"""The sandbox's SQLite file: its location, opening and migrating it, and what can go wrong.

It uses a write-ahead log with synchronous=NORMAL: committed data has been handed to the
kernel, so it survives a SIGKILL. A power failure can lose the last commits, but cannot
corrupt the file.
"""

import asyncio
import os
import shlex
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from crontify_cli.errors import CrontifyError
from crontify_cli.places import NoHomeError
from crontify_cli.sandbox.schema import MIGRATIONS
from crontify_cli.state import Folder, StateError, state_dir

APPLICATION_ID = 0x43524F4E  # "CRON": identifies our files

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_FOREIGN = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
DEFAULT_ACCOUNT = "default"

_MOVE = "choose another file with --db, or move this one away"
_PERMISSIONS = "check its permissions, or choose another file with --db"


def default_path() -> Path:
    """Return `sandbox.db` in the state directory; raises CrontifyError if it is not for us."""
    try:
        state = state_dir()
        with Folder(state, create=True) as folder:
            for suffix in ("", "-wal", "-shm", "-journal"):
                folder.check(f"sandbox.db{suffix}")
        return Path(state, "sandbox.db")
    except (NoHomeError, StateError) as error:
        raise CrontifyError(
            f"no directory for the sandbox database: {error}; choose a file with --db"
        ) from None
    except OSError:
        return Path(state, "sandbox.db")  # opening it says what is wrong


def chosen(db: Path | None, account: str) -> str:
    """Return the options, each with a space before it, that choose what a command was given.

    A command that is suggested to the user ends with them. db: None for the default one.
    """
    words = [] if account == DEFAULT_ACCOUNT else ["--account", account]
    words += ["--db", str(db)] if db else []
    return "".join(f" {shlex.quote(word)}" for word in words)


@contextmanager
def open_database(
    path: Path, *, create: bool, busy_timeout: float = 10.0
) -> Iterator[sqlite3.Connection]:
    """Yield a connection in autocommit mode, and close it at the end.

    With `create`, a missing file is created with mode 0600, and its directory with 0700.
    Errors of SQLite and the operating system, also within the block, are raised as
    CrontifyError. `busy_timeout` is in seconds.
    """
    if not create and not path.exists():
        raise CrontifyError(
            f"no sandbox database at {path}: create one with crontify sandbox serve"
        )
    try:
        _make_private(path, create=create)
        connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None)
        try:
            _prepare(connection, path)
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise CrontifyError(describe_error(error, path)) from error
    except OSError as error:
        reason = error.strerror or error
        raise CrontifyError(
            f"cannot open the sandbox database {path}: {reason}; {_PERMISSIONS}"
        ) from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block as the only writer; all of its writes are committed, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        rollback(connection)
        raise
    connection.execute("COMMIT")


@asynccontextmanager
async def exclusive(connection: sqlite3.Connection) -> AsyncIterator[None]:
    """Like `transaction`, as soon as no other task has one open; the block must not await."""
    while connection.in_transaction:
        await asyncio.sleep(0)
    with transaction(connection):
        yield


def rollback(connection: sqlite3.Connection) -> None:
    """Undo the open transaction, unless SQLite already has (it does so on a full disk)."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def describe_error(error: sqlite3.Error, path: Path) -> str:
    """Return what is wrong with the file and what to do about it, in one line."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte: the primary code
    if code in _BUSY:
        return f"the sandbox database {path} is locked by another program; try again"
    if code in _FULL:
        advice = "free some disk space, or choose another file with --db"
        return f"cannot write to the sandbox database {path}: {error}; {advice}"
    if code in _FOREIGN:
        return f"{path} is not a sandbox database: {error}; {_MOVE}"
    return f"cannot use the sandbox database {path}: {error}; {_PERMISSIONS}"


def _make_private(path: Path, *, create: bool) -> None:
    if create:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives the write-ahead log the mode of the database.
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    os.close(os.open(path, flags, 0o600))


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection, path) < len(MIGRATIONS):
        _migrate(connection, path)
    if path.stat().st_mode & 0o077:  # the file contains the secret that signs tokens
        path.chmod(0o600)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_size_limit = 16777216")


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Create the schema, or bring that of an earlier version up to date."""
    connection.execute("PRAGMA journal_mode = WAL")
    with transaction(connection):
        version = _version(connection, path)  # another process may have migrated it just now
        for statements in MIGRATIONS[version:]:
            for statement in statements.split(";"):
                connection.execute(statement)
        if not version:
            connection.execute("INSERT INTO signing VALUES (?)", (os.urandom(32),))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of the schema, 0 for an empty file.

    Raises CrontifyError if the database belongs to a later version or to another program.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application == APPLICATION_ID:
        if not 0 < version <= len(MIGRATIONS):
            raise CrontifyError(
                f"the sandbox database {path} was created by another version of crontify:"
                f" its schema is {version}, not {len(MIGRATIONS)}; {_MOVE}"
            )
        return int(version)
    if tables or application or version:
        raise CrontifyError(f"{path} is another program's database; choose another file with --db")
    return 0
