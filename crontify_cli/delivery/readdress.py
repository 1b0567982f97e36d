"""Makes reports due again that were refused, or not accepted, because of settings changed since.

Next to such a report the journal keeps a fingerprint of the settings that were used. The
table is made when it is first needed, so that earlier versions can use the same file.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from crontify_cli.delivery.journal_file import JournalFile

if TYPE_CHECKING:
    import sqlite3

    from crontify_cli.config import Settings

_TABLE = "CREATE TABLE IF NOT EXISTS blamed (report_id INTEGER PRIMARY KEY, settings TEXT NOT NULL)"
_HAS_TABLE = "PRAGMA table_info(blamed)"
_BLAMED = (
    "SELECT reports.id, monitor, reports.base_url, blamed.settings,"
    # Where nothing was ever accepted, the address was wrong, and may be replaced.
    " EXISTS (SELECT 1 FROM reports AS taken WHERE taken.base_url = reports.base_url"
    "  AND taken.state = 'delivered')"
    " FROM blamed JOIN reports ON reports.id = report_id JOIN runs ON runs.id = run_id"
    " WHERE reports.state IN ('queued', 'refused') AND reports.owner IS NULL"
    " AND (:monitor IS NULL OR monitor = :monitor)"
)


def note_blame(db: "sqlite3.Connection", report_id: int, fingerprint: str) -> None:
    """Write down with which settings a report was not accepted, within a transaction.

    fingerprint: as `Api.fingerprint` returns it, "" if the settings are not to blame.
    """
    if fingerprint:
        db.execute(_TABLE)
        db.execute("INSERT OR REPLACE INTO blamed VALUES (?, ?)", (report_id, fingerprint))
    elif db.execute(_HAS_TABLE).fetchone():
        db.execute("DELETE FROM blamed WHERE report_id = ?", (report_id,))


def readdress(
    journal: JournalFile,
    settings: "Settings",
    fingerprint: Callable[[str], str],
    monitor: str | None = None,
) -> int:
    """Queue the reports that the present settings may deliver; return how many they are.

    They are addressed to the monitor's present id. They move to the present base URL only if
    no report has ever been delivered to their own one.
    fingerprint: of the present settings, for a monitor's id. monitor: its name, None for all.
    Raises JournalError.
    """
    if not list(journal.query(_HAS_TABLE)):
        return 0
    due = []
    for report_id, name, base_url, blamed, is_proven in journal.query(
        _BLAMED, {"monitor": monitor}
    ):
        own = settings.monitor(str(name))
        is_ours = base_url == settings.base_url or not is_proven
        if is_ours and not own.obstacle and fingerprint(own.id) != blamed:
            due.append((own.id, settings.base_url, report_id))
    if not due:
        return 0
    with journal.transaction() as db:
        count: int = db.executemany(
            "UPDATE reports SET state = 'queued', monitor_id = ?, base_url = ?"
            " WHERE id = ? AND state IN ('queued', 'refused') AND owner IS NULL",
            due,
        ).rowcount
        db.executemany("DELETE FROM blamed WHERE report_id = ?", [(row[2],) for row in due])
        db.execute("DELETE FROM blamed WHERE report_id NOT IN (SELECT id FROM reports)")
    return count


def is_doubtful(journal: JournalFile, base_url: str, monitor_id: str) -> bool:
    """Tell whether a 404 for this monitor may be due to the base URL.

    True if other monitors are unknown there, too, and nothing was ever accepted.
    Raises JournalError.
    """
    rows = journal.query(
        "SELECT EXISTS (SELECT 1 FROM reports WHERE base_url = :url AND monitor_id != :id"
        "  AND state = 'refused' AND last_error LIKE '%(404: %')"
        " AND NOT EXISTS (SELECT 1 FROM reports WHERE base_url = :url AND state = 'delivered')"
        " AND NOT EXISTS (SELECT 1 FROM runs WHERE base_url = :url"
        "  AND start_state = 'acknowledged')",
        {"url": base_url, "id": monitor_id},
    )
    return bool(next(rows)[0])
