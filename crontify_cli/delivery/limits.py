"""Keeps in the journal what was learned of each monitor's rate limit.

The table is made when it is first needed, so that earlier versions can use the same file.
"""

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.delivery import pace
from crontify_cli.delivery.journal_file import JournalError, JournalFile
from crontify_cli.model import Answer, Ping

if TYPE_CHECKING:
    import sqlite3

    from crontify_cli.delivery.sending import Sender

_TABLE = (
    "CREATE TABLE IF NOT EXISTS limits (base_url TEXT NOT NULL, monitor_id TEXT NOT NULL,"
    " interval REAL, accepted_at REAL, learned_at REAL, PRIMARY KEY (base_url, monitor_id))"
)
_HAS_TABLE = "PRAGMA table_info(limits)"
_ONE = "SELECT interval, accepted_at, learned_at FROM limits WHERE base_url = ? AND monitor_id = ?"


def limit_of(journal: JournalFile, base_url: str, monitor_id: str) -> pace.Limit:
    """Return what is known of the limit of a monitor. Raises JournalError."""
    if not list(journal.query(_HAS_TABLE)):
        return pace.UNKNOWN
    rows = journal.query(_ONE, (base_url, monitor_id))
    return next((_limit(row) for row in rows), pace.UNKNOWN)


def limits(journal: JournalFile, base_url: str) -> dict[str, pace.Limit]:
    """Return what is known of each monitor that has a limit, by its id. Raises JournalError."""
    if not list(journal.query(_HAS_TABLE)):
        return {}
    rows = journal.query(
        "SELECT monitor_id, interval, accepted_at, learned_at FROM limits"
        " WHERE base_url = ? AND interval IS NOT NULL ORDER BY monitor_id",
        (base_url,),
    )
    return {str(row[0]): _limit(row[1:]) for row in rows}


def note_accepted(db: "sqlite3.Connection", base_url: str, monitor_id: str) -> None:
    """Write down that the server has accepted a ping of a monitor, within a transaction."""
    db.execute(_TABLE)
    _save(db, base_url, monitor_id, pace.accepted(_read(db, base_url, monitor_id), time.time()))


def forget_before(db: "sqlite3.Connection", moment: float) -> None:
    """Forget the monitors whose pings were all before `moment`, within a transaction."""
    if db.execute(_HAS_TABLE).fetchone():
        db.execute(
            "DELETE FROM limits WHERE coalesce(accepted_at, 0) < :moment"
            " AND coalesce(learned_at, 0) < :moment",
            {"moment": moment},
        )


class LearningSender(NamedTuple):
    """Sends pings by `sender`, and writes down what a 429 teaches."""

    sender: "Sender"
    journal: JournalFile
    base_url: str

    def ping(self, ping: Ping, within: float = math.inf) -> Answer:
        """Make one attempt, as `Sender` does."""
        answer = self.sender.ping(ping, within)
        if answer.status == 429 and answer.is_api:
            with suppress(JournalError):  # what is not known now is learned another time
                self._learn(ping.monitor_id, answer)
        return answer

    def silence(self, monitor_id: str, within: float = math.inf) -> Answer | None:
        """Return what `Sender` does."""
        return self.sender.silence(monitor_id, within)

    def fingerprint(self, monitor_id: str) -> str:
        """Return what `Sender` does."""
        return self.sender.fingerprint(monitor_id)

    def _learn(self, monitor_id: str, answer: Answer) -> None:
        now = time.time()
        with self.journal.transaction() as db:
            db.execute(_TABLE)
            known = _read(db, self.base_url, monitor_id)
            learned = pace.refused(known, answer.retry_after, now)
            _save(db, self.base_url, monitor_id, learned)


def _read(db: "sqlite3.Connection", base_url: str, monitor_id: str) -> pace.Limit:
    row = db.execute(_ONE, (base_url, monitor_id)).fetchone()
    return _limit(row) if row else pace.UNKNOWN


def _save(db: "sqlite3.Connection", base_url: str, monitor_id: str, limit: pace.Limit) -> None:
    db.execute("INSERT OR REPLACE INTO limits VALUES (?,?,?,?,?)", (base_url, monitor_id, *limit))


def _limit(row: tuple[object, ...]) -> pace.Limit:
    return pace.Limit(*(None if value is None else float(str(value)) for value in row))
