"""Draws the monitors' statistics for a terminal."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from crontify_cli.cli.moments import ago, brief
from crontify_cli.cli.stats import Stats
from crontify_cli.cli.table import Column, View, cause, draw_table, sparkline

_NARROWEST = 8
"""Characters of the shortest sparkline that is worth drawing."""


def stats_table(every: Sequence[Stats], view: View) -> RenderableType:
    """Return the table: numbers, the newest durations (failures in red), and the last failure."""
    wide = view.width >= 120
    durations = [_durations(stats, 24 if wide else 40, view) for stats in every]
    failures = [_failure(stats, view.now, with_cause=wide) for stats in every]
    columns = [
        Column("Monitor", 0, [Text(stats.monitor) for stats in every], least=_NARROWEST),
        Column("Runs", 2, [Text(str(stats.runs)) for stats in every], right=True),
        Column("Success", 1, [_rate(stats.success_rate) for stats in every], right=True),
        Column("p50", 3, [_span(stats.p50) for stats in every], right=True),
        Column("p95", 4, [_span(stats.p95) for stats in every], right=True),
        Column("Durations", 6, durations, least=_NARROWEST, keeps_end=True),
        Column("Last failure", 5, failures, least=len("Last failure")),
    ]
    return draw_table(columns, view.width)


def _rate(rate: float | None) -> Text:
    if rate is None:
        return Text("-")
    colour = "green" if rate >= 0.99 else "yellow" if rate >= 0.9 else "bold red"
    # A rate below 1 is never rounded up to 100 %.
    percent = min(rate * 100, 99.9) if rate < 1 else 100.0
    return Text(f"{percent:.1f}%", colour)


def _span(seconds: float | None) -> Text:
    return Text("-" if seconds is None else brief(seconds))


def _durations(stats: Stats, count: int, view: View) -> Text:
    recent = stats.recent[-count:]
    blocks = sparkline([run.duration for run in recent], ascii_only=view.ascii_only)
    colours = ("green" if run.succeeded else "red" for run in recent)
    return Text.assemble(*zip(blocks, colours, strict=True))


def _failure(stats: Stats, now: float, *, with_cause: bool) -> Text:
    row = stats.last_failure
    if row is None:
        return Text("never", "dim")
    text = Text(ago(now - row.started_at))
    if with_cause:
        text.append(f"  {cause(row.message or row.reason or '', row.exit_code)}", "dim")
    return text
