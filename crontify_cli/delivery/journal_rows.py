"""The journal's rows as tuples, and the queries whose rows those are."""

import json
from typing import Literal, NamedTuple

from crontify_cli.model import Meta, Ping

StartState = Literal["acknowledged", "unknown", "dropped", "refused"]
ReportState = Literal["queued", "delivered", "superseded", "refused", "discarded", "folded"]


class MonitorQueue(NamedTuple):
    """The queued reports of one monitor, as one process sees them.

    owner: the process's name on leases. own_run: the run whose report it sends by itself.
    own_report: the id of that report, if it has one by now: only older ones count.
    """

    base_url: str
    monitor_id: str
    owner: str
    own_run: str = ""
    own_report: int | None = None


class Included(NamedTuple):
    """The failures that a report includes, itself not counted.

    since: when the first of their runs ended, in seconds since the epoch.
    """

    failures: int = 0
    since: float | None = None


class Queued(NamedTuple):
    """A report of the outbox. `ended_at` is when its run ended, in seconds since the epoch.

    boot_id, started: the boot of the run, and its start in clock ticks since then; 0 if that
    is unknown. duration: seconds, None if unknown.
    """

    id: int
    run_id: str
    ping: Ping
    ended_at: float
    attempts: int
    boot_id: str = ""
    started: int = 0
    duration: float | None = None
    included: Included = Included()


class RunRow(NamedTuple):
    """A run as the journal knows it now.

    From `report` on the fields are its final report's: `report` is None where there is
    none, `message` is its error message, `settled_at` when it was sent or given up.
    folded_into: the run whose report includes this one, by its local id; None if none does,
    or if it is not known any more.
    """

    seq: int
    id: str
    monitor: str
    monitor_id: str
    base_url: str
    command: tuple[str, ...]
    wrapper: tuple[int, int]
    boot_id: str
    started_at: float
    start_state: StartState | None
    remote_run_id: str | None
    outcome: str | None
    reason: str | None
    exit_code: int | None
    ended_at: float | None
    duration: float | None
    meta: Meta
    excerpt: str | None
    report: ReportState | None
    attempts: int
    last_error: str | None
    message: str | None
    settled_at: float | None
    folded_into: str | None = None


class RunSummary(NamedTuple):
    """The part of a run that statistics need; times in seconds, `started_at` since the epoch."""

    monitor: str
    outcome: str | None
    started_at: float
    duration: float | None


QUEUED = (
    "SELECT id, run_id, monitor_id, kind, meta, error_message, log_output, ended_at, attempts,"
    " (SELECT boot_id FROM runs WHERE runs.id = run_id),"
    " (SELECT coalesce(nullif(job_start, 0), wrapper_start) FROM runs WHERE runs.id = run_id),"
    " (SELECT duration FROM runs WHERE runs.id = run_id), owner, owned_at FROM reports"
)
QUEUED_OF = (
    " WHERE state = 'queued' AND reports.base_url = :base_url"
    " AND reports.monitor_id = :monitor_id AND run_id != :own_run"
    " AND (:own_report IS NULL OR reports.id < :own_report)"
)
CANDIDATES = (
    "SELECT reports.id, kind, reports.meta, reports.ended_at, seq, start_state, boot_id,"
    " coalesce(nullif(job_start, 0), wrapper_start), duration, owner, owned_at"
    " FROM reports JOIN runs ON runs.id = run_id"
)
RUN_ROWS = (
    "SELECT seq, runs.id, monitor, runs.monitor_id, runs.base_url, command, wrapper_pid,"
    " wrapper_start, boot_id, started_at, start_state, remote_run_id, outcome, reason, exit_code,"
    " runs.ended_at, duration, runs.meta, excerpt, state, attempts, last_error, error_message,"
    " settled_at, {folded_into} FROM runs LEFT JOIN reports ON reports.run_id = runs.id"
)


def queued(row: tuple[object, ...]) -> Queued:
    """Return what a row of `QUEUED` says."""
    number, run_id, monitor_id, kind, meta, message, log, ended_at, attempts, *clock = row[:-2]
    ping = Ping(monitor_id, kind, json.loads(meta), message, log)  # type: ignore[arg-type]  # as the schema has them
    return Queued(number, run_id, ping, ended_at, attempts, *clock)  # type: ignore[arg-type]  # as the schema has them


def run_row(row: tuple[object, ...]) -> RunRow:
    """Return what a row of `RUN_ROWS` says."""
    values = list(row)
    values[5] = tuple(json.loads(str(values[5])))
    values[6:8] = [(values[6], values[7])]
    values[16] = json.loads(str(values[16])) if values[16] else {}
    values[19] = values[19] or 0
    return RunRow(*values)  # type: ignore[arg-type]  # as the schema has them
