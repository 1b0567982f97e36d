"""Draws the jobs of crontabs on a terminal, in as many columns as fit."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from crontify_cli.cli import output
from crontify_cli.cli.crontab_list import Row
from crontify_cli.cli.moments import ago, brief, local_short
from crontify_cli.cli.runs_table import COLOURS
from crontify_cli.cli.table import GAP

_LEAST_COMMAND = 20


class _Column(NamedTuple):
    """A column: with the largest rank it goes first where the window is too narrow."""

    name: str
    rank: int
    cell: Callable[[Row, float], Text]
    right: bool = False


def draw(rows: Sequence[Row], now: float, *, several: bool) -> None:
    """Print the jobs. several: whether they are of more than one crontab."""
    if not rows:
        print("no jobs")
        return
    console = output.console()
    with console.capture() as drawn:
        console.print(_table(rows, now, console.width, several=several))
    output.page("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))


def _table(rows: Sequence[Row], now: float, width: int, *, several: bool) -> Table:
    columns = [column for column in _COLUMNS if several or column.name != "Crontab"]
    cells = {column.name: [column.cell(row, now) for row in rows] for column in columns}
    columns = [column for column in columns if any(cells[column.name])]
    widths = {
        column.name: max(len(column.name), *(cell.cell_len for cell in cells[column.name]))
        for column in columns
    }
    widths["Command"] = min(widths["Command"], _LEAST_COMMAND)
    widths["Schedule"] = min(widths["Schedule"], 36)

    def left() -> int:
        return width - sum(widths[column.name] + GAP for column in columns) + GAP

    while left() < 0 and len(columns) > 2:
        columns.remove(max(columns, key=lambda column: column.rank))
    if any(column.name == "Command" for column in columns):
        longest = max(cell.cell_len for cell in cells["Command"])
        widths["Command"] = max(8, min(max(longest, 7), widths["Command"] + left()))
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold dim")
    for column in columns:
        table.add_column(
            column.name,
            no_wrap=True,
            overflow="ellipsis",
            justify="right" if column.right else "left",
            width=widths[column.name],
        )
    for index in range(len(rows)):
        table.add_row(*(cells[column.name][index] for column in columns))
    return table


def _next(row: Row, now: float) -> Text:
    return Text("" if row.next_run is None else local_short(row.next_run, now))


def _monitor(row: Row, now: float) -> Text:
    if row.monitor:
        return Text(row.monitor)
    return Text(f"({row.wrapper})" if row.wrapper else "-", "dim")


def _last(row: Row, now: float) -> Text:
    """The last outcome, or since when the job is overdue."""
    if row.overdue is not None:
        return Text(f"overdue {brief(now - row.overdue)}", "bold red")
    return Text(row.outcome or "", COLOURS.get(row.outcome or "", ""))


def _schedule(row: Row, now: float) -> Text:
    return Text(row.words, "bold red" if row.problem or row.words == "Never" else "")


_COLUMNS = (
    _Column("Crontab", 6, lambda row, now: Text(row.crontab, "dim")),
    _Column("Line", 0, lambda row, now: Text(str(row.line)), right=True),
    _Column("Schedule", 3, _schedule),
    _Column("Next run", 2, _next),
    _Column("User", 7, lambda row, now: Text(row.user or "")),
    _Column("Command", 1, lambda row, now: Text(row.command)),
    _Column("Monitor", 1, _monitor),
    _Column("Last", 1, _last),
    _Column("Age", 4, lambda row, now: Text(ago(now - row.last_run) if row.last_run else "")),
    _Column("Usual", 5, lambda row, now: Text(brief(row.usual) if row.usual else ""), right=True),
)
