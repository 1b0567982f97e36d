"""The journal's file: its schema, how it is opened or made, and what is done with a broken one.

Write-ahead logging lets readers and one writer work at once. A connection belongs
to the thread that opened it.
"""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

from crontify_cli.errors import CrontifyError, in_words
from crontify_cli.state import NEW, Folder, StateError

VERSION = 1
"""The schema's, in the file's user_version: a later one's code brings earlier files up to it."""
_APPLICATION_ID = 0x63726F6E
"""Tells our files from other programs' databases: sqlite.org, "PRAGMA application_id"."""

LONGEST_WAIT = 60.0
"""Seconds to wait for a lock that a crowd of others takes in turn."""
_NAME = "journal.db"
_SUFFIXES = ("", "-wal", "-shm", "-journal")
_SCRATCH, _ASIDE = ".new-", ".corrupt-"
_RESTING = -1
"""Instead of an inode: the file is not open for now."""

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


class JournalError(CrontifyError):
    """The journal cannot be used; the message names the file and what was done with it.

    is_set_aside: the file was corrupt, and is out of the way of a new one.
    notice: what to tell a person about that, "" if another thread or process does so.
    """

    def __init__(self, message: str, *, is_set_aside: bool = False, notice: str = "") -> None:
        super().__init__(message)
        self.is_set_aside = is_set_aside
        self.notice = notice


def journal_path(state: str) -> str:
    """Return the journal's place in the state directory `state`."""
    return os.path.join(state, _NAME)


def has_journal(state: str) -> bool:
    """Tell whether there is a journal; raises JournalError if the directory is not for us."""
    try:
        with Folder(state) as folder:
            return folder.stat(_NAME) is not None
    except PermissionError as error:
        raise JournalError(in_words(error)) from error
    except OSError:
        return False


