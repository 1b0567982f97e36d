"""Draws the list of runs on a terminal, in as many columns as fit."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from crontify_cli.cli.moments import brief, local, local_short
from crontify_cli.cli.runs_rows import Entry
from crontify_cli.cli.table import GAP, View, bar, cause

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
_MESSAGE_FROM = 24
"""Columns that a message must have left to be worth showing."""


class _Column(NamedTuple):
    """A column: with the largest rank it goes first where the window is too narrow."""

    name: str
    rank: int
    cell: Callable[[Entry, View], Text]
    right: bool = False


def runs_table(runs: Sequence[Entry], view: View) -> RenderableType:
    """Return the table, newest run first as given, and below it what is to be done."""
    columns = [column for column in _COLUMNS if _says_something(column, runs, view)]
    cells = {column.name: [column.cell(run, view) for run in runs] for column in columns}
    widths = {
        column.name: max(len(column.name), *(text.cell_len for text in cells[column.name]))
        for column in columns
    }
    shown = _fitting(columns, widths, view.width)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold dim")
    for column in shown:
        table.add_column(
            column.name,
            no_wrap=True,
            overflow="ellipsis",
            justify="right" if column.right else "left",
            width=widths[column.name],
        )
    left = view.width - sum(widths[column.name] + GAP for column in shown)
    messages = [_message(run) for run in runs]
    with_message = left >= _MESSAGE_FROM and any(messages)
    if with_message:
        table.add_column("Message", no_wrap=True, overflow="ellipsis", max_width=left)
    for at, message in enumerate(messages):
        row = [cells[column.name][at] for column in shown]
        table.add_row(*row, *([Text(message, "dim")] if with_message else []))
    return Group(table, *_notes(runs, view))


def _fitting(columns: Sequence[_Column], widths: dict[str, int], width: int) -> list[_Column]:
    """Return the columns that fit; the monitor's is narrowed before any is left out."""
    shown = list(columns)

    def over() -> int:
        return sum(widths[column.name] + GAP for column in shown) - GAP - width

    if over() > 0:
        widths["Monitor"] = max(min(widths["Monitor"], 12), widths["Monitor"] - over())
    while over() > 0 and len(shown) > 2:
        shown.remove(max(shown, key=lambda column: column.rank))
    widths["Monitor"] = max(1, widths["Monitor"] - max(0, over()))
    return shown


def _says_something(column: _Column, runs: Sequence[Entry], view: View) -> bool:
    return column.rank <= 1 or any(column.cell(run, view) for run in runs)


def _when(run: Entry, view: View) -> Text:
    wide = view.width >= 120
    return Text(local(run.started_at) if wide else local_short(run.started_at, view.now))


def _monitor(run: Entry, view: View) -> Text:
    return Text(run.monitor)


def _outcome(run: Entry, view: View) -> Text:
    return Text(run.outcome, COLOURS.get(run.outcome, ""))


def _exit(run: Entry, view: View) -> Text:
    code = run.exit_code
    return Text(
        "" if code is None else str(code), "red" if code and run.outcome == "failed" else ""
    )


def _duration(run: Entry, view: View) -> Text:
    if run.duration is None or run.outcome == "skipped":
        return Text("")
    return Text(brief(run.duration))


def _bar(run: Entry, view: View) -> Text:
    if run.duration is None or run.usual is None or run.outcome == "skipped":
        return Text("")
    within, beyond, missing = bar(run.duration, run.usual, _BAR, ascii_only=view.ascii_only)
    colour = "cyan" if run.outcome == "running" else "green"
    return Text.assemble((within, colour), (beyond, "yellow"), (missing, "dim"))


def _report(run: Entry, view: View) -> Text:
    """What became of the report; nothing where it arrived as it should."""
    if run.outcome == "running" and run.start == "refused":
        return Text("start refused", "bold red")
    if run.report in (None, "delivered"):
        return Text("")
    words = run.report or ""
    if run.report == "late" and run.late is not None:
        words = f"{brief(run.late)} late"
    return Text(words, REPORT_COLOURS.get(run.report or "", ""))


def _run(run: Entry, view: View) -> Text:
    return Text(run.run[:6] if view.width < 120 else run.run, "dim")


def _message(run: Entry) -> str:
    """What went wrong, without the exit code, which has its own column."""
    if run.outcome in ("success", "running"):
        return run.error or "" if run.report in ("queued", "refused") else ""
    return cause(run.message or "", run.exit_code)


_COLUMNS = (
    _Column("When", 1, _when),
    _Column("Run", 6, _run),
    _Column("Monitor", 0, _monitor),
    _Column("Outcome", 1, _outcome),
    _Column("Exit", 3, _exit, right=True),
    _Column("Took", 4, _duration, right=True),
    _Column("/ usual", 5, _bar),
    _Column("Report", 2, _report),
)


def _notes(runs: Sequence[Entry], view: View) -> list[RenderableType]:
    """Return lines that say why reports are not where they should be, and what helps."""
    notes = []
    queued = [run for run in runs if run.report == "queued"]
    if queued:
        oldest = min(run.ended_at or run.started_at for run in queued)
        count = f"{len(queued)} report{'s' if len(queued) > 1 else ''} queued"
        error = next((run.error for run in queued if run.error), None)
        why = f": {error}" if error else ""
        notes.append(
            f"{count}, the oldest for {brief(view.now - oldest)}{why}"
            "\n`crontify flush` tries again."
        )
    refused = next((run for run in runs if run.report == "refused"), None)
    if refused:
        notes.append(
            f"Refused: {refused.error or 'the server gave no reason'}"
            "\n`crontify flush --refused` tries again."
        )
    if any(run.outcome == "died" for run in runs):
        notes.append("Died: the wrapper is gone; `crontify flush` or the next run reports it.")
    if not notes:
        return []
    return [Text(""), *(Text(note) for note in notes)]
