"""The rows of `crontify runs`, made from the journal: for JSON, a pipe and the table."""

from typing import NamedTuple

from crontify_cli.cli.moments import rounded, utc
from crontify_cli.delivery.journal import RunRow

LATE = 60.0
"""A report counts as late if it was delivered this many seconds after the run's end or later."""


class Entry(NamedTuple):
    """One run of the list: its row of the journal, and what follows from that.

    outcome: success, failed, tolerated, skipped, lost, running, or died if the wrapper was
        killed and the run has not been reported yet.
    duration: in seconds; of a running run, so far.
    usual: the median duration of the monitor's recent successes, in seconds.
    report: queued, delivered, late, superseded, refused; None if there is no report.
    late: seconds between the end of the run and the delivery of a late report.
    message: the reported error message, else how the run ended.
    """

    row: RunRow
    outcome: str
    duration: float | None
    usual: float | None
    report: str | None
    late: float | None
    message: str | None


def shown_outcome(row: RunRow) -> str | None:
    """Return the outcome in the server's words: "failed" for the journal's "fail"."""
    return "failed" if row.outcome == "fail" else row.outcome


def entry(row: RunRow, active: frozenset[str], usual: float | None, now: float) -> Entry:
    """Return the list's entry for `row`; active: the local ids of runs whose wrapper is alive."""
    outcome, duration = shown_outcome(row), row.duration
    if outcome is None:
        outcome = "running" if row.id in active else "died"
    if outcome == "running":
        duration = max(0.0, now - row.started_at)
    late = None
    if row.report == "delivered" and row.settled_at and row.ended_at:
        delay = row.settled_at - row.ended_at
        late = delay if delay >= LATE else None
    report = "late" if late else row.report
    return Entry(row, outcome, duration, usual, report, late, row.message or row.reason)


def as_json(run: Entry) -> dict[str, object]:
    """Return the JSON object; docs/output.md describes its keys."""
    row = run.row
    return {
        "run": row.id,
        "remote_run_id": row.remote_run_id,
        "monitor": row.monitor,
        "monitor_id": row.monitor_id,
        "command": [_text(word) for word in row.command],
        "outcome": run.outcome,
        "exit_code": row.exit_code,
        "started_at": utc(row.started_at),
        "ended_at": None if row.ended_at is None else utc(row.ended_at),
        "duration": rounded(run.duration),
        "usual_duration": rounded(run.usual),
        "message": run.message,
        "start": row.start_state,
        "report": run.report,
        "report_attempts": row.attempts,
        "report_error": row.last_error,
        "report_late": rounded(run.late),
        "meta": dict(row.meta),
    }


def as_fields(run: Entry) -> tuple[object, ...]:
    """Return the columns of a line in a pipe, as `crontify runs --help` lists them."""
    row = run.row
    seconds = None if run.duration is None else f"{run.duration:.3f}"
    return (
        *(utc(row.started_at), row.monitor, run.outcome, row.exit_code, seconds),
        *(run.report, row.id, row.remote_run_id, run.message),
    )


def _text(word: str) -> str:
    # A command line may contain bytes that are not UTF-8, which JSON cannot represent.
    return word.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