class JournalFile:
    """An open file. Every method raises JournalError if it fails."""

    def __init__(self, path: str, connection: sqlite3.Connection, inode: int, wait: float) -> None:
        self.path = path
        self._db = connection
        self._inode = inode
        self._wait = wait

    @classmethod
    def open(cls, state: str, *, wait: float = 5.0, create: bool = True) -> Self:
        """Open the journal of the state directory `state`, and make it if it is not there.

        wait: seconds to wait for another process's lock, here and in every method; again and
            again, up to LONGEST_WAIT, while others commit meanwhile.
        A file that is no journal is set aside, and a new one is made.
        create: make one where there is none, instead of raising.
        """
        path = journal_path(state)
        try:
            with Folder(state, create=create) as folder:
                return cls._open_in(folder, path, wait, create)
        except StateError as error:
            raise JournalError(error.message) from error
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"{path}: {in_words(error)}") from error

    @classmethod
    def _open_in(cls, folder: Folder, path: str, wait: float, create: bool) -> Self:
        check_files(folder)
        warning = None
        for is_last in (*[False] * 4, True):
            # While a file is opened, nobody renames it: SQLite opens its WAL by name.
            with _locked(folder, fcntl.LOCK_SH, wait):
                inode = _inode(folder, path, create)
                try:
                    journal = cls._open(path, wait, inode)
                except sqlite3.DatabaseError as error:
                    if is_last or not is_corrupt(error):
                        raise
                    failure = error
                else:
                    journal.warning = warning
                    return journal
            if aside := _set_aside(folder, inode, wait):
                warning = f"{path}: {failure}; set aside as {aside}, begun anew"
                create = True
        raise AssertionError("the last attempt returns or raises")

    warning: str | None = None
    """What a person should know of how the journal was opened."""

    @classmethod
    def _open(cls, path: str, wait: float, inode: int) -> Self:
        db = sqlite3.connect(f"file:{_quote(path)}?mode=rw", timeout=wait, uri=True)
        db.isolation_level = None  # transactions are begun by hand, and IMMEDIATE
        ours = db.execute("PRAGMA application_id").fetchone()[0] == _APPLICATION_ID
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if not ours:
            db.close()
            raise _Foreign("not a journal of crontify's")
        if version != VERSION:
            db.close()
            raise JournalError(
                f"{path} is of version {version}, and this crontify knows {VERSION}:"
                " install the newer crontify, or move the file away"
            )
        db.execute("PRAGMA synchronous = NORMAL")
        # In KiB, instead of 2 MiB for each of the connections of a flush.
        db.execute("PRAGMA cache_size = -256")
        return cls(path, db, inode, wait)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def rest(self) -> None:
        """Close the file until it is used again.

        SQLite maps `journal.db-shm`: a job that empties it would end this process by SIGBUS.
        """
        self._db.close()
        self._inode = _RESTING

    def wake(self) -> None:
        """Open the file again after `rest`; also raises if it had to be set aside meanwhile."""
        if self._inode == _RESTING:
            self._follow()

    @contextlib.contextmanager
    def transaction(self, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Begin a transaction, committed at the block's end and rolled back if that fails.

        durable: it survives a power cut once committed.
        """
        try:
            self._follow()
            if durable:
                self._db.execute("PRAGMA synchronous = FULL")
            self._begin()
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has rolled it back already
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._failure(error) from error
        except OSError as error:
            raise JournalError(f"{self.path}: {in_words(error)}") from error
        finally:
            if durable:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("PRAGMA synchronous = NORMAL")

    def _begin(self) -> None:
        """Take the lock; a crowd is waited for as long as it gets on, a lock that stays is not."""
        until = time.monotonic() + LONGEST_WAIT
        while True:
            before = self._commits()
            try:
                self._db.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or self._commits() == before or time.monotonic() > until:
                    raise

    def _commits(self) -> object:
        """Return what changes with every commit of another process."""
        return self._db.execute("PRAGMA data_version").fetchone()

    def query(
        self, sql: str, values: Sequence[object] | Mapping[str, object] = ()
    ) -> Iterator[tuple[object, ...]]:
        """Yield the rows of a query, whose parameters are `?` or `:name`."""
        self.wake()
        try:
            yield from self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.Error) -> JournalError:
        what = f"{self.path}: {in_words(error)}"
        if not isinstance(error, sqlite3.DatabaseError) or not is_corrupt(error):
            return JournalError(what)
        try:
            with Folder(os.path.dirname(self.path)) as folder:
                aside = _set_aside(folder, self._inode, self._wait)
        except OSError as failure:  # the disk fails, or has become read-only
            return JournalError(f"{what}; it cannot be set aside: {failure}")
        if not aside:
            return JournalError(f"{what}; it is set aside already", is_set_aside=True)
        what = f"{what}; set aside as {aside}"
        return JournalError(what, is_set_aside=True, notice=f"{what}, begun anew")

    def _follow(self) -> None:
        """Write to the file that has the journal's name now: ours may have been set aside."""
        with contextlib.suppress(OSError):
            if os.stat(self.path).st_ino == self._inode:
                return
        renewed = self.open(os.path.dirname(self.path), wait=self._wait)
        self._db.close()
        self._db, self._inode = renewed._db, renewed._inode
        if renewed.warning:
            raise JournalError(renewed.warning, is_set_aside=True, notice=renewed.warning)


def check_files(folder: Folder) -> None:
    """Raise StateError if SQLite, which opens them by path, would open files that are not ours."""
    for suffix in _SUFFIXES:
        folder.check(_NAME + suffix, scratch=_NAME + _SCRATCH)


def _create(folder: Folder) -> None:
    """Make the journal complete or not at all: under another name first, then linked."""
    scratch = f"{_NAME}{_SCRATCH}{os.getpid()}-{time.monotonic_ns()}"
    os.close(folder.open(scratch, NEW))
    try:
        db = sqlite3.connect(os.path.join(folder.path, scratch))
        try:
            db.execute("PRAGMA journal_mode = WAL")
            marks = f"PRAGMA user_version = {VERSION}; PRAGMA application_id = {_APPLICATION_ID};"
            db.executescript(f"BEGIN; {_SCHEMA} {marks} COMMIT;")
        finally:
            db.close()
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(scratch, _NAME, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
    finally:
        for suffix in _SUFFIXES:
            with contextlib.suppress(FileNotFoundError):
                folder.unlink(scratch + suffix)


def remains(folder: Folder) -> Iterator[tuple[str, bool]]:
    """Yield the files beside the journal, and whether each was set aside for a person to see.

    The others are of processes that were killed while they made a journal.
    """
    for name in os.listdir(folder.fd):
        if name.startswith((_NAME + _SCRATCH, _NAME + _ASIDE)):
            yield name, name.startswith(_NAME + _ASIDE)


def _inode(folder: Folder, path: str, create: bool) -> int:
    """Return which file the journal is; make it if it is not there and `create` says so."""
    if not folder.stat(_NAME):
        if not create:
            raise JournalError(f"there is no journal yet at {path}")
        _create(folder)
    status = os.stat(path)
    if not os.path.samestat(status, os.stat(_NAME, dir_fd=folder.fd)):
        raise StateError(f"{path} is another file than a moment ago")
    return status.st_ino


def _set_aside(folder: Folder, inode: int, wait: float) -> str:
    """Rename the corrupt journal that is the file `inode`; return its new path.

    Returns "" if another thread or process has done so, and begun a good one in its place.
    """
    aside = f"{_NAME}{_ASIDE}{int(time.time())}-{os.getpid()}"
    with _locked(folder, fcntl.LOCK_EX, wait):
        status = folder.stat(_NAME)
        if status is None or status.st_ino != inode:
            return ""
        # The file itself last: a WAL that stayed behind would be taken for the new one's.
        for suffix in reversed(_SUFFIXES):
            with contextlib.suppress(FileNotFoundError):
                folder.rename(_NAME + suffix, aside + suffix)
    return os.path.join(folder.path, aside)


@contextlib.contextmanager
def _locked(folder: Folder, how: int, wait: float) -> Iterator[None]:
    """Lock the folder for opening (LOCK_SH) or renaming (LOCK_EX) its journal.

    Raises TimeoutError after `wait` seconds. Without locks where the file system has none.
    """
    until = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(folder.fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError("another process is setting it aside") from None
            time.sleep(0.01)
        except OSError:
            yield
            return
        else:
            break
    try:
        yield
    finally:
        fcntl.flock(folder.fd, fcntl.LOCK_UN)


class _Foreign(sqlite3.DatabaseError):
    """A database, but none of ours."""


def is_corrupt(error: sqlite3.Error) -> bool:
    """Tell whether the file is no journal of ours, or a broken one."""
    codes = sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB
    return isinstance(error, _Foreign) or getattr(error, "sqlite_errorcode", 0) & 0xFF in codes


def _quote(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
