"""Draws the list of runs for a terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from crontify_cli.cli.moments import brief, local, local_short
from crontify_cli.cli.runs_rows import Entry
from crontify_cli.cli.table import Column, View, bar, cause, draw_table

COLOURS = {
    "success": "green",
    "failed": "bold red",
    "lost": "bold red",
    "died": "bold red",
    "tolerated": "yellow",
    "skipped": "dim",
    "running": "cyan",
}
REPORT_COLOURS = {"queued": "yellow", "refused": "bold red", "late": "yellow", "superseded": "dim"}
_BAR = 8
_NARROWEST_MONITOR = 12
_NARROWEST_MESSAGE = 24


def runs_table(runs: Sequence[Entry], view: View) -> RenderableType:
    """Return the table of `runs`, in their order, and below it notes on what needs attention."""
    wide = view.width >= 120
    whens = [
        local(run.row.started_at) if wide else local_short(run.row.started_at, view.now)
        for run in runs
    ]
    columns = [
        Column("When", 1, [Text(when) for when in whens]),
        Column("Run", 6, [Text(run.row.id if wide else run.row.id[:6], "dim") for run in runs]),
        Column("Monitor", 0, [Text(run.row.monitor) for run in runs], least=_NARROWEST_MONITOR),
        Column("Outcome", 1, [Text(run.outcome, COLOURS.get(run.outcome, "")) for run in runs]),
        Column("Exit", 3, [_exit(run) for run in runs], right=True),
        Column("Took", 4, [_duration(run) for run in runs], right=True),
        Column("/ usual", 5, [_bar(run, ascii_only=view.ascii_only) for run in runs]),
        Column("Report", 2, [_report(run) for run in runs]),
        Column(
            "Message", 7, [Text(_message(run), "dim") for run in runs], least=_NARROWEST_MESSAGE
        ),
    ]
    filled = [column for column in columns if any(column.cells)]
    return Group(draw_table(filled, view.width), *_notes(runs, view.now))


def _exit(run: Entry) -> Text:
    code = "" if run.row.exit_code is None else str(run.row.exit_code)
    return Text(code, "red" if run.row.exit_code and run.outcome == "failed" else "")


def _duration(run: Entry) -> Text:
    return Text("" if run.duration is None or run.outcome == "skipped" else brief(run.duration))


def _bar(run: Entry, *, ascii_only: bool) -> Text:
    if run.duration is None or run.usual is None or run.outcome == "skipped":
        return Text("")
    within, beyond, missing = bar(run.duration, run.usual, _BAR, ascii_only=ascii_only)
    colour = "cyan" if run.outcome == "running" else "green"
    return Text.assemble((within, colour), (beyond, "yellow"), (missing, "dim"))


def _report(run: Entry) -> Text:
    """Return what became of the report, empty if it was delivered in time."""
    if run.outcome == "running" and run.row.start_state == "refused":
        return Text("start refused", "bold red")
    if run.report in (None, "delivered"):
        return Text("")
    words = run.report if run.late is None else f"{brief(run.late)} late"
    return Text(words, REPORT_COLOURS.get(run.report, ""))


def _message(run: Entry) -> str:
    """Return what went wrong, without the exit code, which has its own column."""
    if run.outcome in ("success", "running"):
        return run.row.last_error or "" if run.report in ("queued", "refused") else ""
    return cause(run.message or "", run.row.exit_code)


def _notes(runs: Sequence[Entry], now: float) -> list[RenderableType]:
    """Return lines that say which reports were not delivered, why, and which command helps."""
    notes = []
    if queued := [run for run in runs if run.report == "queued"]:
        oldest = min(run.row.ended_at or run.row.started_at for run in queued)
        count = f"{len(queued)} report{'s' if len(queued) > 1 else ''} queued"
        error = next((run.row.last_error for run in queued if run.row.last_error), None)
        why = f": {error}" if error else ""
        notes.append(
            f"{count}, the oldest for {brief(now - oldest)}{why}\n`crontify flush` tries again."
        )
    if refused := next((run for run in runs if run.report == "refused"), None):
        reason = refused.row.last_error or "the server gave no reason"
        notes.append(f"Refused: {reason}\n`crontify flush --refused` tries again.")
    if any(run.outcome == "died" for run in runs):
        notes.append(
            "Died: `crontify exec` was killed before it reported the run; `crontify flush` or the"
            " monitor's next run reports it."
        )
    return [Text(note) for note in ("", *notes)] if notes else []
