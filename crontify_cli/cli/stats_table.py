"""Draws the monitors' statistics on a terminal."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from crontify_cli.cli.moments import ago, brief
from crontify_cli.cli.stats import Stats
from crontify_cli.cli.table import GAP, View, cause, sparkline

_NUMBERS = 6 + 7 + 6 + 6 + 4 * GAP
_NARROWEST = 8
"""Characters of a sparkline that is worth drawing."""


def stats_table(every: Sequence[Stats], view: View) -> RenderableType:
    """Return the table: numbers, the newest durations (failures in red), and the last failure."""
    monitor = max(len("Monitor"), *(len(stats.monitor) for stats in every))
    monitor = max(_NARROWEST, min(monitor, view.width - _NUMBERS, 32 if view.width >= 120 else 20))
    left = view.width - monitor - _NUMBERS - GAP
    failure = max(len("Last failure"), *(len(_failed_ago(stats, view)) for stats in every))
    spark = min(40, left - failure - GAP if view.width < 120 else 24)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold dim")
    table.add_column("Monitor", no_wrap=True, overflow="ellipsis", width=monitor)
    for name, width in (("Runs", 6), ("Success", 7), ("p50", 6), ("p95", 6)):
        table.add_column(name, no_wrap=True, justify="right", width=width)
    if spark >= _NARROWEST:
        table.add_column("Durations", no_wrap=True, width=max(spark, len("Durations")))
    if left >= failure:
        # Without a width of its own rich would take it from all the others.
        spark_width = max(spark, len("Durations")) + GAP if spark >= _NARROWEST else 0
        rest = left - spark_width
        table.add_column("Last failure", no_wrap=True, overflow="ellipsis", max_width=rest)
    for stats in every:
        table.add_row(*_cells(stats, view, spark, with_failure=left >= failure))
    return table


def _cells(stats: Stats, view: View, spark: int, *, with_failure: bool) -> list[Text]:
    cells = [
        Text(stats.monitor),
        Text(str(stats.runs)),
        _rate(stats.success_rate),
        *(Text("-" if span is None else brief(span)) for span in (stats.p50, stats.p95)),
    ]
    if spark >= _NARROWEST:
        cells.append(_durations(stats, spark, ascii_only=view.ascii_only))
    if with_failure:
        cells.append(_failure(stats, view))
    return cells


def _rate(rate: float | None) -> Text:
    if rate is None:
        return Text("-")
    colour = "green" if rate >= 0.99 else "yellow" if rate >= 0.9 else "bold red"
    # Never rounded to 100 % while something failed.
    percent = min(rate * 100, 99.9) if rate < 1 else 100.0
    return Text(f"{percent:.1f}%", colour)


def _durations(stats: Stats, width: int, *, ascii_only: bool) -> Text:
    recent = stats.recent[-width:]
    blocks = sparkline([run.duration for run in recent], ascii_only=ascii_only)
    text = Text()
    for run, block in zip(recent, blocks, strict=True):
        text.append(block, "green" if run.succeeded else "red")
    return text


def _failed_ago(stats: Stats, view: View) -> str:
    return ago(view.now - stats.last_failure.started_at) if stats.last_failure else "never"


def _failure(stats: Stats, view: View) -> Text:
    text = Text(_failed_ago(stats, view), "" if stats.last_failure else "dim")
    if stats.last_failure and view.width >= 120:
        row = stats.last_failure
        text.append(f"  {cause(row.message or row.reason or '', row.exit_code)}", "dim")
    return text
