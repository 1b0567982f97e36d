"""The rows of `crontify runs`, made from the journal: for JSON, a pipe and a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.cli.history import Known
from crontify_cli.cli.moments import brief, local, local_short, rounded, utc
from crontify_cli.cli.table import Column, View, bar, cause, draw_table, text
from crontify_cli.delivery.delays import plausible
from crontify_cli.delivery.journal import RunRow
from crontify_cli.delivery.records import succeeded

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

LATE = 60.0
"""A report counts as late if it was delivered this many seconds after the run's end or later."""

COLOURS = {
    "success": "green",
    "failed": "bold red",
    "lost": "bold red",
    "died": "bold red",
    "tolerated": "yellow",
    "skipped": "dim",
    "running": "cyan",
    "unknown": "yellow",
}
REPORT_COLOURS = {
    "queued": "yellow",
    "refused": "bold red",
    "late": "yellow",
    "superseded": "dim",
    "discarded": "dim",
    "folded": "yellow",
}
_BAR = 8
_NARROWEST_MONITOR = 12
_NARROWEST_MESSAGE = 20


class Entry(NamedTuple):
    """One run of the list: its row of the journal, and what follows from that.

    outcome: success, failed, tolerated, skipped, lost, running, died if the wrapper was killed
        and the run has not been reported yet, or unknown if nothing here tells how it ended.
    duration: in seconds; of a running run, so far.
    usual: the median duration of the monitor's recent successes, in seconds.
    report: queued, delivered, late, superseded, refused, discarded, folded; None if there is
        no report.
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


def entry(row: RunRow, known: Known | None, usual: float | None, now: float) -> Entry:
    """Return the list's entry for `row`; known: what is known if the journal has no end of it."""
    outcome, duration, report = shown_outcome(row), row.duration, row.report
    if outcome is None and known:
        outcome = known.standing
        if known.record and known.standing in ("ended", "reported"):
            outcome = "success" if succeeded(known.record) else "failed"
            duration = max(0.0, (known.record.ended - known.record.started) / 1e9)
            report = "queued" if known.standing == "ended" else "delivered"
    if outcome == "running":
        duration = max(0.0, now - row.started_at)
    late = None
    if row.report == "delivered" and row.settled_at and row.ended_at:
        delay = plausible(row.settled_at - row.ended_at)
        late = delay if delay and delay >= LATE else None
    shown = "late" if late else report
    return Entry(row, outcome or "unknown", duration, usual, shown, late, row.message or row.reason)


def is_waiting(run: Entry) -> bool:
    """Whether the report of a run waits to be delivered, as `crontify queue` lists it."""
    return run.report == "queued" or run.outcome == "died"


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
        "folded_into": row.folded_into,
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


def runs_table(
    runs: Sequence[Entry], view: View, waiting: Sequence[str] = ()
) -> "list[RenderableType]":
    """Return the table of `runs`, in their order, and notes on what needs attention.

    waiting: the lines on the reports that wait.
    """
    wide = view.width >= 120

    def when(run: Entry) -> str:
        return local(run.row.started_at) if wide else local_short(run.row.started_at, view.now)

    columns: list[Column[Entry]] = [
        Column("When", 2, lambda run: text(when(run))),
        Column("Run", 4, lambda run: text((run.row.id if wide else run.row.id[:6], "dim"))),
        Column("Monitor", 0, lambda run: text(run.row.monitor), least=_NARROWEST_MONITOR),
        Column("Outcome", 0, lambda run: text((run.outcome, COLOURS.get(run.outcome, "")))),
        Column("Exit", 5, exit_code, right=True),
        Column("Took", 6, _duration, right=True),
        Column("/ usual", 7, lambda run: usual_bar(run, ascii_only=view.ascii_only)),
        Column("Report", 3, _report),
        Column("Message", 1, lambda run: text((_message(run), "dim")), least=_NARROWEST_MESSAGE),
    ]
    return [draw_table(runs, columns, view.width), *_notes(runs, waiting)]


def exit_code(run: Entry) -> "Text":
    """Return the cell of the exit code."""
    code = "" if run.row.exit_code is None else str(run.row.exit_code)
    return text((code, "red" if run.row.exit_code and run.outcome == "failed" else ""))


def _duration(run: Entry) -> "Text":
    return text("" if run.duration is None or run.outcome == "skipped" else brief(run.duration))


def usual_bar(run: Entry, *, ascii_only: bool) -> "Text":
    """Return the cell that compares the duration with the usual one."""
    if run.duration is None or run.usual is None or run.outcome == "skipped":
        return text("")
    within, beyond, missing = bar(run.duration, run.usual, _BAR, ascii_only=ascii_only)
    colour = "cyan" if run.outcome == "running" else "green"
    return text((within, colour), (beyond, "yellow"), (missing, "dim"))


def _report(run: Entry) -> "Text":
    """Return what became of the report, empty if it was delivered in time."""
    if run.outcome == "running" and run.row.start_state == "refused":
        return text(("start refused", "bold red"))
    if run.report in (None, "delivered"):
        return text("")
    words = run.report if run.late is None else f"{brief(run.late)} late"
    return text((words, REPORT_COLOURS.get(run.report, "")))


def _message(run: Entry) -> str:
    """Return what went wrong, without the exit code, which has its own column."""
    if run.outcome in ("success", "running"):
        return run.row.last_error or "" if run.report in ("queued", "refused") else ""
    return cause(run.message or "", run.row.exit_code)


def _notes(runs: Sequence[Entry], waiting: Sequence[str]) -> "list[Text]":
    """Return lines that say which reports were not delivered, why, and which command helps."""
    notes = list(waiting)
    if refused := next((run for run in runs if run.report == "refused"), None):
        reason = refused.row.last_error or "the server gave no reason"
        notes.append(f"Refused: {reason}; 'crontify queue retry {refused.row.id}' tries again")
    if any(run.outcome == "died" for run in runs):
        notes.append(
            "Died: 'crontify exec' was killed before it reported the run; 'crontify flush' or the"
            " monitor's next run reports it"
        )
    if any(run.outcome == "unknown" for run in runs):
        notes.append(
            "Unknown: nothing on this machine tells how the run ended. It belongs to another"
            " machine or container, or there was no space for its record"
        )
    return [text(note) for note in ("", *notes)] if notes else []
