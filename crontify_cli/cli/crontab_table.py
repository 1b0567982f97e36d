"""Draws the jobs of crontabs on a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.cli import output
from crontify_cli.cli.moments import ago, brief, local_short
from crontify_cli.cli.table import Column, draw_table, text
from crontify_cli.crontab.schedule import Schedule, in_words

if TYPE_CHECKING:
    from rich.text import Text


class Row(NamedTuple):
    """One job.

    when: the schedule, None if cron rejects the line. next_run, last_run: seconds since the
        epoch; usual: seconds. overdue: since when it should
        have started, None if it is not late or nothing is known. problem: why cron rejects it.
    """

    crontab: str
    line: int
    schedule: str
    when: Schedule | None
    next_run: float | None
    user: str | None
    command: str
    monitor: str | None
    wrapper: str | None
    outcome: str | None
    last_run: float | None
    usual: float | None
    overdue: float | None
    problem: str

    @property
    def words(self) -> str:
        """The schedule as a person would say it, or why cron rejects it."""
        return in_words(self.when, self.schedule) if self.when else self.problem


def draw(rows: Sequence[Row], now: float, *, several: bool) -> None:
    """Print the jobs. several: whether they are of more than one crontab."""
    if not rows:
        print("no jobs")
        return
    columns: tuple[Column[Row], ...] = (
        Column("Crontab", 6, lambda row: text((row.crontab if several else "", "dim")), least=12),
        Column("Line", 0, lambda row: text(str(row.line)), right=True),
        Column("Schedule", 3, _schedule, least=12),
        Column("Next run", 2, lambda row: text(_moment(row.next_run, now))),
        Column("User", 7, lambda row: text(row.user or "")),
        Column("Monitor", 1, _monitor, least=12),
        Column("Last", 1, lambda row: _last(row, now)),
        Column("Age", 4, lambda row: text(ago(now - row.last_run) if row.last_run else "")),
        Column("Usual", 5, lambda row: text(brief(row.usual) if row.usual else ""), right=True),
        Column("Command", 2, lambda row: text(_job(row)), least=16),
    )
    console = output.console()
    with console.capture() as drawn:
        console.print(draw_table(rows, columns, console.width))
    output.page("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))


def _schedule(row: Row) -> "Text":
    return text((row.words, "bold red" if row.problem or row.words == "Never" else ""))


def _moment(moment: float | None, now: float) -> str:
    return "" if moment is None else local_short(moment, now)


def _monitor(row: Row) -> "Text":
    other = f"({row.wrapper})" if row.wrapper else ""
    return text(row.monitor) if row.monitor else text((other, "dim"))


def _job(row: Row) -> str:
    """Return what `exec` runs, without `exec` itself: its monitor has a column of its own."""
    before, dashes, job = row.command.partition(" -- ")
    return job if row.monitor and dashes and "crontify" in before else row.command


def _last(row: Row, now: float) -> "Text":
    """Return the last outcome, or since when the job is overdue."""
    if row.overdue is not None:
        return text((f"overdue {brief(now - row.overdue)}", "bold red"))
    from crontify_cli.cli.runs_rows import COLOURS

    return text((row.outcome or "", COLOURS.get(row.outcome or "", "")))
