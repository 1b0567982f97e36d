"""`crontify runs`: what ran, how it ended, and what of it is still to be reported."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from crontify_cli.errors import CrontifyError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from crontify_cli.cli.history import History
    from crontify_cli.cli.runs_rows import Entry
    from crontify_cli.cli.table import View
    from crontify_cli.delivery.journal import RunRow

LIMIT = 20

_HELP = """List the runs of this machine, the newest first.

In a pipe a tab-separated line each, without a header: started (UTC), monitor,
outcome, exit code, seconds, report, run, remote run id, message. With --stats:
monitor, runs, success rate, p50, p95, last failure, its run, its message.
A dash stands for what there is not.
"""


def register(app: typer.Typer) -> None:
    """Add `runs` to the app."""
    epilog = "Examples: crontify runs backup --failed --since 2d; crontify runs --stats"
    app.command("runs", help=_HELP, epilog=epilog)(runs)


def _since(text: str) -> float:
    from crontify_cli.cli.moments import parse_since

    try:
        return parse_since(text, time.time())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Monitor = Annotated[
    str | None,
    typer.Argument(metavar="[MONITOR]", help="An alias or an id.", show_default="every monitor"),
]
Failed = Annotated[bool, typer.Option("--failed", help="Only what failed, tolerated or not.")]
Since = Annotated[
    float | None,
    typer.Option(parser=_since, metavar="TIME", help="Only runs since then: 2d (ago), or a date."),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        "-n",
        min=1,
        metavar="N",
        help="At most so many; with --stats, of each monitor.",
        show_default=f"{LIMIT}, with --stats all",
    ),
]
WithStats = Annotated[
    bool,
    typer.Option("--stats", help="A line a monitor: runs, success rate, durations, last failure."),
]
AsJson = Annotated[bool, typer.Option("--json", help="A list of objects.")]


def runs(
    monitor: Monitor = None,
    failed: Failed = False,
    since: Since = None,
    limit: Limit = None,
    stats: WithStats = False,
    as_json: AsJson = False,
) -> None:
    """List the runs; the help is `_HELP`."""
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
    """Return the names under which runs of `monitor` may stand in the journal."""
    if monitor is None:
        return ()
    from crontify_cli.cli.history import names_of
    from crontify_cli.config import load

    # Whatever is wrong in the config, `crontify config check` says it.
    return names_of(monitor, load().settings)


def _entries(history: "History", rows: "Iterable[RunRow]") -> "Iterator[Entry]":
    """Yield what is said of each run, as it is read."""
    import statistics

    from crontify_cli.cli.runs_rows import entry

    now = time.time()
    usual: dict[str, float | None] = {}
    living: frozenset[str] | None = None
    for row in rows:
        if row.monitor not in usual and history.journal:
            durations = history.journal.recent_successes(row.monitor)
            usual[row.monitor] = statistics.median(durations) if len(durations) > 1 else None
        if row.outcome is None and living is None:
            living = history.living()
        yield entry(row, living or frozenset(), usual.get(row.monitor), now)


def _show_runs(history: "History", found: "Iterator[Entry]", *, as_json: bool) -> None:
    from crontify_cli.cli import output, runs_rows

    if as_json:
        output.json_list(map(runs_rows.as_json, found))
        return
    if not output.is_terminal():
        output.lines(output.fields(runs_rows.as_fields(run)) for run in found)
        return
    shown = list(found)
    if not shown:
        _say_nothing(history)
        return
    from crontify_cli.cli.runs_table import runs_table

    _draw(lambda view: runs_table(shown, view))


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

    every = [
        found._replace(
            last_failure=next(history.runs((found.monitor,), failed=True, limit=1), None)
        )
        if stats.has_failed(found)
        else found
        for found in stats.collect(history.laps(names, since=since), limit)
    ]
    every = [found for found in every if not failed or found.last_failure]
    if as_json:
        output.json_list(map(stats.as_json, every))
        return
    if not output.is_terminal():
        output.lines(output.fields(stats.as_fields(found)) for found in every)
        return
    if not every:
        _say_nothing(history)
        return
    from crontify_cli.cli.stats_table import stats_table

    _draw(lambda view: stats_table(every, view))


def _draw(table: "Callable[[View], RenderableType]") -> None:
    from crontify_cli.cli import output
    from crontify_cli.cli.table import View

    console = output.console()
    view = View(console.width, time.time(), output.is_ascii())
    with console.capture() as drawn:
        console.print(table(view))
    output.page("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))


def _say_nothing(history: "History") -> None:
    """Tell a person why the list is empty; a program sees that it is."""
    if history.journal:
        print("crontify: no such runs", file=sys.stderr)
        return
    print(
        f"crontify: no runs yet in {history.state}: `crontify exec MONITOR -- COMMAND` makes one",
        file=sys.stderr,
    )
