"""How the journal's file stands, looked at without changing it."""

import os
import sqlite3
from typing import NamedTuple
from urllib.parse import quote

from crontify_cli.delivery.journal_file import VERSION, check_files, is_corrupt, journal_path
from crontify_cli.errors import in_words
from crontify_cli.state import Folder

_PATIENCE = 2.0


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
    refused: int = 0
    refusal: str | None = None


def examine(state: str) -> Health:
    """Return how the journal in the state directory `state` stands; raises nothing."""
    path = journal_path(state)
    if not os.path.lexists(path):
        return Health(path, exists=False)
    try:
        with Folder(state) as folder:
            check_files(folder)
    except OSError as error:
        return Health(path, True, in_words(error))
    try:
        uri = f"file:{quote(os.fsencode(path))}?mode=ro"
        db = sqlite3.connect(uri, timeout=_PATIENCE, uri=True)
        try:
            return _look(path, db)
        finally:
            db.close()
    except sqlite3.Error as error:
        return Health(path, True, str(error), is_corrupt(error))


def _look(path: str, db: sqlite3.Connection) -> Health:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        return Health(path, True, "not a journal", is_corrupt=True)
    if version != VERSION:
        return Health(path, True, f"of version {version}, and this crontify knows {VERSION}")
    verdict = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    if verdict != "ok":
        return Health(path, True, " ".join(verdict.split()), is_corrupt=True)
    refused, refusal = db.execute(
        "SELECT count(*), (SELECT last_error FROM reports WHERE state = 'refused'"
        " ORDER BY settled_at DESC LIMIT 1) FROM reports WHERE state = 'refused'"
    ).fetchone()
    runs = db.execute("SELECT count(*) FROM runs").fetchone()[0]
    return Health(path, True, "", False, runs, refused, refusal)
