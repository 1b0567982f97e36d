"""What the journal notes next to a report: which report includes it, since when it
fails, and when it was sent without getting an answer.

The tables are made when they are first needed, so that earlier versions can use the same file.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crontify_cli.delivery.journal_file import JournalFile
from crontify_cli.delivery.journal_rows import RUN_ROWS, Included

if TYPE_CHECKING:
    import sqlite3

_FOLDED = (
    "CREATE TABLE IF NOT EXISTS folded"
    " (report_id INTEGER PRIMARY KEY, leader INTEGER NOT NULL, ended_at REAL NOT NULL)"
)
_FOLDED_BY_LEADER = "CREATE INDEX IF NOT EXISTS folded_by_leader ON folded (leader)"
_TROUBLED = (
    "CREATE TABLE IF NOT EXISTS troubled (report_id INTEGER PRIMARY KEY, since REAL NOT NULL)"
)
_UNANSWERED = (
    "CREATE TABLE IF NOT EXISTS unanswered (report_id INTEGER PRIMARY KEY, sent_at REAL NOT NULL)"
)
_FOLDED_INTO = (
    "(SELECT carrying.run_id FROM folded JOIN reports AS carrying ON carrying.id = leader"
    " WHERE folded.report_id = reports.id)"
)


def run_rows(journal: JournalFile) -> str:
    """Return the query of runs, to which a condition may be added (`journal_rows.run_row`)."""
    return RUN_ROWS.format(folded_into=_FOLDED_INTO if has_folded(journal) else "NULL")


def has_folded(journal: JournalFile) -> bool:
    """Tell whether any report was ever included in another one."""
    return bool(list(journal.query("PRAGMA table_info(folded)")))


def fold(db: "sqlite3.Connection", leader: int, reports: Sequence[int], now: float) -> None:
    """Let the report `leader` include others, within a transaction; they are `folded` then.

    What those include is included, too.
    """
    db.execute(_FOLDED)
    db.execute(_FOLDED_BY_LEADER)
    for report in reports:
        db.execute("UPDATE folded SET leader = ? WHERE leader = ?", (leader, report))
        db.execute(
            "INSERT OR REPLACE INTO folded SELECT id, ?, ended_at FROM reports WHERE id = ?",
            (leader, report),
        )
        db.execute(
            "UPDATE reports SET state = 'folded', settled_at = ?, owner = NULL, owned_at = NULL"
            " WHERE id = ?",
            (now, report),
        )
    forget(db, reports)


def included(journal: JournalFile, report: int) -> Included:
    """Return the failures that a report includes."""
    if not has_folded(journal):
        return Included()
    rows = journal.query("SELECT count(*), min(ended_at) FROM folded WHERE leader = ?", (report,))
    return Included._make(next(rows))


def forget_gone(journal: JournalFile) -> None:
    """Forget what was noted next to reports that are gone."""
    if has_folded(journal):
        with journal.transaction() as db:
            db.execute("DELETE FROM folded WHERE leader NOT IN (SELECT id FROM reports)")
    with journal.transaction() as db:
        for table in _of_queued(db):
            is_gone = "report_id NOT IN (SELECT id FROM reports)"
            db.execute(f"DELETE FROM {table} WHERE {is_gone}")  # noqa: S608 - our own words


def forget(db: "sqlite3.Connection", reports: Sequence[int]) -> None:
    """Forget what counts only while a report is queued, within a transaction."""
    for table in _of_queued(db):
        forgotten = f"DELETE FROM {table} WHERE report_id = ?"  # noqa: S608 - our own words
        db.executemany(forgotten, [(report,) for report in reports])


def _of_queued(db: "sqlite3.Connection") -> list[str]:
    """Return those of the tables about queued reports that exist."""
    names = ("troubled", "unanswered")
    return [name for name in names if db.execute(f"PRAGMA table_info({name})").fetchone()]


def note_trouble(db: "sqlite3.Connection", report: int, now: float) -> None:
    """Note that the server failed on a report, within a transaction."""
    db.execute(_TROUBLED)
    db.execute("INSERT OR IGNORE INTO troubled VALUES (?, ?)", (report, now))


def note_unanswered(db: "sqlite3.Connection", report: int, sent_at: float) -> None:
    """Note when a report was sent without an answer, within a transaction."""
    db.execute(_UNANSWERED)
    db.execute("INSERT OR REPLACE INTO unanswered VALUES (?, ?)", (report, sent_at))


def unanswered_at(journal: JournalFile, report: int) -> float | None:
    """Return when a report was last sent without an answer, None for never."""
    if not list(journal.query("PRAGMA table_info(unanswered)")):
        return None
    rows = journal.query("SELECT sent_at FROM unanswered WHERE report_id = ?", (report,))
    return next((float(str(sent_at)) for (sent_at,) in rows), None)


def troubled_since(db: "sqlite3.Connection", report: int) -> float | None:
    """Return since when the server has failed on a report, None if it has not."""
    if not db.execute("PRAGMA table_info(troubled)").fetchone():
        return None
    row = db.execute("SELECT since FROM troubled WHERE report_id = ?", (report,)).fetchone()
    return float(row[0]) if row else None
