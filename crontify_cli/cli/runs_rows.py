"""What the journal says of a run, in the words of `crontify runs`: for JSON, pipe and table."""

from collections.abc import Mapping
from typing import NamedTuple

from crontify_cli.cli.moments import utc
from crontify_cli.delivery.journal import RunRow
from crontify_cli.model import Meta

LATE = 60.0
"""Seconds after a run's end from which on a report that arrived counts as late."""

WORDS: Mapping[str | None, str] = {"fail": "failed"}
"""The server's words where the journal has others."""

COLUMNS = ("started", "monitor", "outcome", "exit", "seconds", "report", "run", "remote", "message")
"""The columns in a pipe."""


class Entry(NamedTuple):
    """One run of the list.

    outcome: success, failed, tolerated, skipped, lost; running; died where the wrapper is
        gone and the run was not reported yet.
    started_at, ended_at: seconds since the epoch; duration, usual: seconds. A running
        run's duration is that so far. usual: of its monitor's newest successes, the median.
    start: acknowledged, unknown, dropped, refused; None where none was sent.
    report: queued, delivered, late, superseded, refused; None where there is none.
    error: why the report is not delivered, in the words of the last attempt.
    message: what was reported of a failure, else how the run ended.
    """

    run: str
    remote_run_id: str | None
    monitor: str
    monitor_id: str
    command: tuple[str, ...]
    outcome: str
    exit_code: int | None
    started_at: float
    ended_at: float | None
    duration: float | None
    usual: float | None
    message: str | None
    start: str | None
    report: str | None
    attempts: int
    error: str | None
    late: float | None
    meta: Meta


def entry(row: RunRow, living: frozenset[str], usual: float | None, now: float) -> Entry:
    """Return what is said of `row`; living: the local ids of runs whose wrapper lives."""
    outcome, duration = WORDS.get(row.outcome, row.outcome), row.duration
    if outcome is None:
        outcome = "running" if row.id in living else "died"
    if outcome == "running":
        duration = max(0.0, now - row.started_at)
    late = None
    if row.report == "delivered" and row.settled_at and row.ended_at:
        late = row.settled_at - row.ended_at
        late = late if late >= LATE else None
    return Entry(
        row.id,
        row.remote_run_id,
        row.monitor,
        row.monitor_id,
        row.command,
        outcome,
        row.exit_code,
        row.started_at,
        row.ended_at,
        duration,
        usual,
        row.message or row.reason,
        row.start_state,
        "late" if late else row.report,
        row.attempts,
        row.last_error,
        late,
        row.meta,
    )


def as_json(run: Entry) -> dict[str, object]:
    """Return the run's object: docs/output.md names the keys. Times are UTC, spans seconds."""
    return {
        "run": run.run,
        "remote_run_id": run.remote_run_id,
        "monitor": run.monitor,
        "monitor_id": run.monitor_id,
        "command": [_text(word) for word in run.command],
        "outcome": run.outcome,
        "exit_code": run.exit_code,
        "started_at": utc(run.started_at),
        "ended_at": None if run.ended_at is None else utc(run.ended_at),
        "duration": _rounded(run.duration),
        "usual_duration": _rounded(run.usual),
        "message": run.message,
        "start": run.start,
        "report": run.report,
        "report_attempts": run.attempts,
        "report_error": run.error,
        "report_late": _rounded(run.late),
        "meta": dict(run.meta),
    }


def as_fields(run: Entry) -> tuple[object, ...]:
    """Return the values of `COLUMNS`; None for what is not known."""
    return (
        utc(run.started_at),
        run.monitor,
        run.outcome,
        run.exit_code,
        None if run.duration is None else f"{run.duration:.3f}",
        run.report,
        run.run,
        run.remote_run_id,
        run.message,
    )


def _text(word: str) -> str:
    # A command line need not be text: JSON's readers choke on half a surrogate pair.
    return word.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
