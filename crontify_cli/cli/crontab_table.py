"""Draws the jobs of crontabs on a terminal."""

from collections.abc import Sequence

from rich.text import Text

from crontify_cli.cli import output
from crontify_cli.cli.crontab_list import Row
from crontify_cli.cli.moments import ago, brief, local_short
from crontify_cli.cli.runs_table import COLOURS
from crontify_cli.cli.table import Column, draw_table


def draw(rows: Sequence[Row], now: float, *, several: bool) -> None:
    """Print the jobs. several: whether they are of more than one crontab."""
    if not rows:
        print("no jobs")
        return
    columns = [
        Column(
            "Crontab", 6, [Text(row.crontab if several else "", "dim") for row in rows], least=12
        ),
        Column("Line", 0, [Text(str(row.line)) for row in rows], right=True),
        Column("Schedule", 3, [_schedule(row) for row in rows], least=12),
        Column("Next run", 2, [_next(row, now) for row in rows]),
        Column("User", 7, [Text(row.user or "") for row in rows]),
        Column("Monitor", 1, [_monitor(row) for row in rows], least=12),
        Column("Last", 1, [_last(row, now) for row in rows]),
        Column("Age", 4, [Text(ago(now - row.last_run) if row.last_run else "") for row in rows]),
        Column("Usual", 5, [Text(brief(row.usual) if row.usual else "") for row in rows], True),
        Column("Command", 2, [Text(row.command) for row in rows], least=16),
    ]
    filled = [column for column in columns if any(column.cells)]
    console = output.console()
    with console.capture() as drawn:
        console.print(draw_table(filled, console.width))
    output.page("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))


def _schedule(row: Row) -> Text:
    return Text(row.words, "bold red" if row.problem or row.words == "Never" else "")


def _next(row: Row, now: float) -> Text:
    return Text("" if row.next_run is None else local_short(row.next_run, now))


def _monitor(row: Row) -> Text:
    if row.monitor:
        return Text(row.monitor)
    return Text(f"({row.wrapper})" if row.wrapper else "", "dim")


def _last(row: Row, now: float) -> Text:
    """The last outcome, or since when the job is overdue."""
    if row.overdue is not None:
        return Text(f"overdue {brief(now - row.overdue)}", "bold red")
    return Text(row.outcome or "", COLOURS.get(row.outcome or "", ""))
