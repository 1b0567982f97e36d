"""`crontify show`: everything that this machine knows of one run."""

import time
from contextlib import suppress
from typing import Annotated, NamedTuple

import typer

from crontify_cli.cli import logs_find, logs_live, output, runs_rows, show_text
from crontify_cli.cli.history import History, known, names_of
from crontify_cli.cli.run_command import RunCommand, is_position
from crontify_cli.config import Settings, load
from crontify_cli.delivery.journal import RunRow
from crontify_cli.delivery.waiting import waiting
from crontify_cli.errors import CrontifyError
from crontify_cli.state import state_dir

LINES = 20


def register(app: typer.Typer) -> None:
    """Add `show` to the app."""
    epilog = "Examples: crontify show; crontify show -2; crontify show backup"
    short = "Show one run: its outcome, duration, numbers, message and log."
    app.command("show", cls=RunCommand, short_help=short, epilog=epilog)(show)


def show(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="A run id or its first characters, or the server's run id; -1 is the last run,"
            " -2 the one before; the name of a monitor is its last run.",
            show_default="the last run",
        ),
    ] = None,
    lines: Annotated[
        int,
        typer.Option("--lines", "-n", min=0, metavar="N", help="Show the last N lines of the log."),
    ] = LINES,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Show one run: command, times, outcome, numbers, message, reports, and the end of its log.

    All of it comes from this machine; `crontify logs` also asks the API for the log.
    """
    history, settings = History(state_dir()), load().settings
    row = _choose(history, settings, run)
    end = _end_of_log(history, settings, row, lines)
    now = time.time()
    found = known(row, history.standings()) if row.outcome is None else None
    entry = runs_rows.entry(row, found, history.usual_duration(row.monitor), now)
    if as_json:
        log = {"log_end": end.text, "log_lines": end.lines}
        output.text(output.as_json(runs_rows.as_json(entry) | {"base_url": row.base_url} | log))
        return
    every = waiting(history.state, history.journal, settings)
    report = next((each for each in every if each.run == row.id), None)
    command = show_text.next_command(report, settings.base_url)
    output.draw_lines(show_text.run_lines(entry, command, end.text, end.lines, now))


def _choose(history: History, settings: Settings, run: str | None) -> RunRow:
    """Return the run to show; raises CrontifyError and JournalError."""
    if run is not None and not is_position(run):
        of_monitor = next(history.runs(names_of(run, settings), limit=1), None)
        if of_monitor:
            return of_monitor
    row = logs_find.choose(history, settings, None, run or "-1").row
    assert row  # without a monitor only runs of this machine are found
    return row


class _End(NamedTuple):
    """The end of a log, and how many lines the log has; None if there is none."""

    text: str | None
    lines: int | None


def _end_of_log(history: History, settings: Settings, row: RunRow, lines: int) -> _End:
    choice = logs_find.Choice(row.monitor_id, row.remote_run_id, row)
    content = None
    if path := logs_find.live_path(history.state, choice):
        content = logs_live.so_far(settings, path, raw=False)
    if content is None:
        with suppress(CrontifyError):  # it cannot be read
            content = logs_find.local_log(history.state, choice).content
    if content is None:
        return _End(None, None)
    return _End(logs_live.tail(content, lines), len(logs_live.split_lines(content)))
