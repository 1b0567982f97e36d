"""How the journal stands, for `crontify doctor`: looked at as it is, and nothing in it changed.

Opening it as runs do would set a corrupt one aside, and make a missing one.
"""

import os
import sqlite3
from typing import NamedTuple
from urllib.parse import quote

from crontify_cli.report.journal_file import VERSION, journal_path

_PATIENCE = 2.0


class Backlog(NamedTuple):
    """The queued reports for one server; oldest: when its run ended, seconds since the epoch.

    error: why the one that was tried last was not delivered, None before any was tried.
    """

    base_url: str
    reports: int
    oldest: float
    error: str | None


class Health(NamedTuple):
    """The journal at `path`.

    problem: why it cannot be used, "" if it can; the rest is empty then.
    is_corrupt: whether the next run will set it aside and begin a new one.
    refused: reports that the server refused for good; refusal: why the newest of them was.
    """

    path: str
    exists: bool
    problem: str = ""
    is_corrupt: bool = False
    runs: int = 0
    queued: tuple[Backlog, ...] = ()
    refused: int = 0
    refusal: str | None = None


def examine(state: str) -> Health:
    """Return how the journal in the state directory `state` stands; raises nothing."""
    path = journal_path(state)
    if not os.path.lexists(path):
        return Health(path, exists=False)
    try:
        db = sqlite3.connect(f"file:{quote(path)}?mode=ro", timeout=_PATIENCE, uri=True)
        try:
            return _look(path, db)
        finally:
            db.close()
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        corrupt = code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        return Health(path, True, str(error), corrupt)


def _look(path: str, db: sqlite3.Connection) -> Health:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        return Health(path, True, "not a journal", is_corrupt=True)
    if version != VERSION:
        return Health(path, True, f"of version {version}, and this crontify knows {VERSION}")
    verdict = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    if verdict != "ok":
        return Health(path, True, " ".join(verdict.split()), is_corrupt=True)
    queued = db.execute(
        "SELECT base_url, count(*), min(ended_at), (SELECT last_error FROM reports AS tried"
        " WHERE tried.base_url = reports.base_url AND state = 'queued' AND last_error IS NOT NULL"
        " ORDER BY settled_at DESC LIMIT 1)"
        " FROM reports WHERE state = 'queued' GROUP BY base_url ORDER BY 3"
    ).fetchall()
    refused, refusal = db.execute(
        "SELECT count(*), (SELECT last_error FROM reports WHERE state = 'refused'"
        " ORDER BY settled_at DESC LIMIT 1) FROM reports WHERE state = 'refused'"
    ).fetchone()
    runs = db.execute("SELECT count(*) FROM runs").fetchone()[0]
    waiting = tuple(Backlog(*row) for row in queued)
    return Health(path, True, "", False, runs, waiting, refused, refusal)
