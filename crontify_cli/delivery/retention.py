"""What is kept of runs that are over, and for how long: nothing may grow for ever."""

import contextlib
import os
import time
from typing import TYPE_CHECKING

from crontify_cli import record
from crontify_cli.delivery.journal import Journal
from crontify_cli.delivery.journal_file import remains
from crontify_cli.report.locallog import prune_logs

if TYPE_CHECKING:
    from crontify_cli.config import Settings

EVERY = 3600.0
DAY = 86400.0
AT_ONCE = 200
"""Runs forgotten in one transaction: it is over before another process's patience is."""


def tidy(state: str, journal: Journal, settings: "Settings") -> str | None:
    """Forget what is older or more than the settings keep, at most once an hour.

    Returns a line for a person where that cost reports which were never delivered.
    Raises JournalError.
    """
    if not is_due(journal, "prune", EVERY):
        return None
    lost = prune(journal, settings.keep_runs, settings.keep_days)
    now = time.time()
    prune_logs(state, int(settings.keep_log_mb * 1_000_000), settings.keep_days * DAY, now)
    sweep(state, settings.keep_days, now)
    if not lost:
        return None
    return (
        f"{lost} queued report{'s' if lost > 1 else ''} could not be delivered in time and"
        f" {'are' if lost > 1 else 'is'} given up: keep_runs and keep_days say how long they wait"
    )


def is_due(journal: Journal, chore: str, seconds: float) -> bool:
    """Tell whether `chore` was last done `seconds` ago or more; then it counts as done now."""
    sql, now = "SELECT done_at FROM chores WHERE name = ?", time.time()

    def was_done(rows: "list[tuple[object, ...]]") -> bool:
        return bool(rows) and 0 <= now - float(str(rows[0][0])) < seconds

    if was_done(list(journal.query(sql, (chore,)))):
        return False
    with journal.transaction() as db:
        if was_done(db.execute(sql, (chore,)).fetchall()):
            return False
        db.execute("INSERT OR REPLACE INTO chores VALUES (?, ?)", (chore, now))
    return True


def prune(journal: Journal, keep_runs: int, keep_days: float) -> int:
    """Forget runs beyond the newest `keep_runs` or older than `keep_days`, with their reports.

    What is still queued does not count as one of them, but is bounded in the same way.
    Returns how many queued reports were forgotten.
    """
    with journal.transaction() as db:
        db.execute(
            "UPDATE reports SET state = 'superseded', settled_at = ?"
            " WHERE state = 'queued' AND kind = 'success' AND owner IS NULL AND id <"
            " (SELECT max(id) FROM reports AS newer WHERE newer.base_url = reports.base_url"
            " AND newer.monitor_id = reports.monitor_id)",
            (time.time(),),
        )
    doomed = journal.query(
        "WITH waiting AS (SELECT id, run_id FROM reports WHERE state = 'queued')"
        " SELECT seq FROM runs WHERE started_at < :oldest"
        " OR id IN (SELECT run_id FROM waiting ORDER BY id DESC LIMIT -1 OFFSET :keep)"
        " OR (outcome IS NOT NULL AND id NOT IN (SELECT run_id FROM waiting)"
        "  AND seq <= (SELECT seq FROM runs ORDER BY seq DESC LIMIT 1 OFFSET :keep))",
        {"oldest": time.time() - keep_days * DAY, "keep": keep_runs},
    )
    lost = 0
    found = list(doomed)
    for at in range(0, len(found), AT_ONCE):
        with journal.transaction() as db:
            for each in found[at : at + AT_ONCE]:
                of_run = "run_id = (SELECT id FROM runs WHERE seq = ?)"
                gone = db.execute(
                    f"DELETE FROM reports WHERE {of_run} RETURNING state", each
                ).fetchall()
                lost += gone == [("queued",)]
                db.execute("DELETE FROM runs WHERE seq = ?", each)
    return lost


def sweep(state: str, keep_days: float, now: float) -> None:
    """Remove what killed processes left behind, and what was set aside long ago."""
    ages = {path: keep_days * DAY if aside else DAY for path, aside in remains(state)}
    live = record.live_dir(state)
    with contextlib.suppress(OSError):
        for name in os.listdir(live):
            stem = name.removesuffix(record.META_SUFFIX)
            if stem != name and not os.path.exists(os.path.join(live, stem + record.SUFFIX)):
                ages[os.path.join(live, name)] = DAY
    for path, age in ages.items():
        with contextlib.suppress(OSError):
            if now - os.stat(path, follow_symlinks=False).st_mtime > age:
                os.unlink(path)
