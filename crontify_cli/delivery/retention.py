"""What is kept of runs that are over, and for how long: nothing may grow for ever."""

import contextlib
import json
import math
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli import record
from crontify_cli.delivery.journal import Journal
from crontify_cli.delivery.journal_file import remains
from crontify_cli.delivery.journal_marks import forget_gone
from crontify_cli.delivery.limits import forget_before
from crontify_cli.delivery.records import (
    CLOCK,
    live_runs,
    locked,
    look,
    may_report,
    remove,
    succeeded,
)
from crontify_cli.report.locallog import prune_logs
from crontify_cli.report.meta import has_own_numbers
from crontify_cli.state import Folder

if TYPE_CHECKING:
    from crontify_cli.config import Settings

EVERY = 3600.0
STEADY = 7 * 86400.0
"""Seconds between two tidyings after which the clock may have been set."""
QUEUE_BYTES = 100_000_000
"""Bytes of the queued reports, and of the records of runs that are still to be reported."""
DAY = 86400.0
AT_ONCE = 200
"""Runs forgotten in one transaction: it is over before another process's patience is."""


class Dropped(NamedTuple):
    """How many reports were dropped that had never been delivered."""

    successes: int = 0
    failures: int = 0

    def __str__(self) -> str:
        total = sum(self)
        return (
            f"{total} queued report{'s' if total > 1 else ''} dropped, the oldest successes first"
            f" ({self.successes} of successes, {self.failures} of failures): at most keep_runs"
            f" reports and {QUEUE_BYTES // 1_000_000} MB are queued"
        )


def tidy(state: str, journal: Journal | None, settings: "Settings") -> str | None:
    """Forget what is older or more than the settings keep, at most once an hour.

    journal: None if it cannot be used; records are bounded all the same.
    Returns a line for a person if that cost reports which were never delivered.
    Raises JournalError.
    """
    dropped = [drop_records(state, settings.keep_runs)]
    if journal:
        is_steady = has_steady_clock(journal)
        if is_due(journal, "prune", EVERY):
            days = settings.keep_days if is_steady else math.inf
            dropped.append(prune(journal, settings.keep_runs, days))
            now = time.time()
            queued = journal.query("SELECT run_id FROM reports WHERE state = 'queued'")
            waiting = frozenset(str(run) for (run,) in queued)
            log_bytes = int(settings.keep_log_mb * 1_000_000)
            prune_logs(state, log_bytes, days * DAY, now, spared=waiting)
            if is_steady:
                sweep(state, days, now)
    total = Dropped(*map(sum, zip(*dropped, strict=True)))
    return str(total) if any(total) else None


def has_steady_clock(journal: Journal) -> bool:
    """Tell whether the clock has gone on normally since the last tidying.

    If it was set, or the machine was off for long, ages wait for the next hour: a clock that
    is wrong for a moment must not cost what it makes look old.
    """
    last = list(journal.query("SELECT done_at FROM chores WHERE name = 'prune'"))
    return not last or 0 <= time.time() - float(str(last[0][0])) < STEADY


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


def prune(journal: Journal, keep_runs: int, keep_days: float) -> Dropped:
    """Forget runs beyond the newest `keep_runs` or older than `keep_days`, with their reports.

    A queued report is never too old. Of those only `keep_runs` and QUEUE_BYTES are kept: the
    oldest successes are dropped first, then the oldest failures.
    """
    journal.supersede(_superfluous(journal))
    doomed = journal.query(
        "WITH waiting AS (SELECT reports.id, run_id, kind, length(CAST(reports.meta || command"
        "  || coalesce(error_message, '') || coalesce(log_output, '') || coalesce(excerpt, '')"
        "  AS BLOB)) AS size FROM reports JOIN runs ON runs.id = run_id WHERE state = 'queued'),"
        " ranked AS (SELECT run_id, count(*) OVER best AS rank, sum(size) OVER best AS bytes"
        "  FROM waiting WINDOW best AS (ORDER BY kind = 'success', id DESC"
        "  ROWS UNBOUNDED PRECEDING))"
        " SELECT seq FROM runs WHERE"
        " id IN (SELECT run_id FROM ranked WHERE rank > :keep OR (rank > 1 AND bytes > :most))"
        " OR (id NOT IN (SELECT run_id FROM waiting) AND (started_at < :oldest OR"
        "  (outcome IS NOT NULL"
        "  AND seq <= (SELECT seq FROM runs ORDER BY seq DESC LIMIT 1 OFFSET :keep))))",
        {"oldest": time.time() - keep_days * DAY, "keep": keep_runs, "most": QUEUE_BYTES},
    )
    with journal.transaction() as db:
        forget_before(db, time.time() - keep_days * DAY)
    lost: Counter[str] = Counter()
    found = list(doomed)
    for at in range(0, len(found), AT_ONCE):
        with journal.transaction() as db:
            for each in found[at : at + AT_ONCE]:
                of_run = "run_id = (SELECT id FROM runs WHERE seq = ?)"
                gone = db.execute(
                    f"DELETE FROM reports WHERE {of_run} RETURNING state, kind", each
                ).fetchall()
                lost.update(kind for state, kind in gone if state == "queued")
                db.execute("DELETE FROM runs WHERE seq = ?", each)
    if found:
        forget_gone(journal)
    return Dropped(lost["success"], lost["fail"])


