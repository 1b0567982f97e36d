"""`crontify runs`: lists what ran, how it ended, and whether that was reported."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from crontify_cli.cli.arguments import OptionalMonitor, parsed_by
from crontify_cli.cli.moments import parse_since
from crontify_cli.errors import CrontifyError, say

if TYPE_CHECKING:
    from rich.console import RenderableType

    from crontify_cli.cli.history import History
    from crontify_cli.cli.runs_rows import Entry
    from crontify_cli.cli.table import View
    from crontify_cli.delivery.journal import RunRow

LIMIT = 20

Row = TypeVar("Row")

_HELP = """List the runs on this machine, the newest first.

In a pipe each run is one tab-separated line, without a header: started (UTC),
monitor, outcome, exit code, seconds, report, run, remote run id, message. With
--stats: monitor, runs, success rate, p50, p95, last failure, its run, its message.
Missing values are shown as a dash.
"""


def register(app: typer.Typer) -> None:
    """Add `runs` to the app."""
    epilog = "Examples: crontify runs backup --failed --since 2d; crontify runs --stats"
    app.command("runs", help=_HELP, epilog=epilog)(runs)


Failed = Annotated[
    bool, typer.Option("--failed", help="List only failures, including tolerated ones.")
]
Since = Annotated[
    float | None,
    typer.Option(
        parser=parsed_by(parse_since),
        metavar="TIME",
        help="List only runs since TIME: 2d (two days ago), or a date.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        "-n",
        min=1,
        metavar="N",
        help="List at most N runs; with --stats, count N per monitor.",
        show_default=f"{LIMIT}, with --stats all",
    ),
]
WithStats = Annotated[
    bool,
    typer.Option("--stats", help="Show success rate, durations and last failure per monitor."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON list.")]


def runs(
    monitor: OptionalMonitor = None,
    failed: Failed = False,
    since: Since = None,
    limit: Limit = None,
    stats: WithStats = False,
    as_json: AsJson = False,
) -> None:
    """List the runs, as `_HELP` describes."""
    from crontify_cli.cli.history import open_history
    from crontify_cli.delivery.journal import JournalError

    history = open_history()
    names = _names(monitor)
    try:
        if stats:
            _show_stats(history, names, since, limit, failed=failed, as_json=as_json)
            return
        found = history.runs(names, failed=failed, since=since, limit=limit or LIMIT)
        _show_runs(history, _entries(history, found), as_json=as_json)
    except JournalError as error:
        raise CrontifyError(str(error)) from None


def _names(monitor: str | None) -> tuple[str, ...]:
    """Return the names under which the journal may have runs of `monitor`; none for all."""
    if monitor is None:
        return ()
    from crontify_cli.cli.history import names_of
    from crontify_cli.config import load

    # Problems of the config file are left to `crontify config check`.
    return names_of(monitor, load().settings)


def _entries(history: "History", rows: "Iterable[RunRow]") -> "Iterator[Entry]":
    """Yield an entry for each run, while the runs are being read."""
    import statistics

    from crontify_cli.cli.runs_rows import entry

    now = time.time()
    usual: dict[str, float | None] = {}
    active: frozenset[str] | None = None
    for row in rows:
        if row.monitor not in usual and history.journal:
            durations = history.journal.recent_successes(row.monitor)
            usual[row.monitor] = statistics.median(durations) if len(durations) > 1 else None
        if row.outcome is None and active is None:
            active = history.active()
        yield entry(row, active or frozenset(), usual.get(row.monitor), now)


def _show_runs(history: "History", found: "Iterator[Entry]", *, as_json: bool) -> None:
    from crontify_cli.cli import output, runs_rows

    def draw(entries: "Sequence[Entry]") -> None:
        from crontify_cli.cli.runs_table import runs_table

        _draw(history, entries, runs_table)

    output.show_list(found, runs_rows.as_json, runs_rows.as_fields, draw, as_json=as_json)


def _show_stats(
    history: "History",
    names: tuple[str, ...],
    since: float | None,
    limit: int | None,
    *,
    failed: bool,
    as_json: bool,
) -> None:
    from crontify_cli.cli import output, stats

    def draw(monitors: "Sequence[stats.Stats]") -> None:
        from crontify_cli.cli.stats_table import stats_table

        _draw(history, monitors, stats_table)

    found = stats.collect(history.summaries(names, since=since), limit)
    for at, each in enumerate(found):
        if stats.has_failed(each):
            last = next(history.runs((each.monitor,), failed=True, limit=1), None)
            found[at] = each._replace(last_failure=last)
    listed = [each for each in found if not failed or each.last_failure]
    output.show_list(listed, stats.as_json, stats.as_fields, draw, as_json=as_json)


def _draw(
    history: "History",
    rows: "Sequence[Row]",
    table: "Callable[[Sequence[Row], View], RenderableType]",
) -> None:
    """Show the table of `rows` in the pager, or say why there are none."""
    if not rows:
        _say_why_empty(history)
        return
    from crontify_cli.cli import output
    from crontify_cli.cli.table import View

    console = output.console()
    view = View(console.width, time.time(), output.is_ascii())
    with console.capture() as drawn:
        console.print(table(rows, view))
    output.page("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))


def _say_why_empty(history: "History") -> None:
    """Tell the user at a terminal why the list is empty."""
    if history.journal:
        say("no runs match")
    else:
        say(f"no runs yet in {history.state}: 'crontify exec MONITOR -- COMMAND' records one")
