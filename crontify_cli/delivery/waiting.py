"""The reports that wait to be delivered: queued in the journal, or still in a run's record.

The only count of them: `queue`, `status`, `runs`, `flush` and `doctor` all use it.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

from crontify_cli.delivery import records
from crontify_cli.delivery.journal_marks import forget
from crontify_cli.delivery.journal_queue import is_held

if TYPE_CHECKING:
    from crontify_cli.config import Settings
    from crontify_cli.delivery.journal import Journal

_QUEUED = (
    "SELECT run_id, monitor, reports.monitor_id, reports.base_url, outcome, reports.ended_at,"
    " attempts, settled_at, last_error, owner, owned_at"
    " FROM reports JOIN runs ON runs.id = run_id WHERE state = 'queued' ORDER BY reports.id"
)


class Waiting(NamedTuple):
    """A report that waits.

    run: the local id of its run. outcome: as in the journal, or "died" if the wrapper was killed
    and nothing is known of the run's end.
    since: when the run ended, in seconds since the epoch; of one that died, when its record was
    last written.
    attempts, tried_at, error: how often it was sent, when last, and why that failed.
    held_by: "process" while a process sends it, "run" while a run of its monitor is open on this
    machine: a report sent then would end that run on the server.
    is_recorded: it is not in the journal yet, but in the record of its run.
    """

    run: str
    monitor: str
    monitor_id: str
    base_url: str
    outcome: str
    since: float
    attempts: int = 0
    tried_at: float | None = None
    error: str | None = None
    held_by: Literal["process", "run"] | None = None
    is_recorded: bool = False


def waiting(state: str, journal: "Journal | None", settings: "Settings") -> list[Waiting]:
    """Return the reports that wait, the oldest first; raises JournalError.

    state: the state directory, which has the records. journal: None if there is none yet.
    """
    # In this order: a record that another process turns into a queued report meanwhile is gone.
    rows = list(journal.query(_QUEUED)) if journal else []
    recorded, open_monitors = _from_records(state, journal, settings)
    queued = [_queued(row, open_monitors) for row in rows]
    return sorted([*queued, *recorded], key=lambda each: each.since)


def _queued(row: tuple[object, ...], open_monitors: set[str]) -> Waiting:
    owner, owned_at = row[-2:]
    found = Waiting(*row[:-2])  # type: ignore[arg-type]  # as the schema has them
    if is_held(owner, owned_at):  # type: ignore[arg-type]  # as the schema has them
        return found._replace(held_by="process")
    return found._replace(held_by="run") if found.monitor_id in open_monitors else found


def _from_records(
    state: str, journal: "Journal | None", settings: "Settings"
) -> tuple[list[Waiting], set[str]]:
    """Return what only records know of, and the ids of the monitors that have an open run."""
    found: list[Waiting] = []
    open_monitors = set()
    for live in records.live_runs(state):
        standing, record = records.look(live)
        if standing == "running" or (standing == "unknown" and record):
            open_monitors.add(settings.monitor(live.monitor).id)
        if standing not in ("ended", "died") or record is None:
            continue  # what cannot be read may be a record that is just being made
        row = journal.run(live.run) if journal else None
        if row and row.outcome:
            continue  # its report is in the journal; the record was left behind
        outcome, since = "died", records.last_change(live)
        if standing == "ended":
            outcome = "success" if records.succeeded(record) else "fail"
            since = record.ended / 1e9
        address = (row.monitor_id, row.base_url) if row and row.base_url else None
        monitor_id, base_url = address or (settings.monitor(live.monitor).id, settings.base_url)
        entry = Waiting(live.run, live.monitor, monitor_id, base_url, outcome, since)
        is_held = records.is_being_reported(live)
        found.append(entry._replace(is_recorded=True, held_by="process" if is_held else None))
    return [
        each._replace(held_by="run")
        if each.held_by is None and each.monitor_id in open_monitors
        else each
        for each in found
    ], open_monitors


def discard(journal: "Journal", runs: Iterable[str]) -> list[str]:
    """Give up the queued or refused reports of these runs; return the ids of those runs.

    A report that a process is sending right now is left alone. Raises JournalError.
    """
    discarded = []
    with journal.transaction() as db:
        for run in runs:
            found = db.execute(
                "SELECT owner, owned_at, id FROM reports"
                " WHERE run_id = ? AND state IN ('queued', 'refused')",
                (run,),
            ).fetchone()
            if not found or is_held(*found[:2]):
                continue
            forget(db, found[2:])
            db.execute(
                "UPDATE reports SET state = 'discarded', settled_at = ?, owner = NULL,"
                " owned_at = NULL WHERE run_id = ?",
                (time.time(), run),
            )
            discarded.append(run)
    return discarded


def requeue(journal: "Journal", runs: Iterable[str]) -> None:
    """Queue the refused reports of these runs again; raises JournalError."""
    with journal.transaction() as db:
        db.executemany(
            "UPDATE reports SET state = 'queued' WHERE run_id = ? AND state = 'refused'",
            [(run,) for run in runs],
        )


def states(journal: "Journal", runs: Iterable[str]) -> dict[str, tuple[str, str | None]]:
    """Return the state of the report of each run, and its last error; raises JournalError."""
    found = {}
    for run in runs:
        rows = journal.query("SELECT state, last_error FROM reports WHERE run_id = ?", (run,))
        for state, error in rows:
            found[run] = (str(state), None if error is None else str(error))
    return found