def _superfluous(journal: Journal) -> list[int]:
    """Return the queued successes that no delivery would send, the ids of their reports.

    They are followed by something newer of their monitor; `lineup` has the rest of the rule.
    """
    rows = journal.query(
        "SELECT reports.id, reports.meta FROM reports JOIN runs ON runs.id = run_id"
        " WHERE state = 'queued' AND kind = 'success' AND owner IS NULL"
        " AND coalesce(start_state, '') NOT IN ('acknowledged', 'unknown') AND reports.id <"
        " (SELECT max(id) FROM reports AS newer WHERE newer.base_url = reports.base_url"
        " AND newer.monitor_id = reports.monitor_id)"
    )
    return [int(str(row[0])) for row in rows if not has_own_numbers(json.loads(str(row[1])))]


def drop_records(state: str, keep: int) -> Dropped:
    """Remove records of runs that have ended, beyond `keep` of them and QUEUE_BYTES.

    They stay as long as something hinders their reports. Those that were delivered go first,
    then the oldest successes, then the oldest failures.
    """
    lives = live_runs(state)
    sizes = {live: _size(live.path) for live in lives}
    if len(lives) <= keep and sum(sizes.values()) <= QUEUE_BYTES:
        return Dropped()
    ranked = []
    for live in lives:
        standing, found = look(live)
        if found and standing in ("ended", "reported"):
            rank = 2 if standing == "reported" else int(succeeded(found))
            ranked.append((rank, -found.ended, live))
    lost: Counter[int] = Counter()
    total = 0
    for at, (rank, _, live) in enumerate(sorted(ranked)):
        total += sizes[live]
        if at >= keep or (at and total > QUEUE_BYTES):
            with locked(live) as lock:
                if lock and lock.found and may_report(lock.found, live) and remove(live):
                    lost[rank] += 1
    return Dropped(lost[1], lost[0])


def _size(path: str) -> int:
    """Return the bytes that a file takes on disk."""
    with contextlib.suppress(OSError):
        return os.stat(path, follow_symlinks=False).st_blocks * 512
    return 0


def sweep(state: str, keep_days: float, now: float) -> None:
    """Remove what killed processes left behind, and what was set aside long ago."""
    with contextlib.suppress(OSError), Folder(state) as folder:
        ages = {name: keep_days * DAY if aside else DAY for name, aside in remains(folder)}
        _remove_old(folder, ages, now)
    with contextlib.suppress(OSError), Folder(state, record.LIVE) as live:
        names = os.listdir(live.fd)
        stems = {stem for stem, suffix in map(os.path.splitext, names) if suffix == record.SUFFIX}
        _remove_old(live, {name: DAY for name in names if _is_left_over(name, stems)}, now)


def _is_left_over(name: str, stems: set[str]) -> bool:
    """Tell whether a file in the folder of records is ours and belongs to no record."""
    stem, suffix = os.path.splitext(name)
    is_companion = suffix in record.COMPANIONS and record.is_run_id(stem.partition("-")[0])
    return (is_companion and stem not in stems) or name.startswith(CLOCK)


def _remove_old(folder: Folder, ages: dict[str, float], now: float) -> None:
    for name, age in ages.items():
        with contextlib.suppress(OSError):
            if (status := folder.stat(name)) and now - status.st_mtime > age:
                folder.unlink(name)
