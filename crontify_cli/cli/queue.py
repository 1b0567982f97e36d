"""`crontify queue`: lists the reports that wait, sends them now, or gives them up."""

import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Annotated

import typer

from crontify_cli.cli import output, person, queue_rows
from crontify_cli.cli.arguments import AsJson
from crontify_cli.cli.client import load_settings, read_settings
from crontify_cli.cli.help import App
from crontify_cli.cli.history import History
from crontify_cli.cli.overview import next_start, standings
from crontify_cli.cli.queue_retry import send
from crontify_cli.cli.queue_select import Chosen, choose, open_queue
from crontify_cli.config import Settings
from crontify_cli.delivery.waiting import discard, waiting
from crontify_cli.errors import CrontifyError, ExitCode, one_line, say
from crontify_cli.state import state_dir

_HELP = """List the reports that wait to be delivered, the oldest first.

In a pipe each report is one tab-separated line, without a header: since (UTC), run,
monitor, outcome, attempts, server, next attempt (now, after_run, next_run,
other_server), start of the next run, last error. Missing values are shown as a dash.
"""

queue = App(
    name="queue",
    short_help="List, retry or discard the reports that wait to be delivered.",
    help=_HELP,
    invoke_without_command=True,
    epilog="Examples: crontify queue; crontify queue discard backup",
)


def register(app: typer.Typer) -> None:
    """Add `queue` to the app."""
    app.add_typer(queue)


Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MONITOR|RUN]...",
        help="Only the reports of these monitors or runs. A run is given by its id or the"
        " beginning of it, and may also be one whose report the server refused.",
        show_default="every report that waits",
    ),
]


@queue.callback()
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the reports that wait, as `_HELP` describes."""
    if ctx.invoked_subcommand:
        if as_json:
            raise CrontifyError(
                f"--json cannot be used with {ctx.invoked_subcommand}", ExitCode.USAGE
            )
        return
    history, settings, now = History(state_dir()), load_settings().settings, time.time()
    found = waiting(history.state, history.journal, settings)
    next_run_at = next_start(standings(history, settings, found, now), now) if found else None
    rows = [queue_rows.row(each, settings.base_url, next_run_at) for each in found]
    draw = partial(_draw, settings)
    output.show_list(rows, queue_rows.as_json, queue_rows.as_fields, draw, as_json=as_json)


def _draw(settings: Settings, found: Iterable[queue_rows.Row]) -> None:
    if not (rows := list(found)):
        say("the queue is empty")
        return
    output.draw(lambda view: queue_rows.table(rows, settings.base_url, view))


@queue.command(epilog="Example: crontify queue retry backup")
def retry(names: Names = None) -> None:
    """Send the reports now, oldest first, and say what becomes of them.

    Exit 0 if all were delivered, 75 if some are still queued, 1 if the server refused some.
    """
    raise typer.Exit(send(names or []))


@queue.command("discard", epilog="Example: crontify queue discard --yes backup")
def discard_(
    names: Names = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Give up reports, so that they are never sent.

    The runs stay in the list of runs, with the report marked as discarded. On the server a run
    whose end is not reported stays open until it is overdue.
    """
    if not yes and not sys.stdin.isatty():
        raise CrontifyError("stdin is not a terminal to ask at: use --yes", ExitCode.USAGE)
    settings = read_settings().settings
    queued = open_queue(settings)
    queued.outbox.recover()
    chosen = choose(queued, names or [])
    if not chosen:
        say("the queue is empty")
        return
    if not yes and not _agrees(chosen):
        raise CrontifyError("nothing was discarded")
    gone = discard(queued.journal, [each.run for each in chosen])
    say(f"{output.count(len(gone), 'report')} discarded")
    if left := [each.run for each in chosen if each.run not in gone]:
        raise CrontifyError(
            f"not discarded: {', '.join(left)}: a process is sending the report right now, or the"
            " settings of its monitor are wrong; try again",
            ExitCode.TEMPORARY,
        )


_SHOWN = 10
"""How many reports are named before the question."""


def _agrees(chosen: Sequence[Chosen]) -> bool:
    for each in chosen[:_SHOWN]:
        print(one_line(f"  {each.run}  {each.monitor}  {each.outcome}"), file=sys.stderr)
    if len(chosen) > _SHOWN:
        print(f"  and {len(chosen) - _SHOWN:,} more", file=sys.stderr)
    reports = output.count(len(chosen), "report")
    return person.agrees(f"Discard {reports}, never to be sent?")
