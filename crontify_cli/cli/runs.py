"""`crontify runs`: lists what ran, how it ended, and whether that was reported."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from crontify_cli.cli import output, runs_rows
from crontify_cli.cli import stats as stats_rows
from crontify_cli.cli.arguments import AsJson, Monitors, parsed_option
from crontify_cli.cli.history import History, Known, known, names_of
from crontify_cli.cli.moments import parse_moment
from crontify_cli.cli.queue_notes import notes
from crontify_cli.cli.table import View
from crontify_cli.config import Settings, load
from crontify_cli.delivery.journal import RunRow, RunSummary
from crontify_cli.delivery.limits import limits
from crontify_cli.delivery.pace import UNKNOWN
from crontify_cli.delivery.waiting import waiting
from crontify_cli.errors import CrontifyError, ExitCode, say
from crontify_cli.state import state_dir

if TYPE_CHECKING:
    from rich.console import RenderableType

LIMIT = 20

Row = TypeVar("Row")
Table = Callable[[Sequence[Row], View], "Sequence[RenderableType]"]
"""Draws rows for a terminal: a table, and what is printed below it."""

_HELP = """List the runs on this machine, the newest first.

In a pipe each run is one tab-separated line, without a header: started (UTC),
monitor, outcome, exit code, seconds, report, run, remote run id, message. With
--stats: monitor, runs, success rate, p50, p95, last failure, its run, its message,
rate limit.
Missing values are shown as a dash.
"""


def register(app: typer.Typer) -> None:
    """Add `runs` to the app."""
    epilog = "Examples: crontify runs backup --failed --since 2d; crontify runs --stats"
    app.command("runs", help=_HELP, epilog=epilog)(runs)


Failed = Annotated[
    bool, typer.Option("--failed", help="List only failures, including tolerated ones.")
]
Queued = Annotated[
    bool, typer.Option("--queued", help="List only runs whose report waits to be delivered.")
]
Running = Annotated[bool, typer.Option("--running", help="List only runs that are going on.")]
Since = Annotated[
    float | None,
    parsed_option(
        parse_moment, "TIME", "List only runs since TIME: 2d or 1w (ago), yesterday, or a date."
    ),
]
Until = Annotated[
    float | None, parsed_option(parse_moment, "TIME", "List only runs that started before TIME.")
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


def runs(
    monitors: Monitors = None,
    failed: Failed = False,
    queued: Queued = False,
    running: Running = False,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    stats: WithStats = False,
    as_json: AsJson = False,
) -> None:
    """List the runs, as `_HELP` describes."""
    if stats and (queued or running):
        option = "--queued" if queued else "--running"
        raise CrontifyError(f"{option} cannot be used with --stats", ExitCode.USAGE)
    history = History(state_dir())
    # Problems of the config file are left to `crontify config check`.
    settings = load().settings
    named = [name for monitor in monitors or () for name in names_of(monitor, settings)]
    names = tuple(dict.fromkeys(named))

    if stats:
        summaries = history.summaries(names, since=since, until=until)
        every = _stats(history, settings, summaries, limit, failed=failed)
        draw = partial(_draw, history, stats_rows.stats_table)
        output.show_list(every, stats_rows.as_json, stats_rows.as_fields, draw, as_json=as_json)
    else:
        # Which of these runs go on, or wait in their record, only the records tell.
        unsettled, most = queued or running, limit or LIMIT
        rows = history.runs(
            names,
            failed=failed,
            unsettled=unsettled,
            since=since,
            until=until,
            limit=None if unsettled else most,
        )
        found = itertools.islice(
            (
                run
                for run in _entries(history, rows)
                if (not queued or runs_rows.is_waiting(run))
                and (not running or run.outcome == "running")
            ),
            most,
        )

        def table(shown: Sequence[runs_rows.Entry], view: View) -> "list[RenderableType]":
            every = waiting(history.state, history.journal, settings)
            lines = [
                f"{note.found}\n  {note.advice}"
                for note in notes(every, settings.base_url, view.now)
            ]
            return runs_rows.runs_table(shown, view, lines)

        draw = partial(_draw, history, table)
        output.show_list(found, runs_rows.as_json, runs_rows.as_fields, draw, as_json=as_json)


def _entries(history: History, rows: Iterable[RunRow]) -> Iterator[runs_rows.Entry]:
    """Yield an entry for each run, while the runs are being read."""
    now = time.time()
    standings: dict[str, Known] | None = None
    for row in rows:
        found = None
        if row.outcome is None:
            standings = history.standings() if standings is None else standings
            found = known(row, standings)
        yield runs_rows.entry(row, found, history.usual_duration(row.monitor), now)


def _stats(
    history: History,
    settings: Settings,
    summaries: Iterable[RunSummary],
    limit: int | None,
    *,
    failed: bool,
) -> list[stats_rows.Stats]:
    """Return the statistics of each monitor; with `failed`, only of those that have failed."""
    found = stats_rows.collect(summaries, limit)
    known = limits(history.journal, settings.base_url) if history.journal else {}
    for at, each in enumerate(found):
        interval = known.get(settings.monitor(each.monitor).id, UNKNOWN).interval
        found[at] = each._replace(rate_limit=interval)
        if stats_rows.has_failed(each):
            last = next(history.runs((each.monitor,), failed=True, limit=1), None)
            found[at] = found[at]._replace(last_failure=last)
    return [each for each in found if not failed or each.last_failure]


def _draw(history: History, table: Table[Row], found: Iterable[Row]) -> None:
    """Show the table of what was found in the pager, or say why there is nothing."""
    rows = list(found)
    if not rows:
        none_yet = f"no runs yet in {history.state}: 'crontify exec MONITOR -- COMMAND' records one"
        say("no runs match" if history.journal else none_yet)
        return
    output.draw(partial(table, rows))
