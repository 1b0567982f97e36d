"""`crontify status`: what is running, what failed last, what is queued, and what is overdue."""

import time
from collections.abc import Iterable

import typer

from crontify_cli.cli import output, status_rows
from crontify_cli.cli.arguments import AsJson, Monitors
from crontify_cli.cli.history import History, names_of
from crontify_cli.cli.overview import Standing, standings
from crontify_cli.cli.queue_notes import notes
from crontify_cli.config import load
from crontify_cli.delivery.waiting import waiting
from crontify_cli.errors import CrontifyError, ExitCode, say
from crontify_cli.state import state_dir

_HELP = """Show what is running, what failed last, what is queued, and what is overdue.

All of it comes from the journal on this machine. A monitor is overdue if its last start is
longer ago than any pause between its starts so far; 'crontify crontab list' compares with the
crontab. Exit 1 if the last run of any monitor failed.

In a pipe each monitor is one tab-separated line, without a header: monitor, outcome of
the last run, its start (UTC), failures in a row, running jobs, queued reports, next start
by the usual rhythm, overdue since. Missing values are shown as a dash.
"""


def register(app: typer.Typer) -> None:
    """Add `status` to the app."""
    app.command(
        "status",
        short_help="Show what runs, failed last, is queued, or is overdue.",
        help=_HELP,
        epilog="Example: crontify status >/dev/null || crontify status | mail root",
    )(status)


def status(monitors: Monitors = None, as_json: AsJson = False) -> None:
    """Show how the monitors stand, as `_HELP` describes."""
    history, settings, now = History(state_dir()), load().settings, time.time()
    every = waiting(history.state, history.journal, settings)
    found = standings(history, settings, every, now)
    if monitors:
        known = {name for each in found for name in (each.monitor, each.monitor_id)}
        for name in monitors:
            if not known.intersection(names_of(name, settings)):
                raise CrontifyError(f"no runs of {name} on this machine")
        wanted = {settings.monitor(name).id for name in monitors}
        found = [each for each in found if each.monitor_id in wanted]
        every = [each for each in every if each.monitor_id in wanted]

    def draw(shown: Iterable[Standing]) -> None:
        if not found and not every:
            say(f"no runs yet in {history.state}: 'crontify exec MONITOR -- COMMAND' records one")
            return
        lines = notes(every, settings.base_url, now)
        output.draw(lambda view: status_rows.screen(list(shown), lines, view))

    output.show_list(found, status_rows.as_json, status_rows.as_fields, draw, as_json=as_json)
    raise typer.Exit(ExitCode.FAILURE if any(each.has_failed for each in found) else ExitCode.OK)
