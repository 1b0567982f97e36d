"""`crontify logs`: shows the log of a run, from the API or from this machine."""

from contextlib import suppress
from typing import Annotated

import typer

from crontify_cli.cli import logs_find, logs_live, output
from crontify_cli.cli.arguments import OptionalMonitor
from crontify_cli.cli.history import History
from crontify_cli.cli.logs_find import Choice, Log
from crontify_cli.cli.moments import local as local_time
from crontify_cli.cli.run_command import RunCommand, is_position
from crontify_cli.cli.runs_rows import shown_outcome
from crontify_cli.config import Settings, load
from crontify_cli.errors import CrontifyError, ExitCode, say
from crontify_cli.state import state_dir


def register(app: typer.Typer) -> None:
    """Add `logs` to the app."""
    epilog = "Examples: crontify logs backup; crontify logs backup -1; crontify logs backup -f"
    app.command("logs", cls=RunCommand, epilog=epilog)(logs)


def logs(
    monitor: OptionalMonitor = None,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="A run id or its first characters, or the server's run id;"
            " -1 is the last run, -2 the one before.",
            show_default="the last failed run, or the last run",
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Show the output of a running job as it is printed."),
    ] = False,
    lines: Annotated[
        int | None,
        typer.Option("--lines", "-n", min=0, metavar="N", help="Show only the last N lines."),
    ] = None,
    remote: Annotated[bool, typer.Option("--remote", help="Show only the API's log.")] = False,
    local: Annotated[bool, typer.Option("--local", help="Show only this machine's log.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Keep terminal escape sequences.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object that contains the log.")
    ] = False,
) -> None:
    """Show the log of a run, by default of the last run that failed.

    The log comes from the API, which needs a user token. Without a token, or if the
    API cannot be reached or has no log, it comes from this machine. A line on stderr
    says which.
    """
    if (remote and (local or follow)) or (follow and as_json):
        one, other = ("--remote", "--local") if local else ("--follow", "--remote or --json")
        raise CrontifyError(f"{one} cannot be used with {other}", ExitCode.USAGE)
    loaded = load()
    history, settings = History(state_dir()), loaded.settings
    for problem in loaded.problems if settings.token is None and not local else ():
        say(problem)  # one of them may be why there is no token
    if follow:
        live = logs_find.choose_live(history, settings, monitor, run)
        if live is None and (run or is_position(monitor)):
            say("the run has ended; showing its log")
        elif live is None:
            say(f"no run{f' of {monitor}' if monitor else ''} is active; showing the latest log")
        else:
            with suppress(FileNotFoundError):  # it has ended since
                logs_live.follow(history, settings, live.path, raw=raw, last=lines)
                return
    choice = logs_find.choose(history, settings, monitor, run)
    log = _find_log(history, settings, choice, remote=remote, local=local, raw=raw)
    _show(choice, log, lines, as_json=as_json)


def _find_log(
    history: History, settings: Settings, choice: Choice, *, remote: bool, local: bool, raw: bool
) -> Log:
    """Return the log of a run, and say where it comes from; raises CrontifyError.

    Of a run that has ended the API's log comes first, then this machine's.
    """
    title, why = _title(choice), ""
    no_log = "the API has no log of this run"
    if local and choice.row is None:
        raise CrontifyError(f"{title}: not in this machine's journal; 'crontify runs' lists it")
    if not local and (choice.row is None or choice.row.outcome is not None):
        try:
            log = logs_find.remote_log(choice, settings, raw=raw)
        except CrontifyError as error:
            if remote or choice.row is None:
                raise CrontifyError(f"{title}: {error.message}") from None
            why = f" ({error.message})"
        else:
            if log.content is not None or remote:
                say(f"{title}: {no_log if log.content is None else 'log from the API'}")
                return log
            why = f" ({no_log})"
    if remote:
        raise CrontifyError(f"{title}: the run has not ended, so the API has no log of it yet")
    path = logs_find.live_path(history.state, choice)
    if path and (content := logs_live.so_far(settings, path, raw=raw)) is not None:
        say(f"{title}: output so far; use --follow to see the rest")
        return Log("live", content)
    log = logs_find.local_log(history.state, choice)
    where = "log from this machine"
    if log.content is None:
        where = "no log on this machine: the job printed nothing, or the log was deleted"
    if raw and log.content:
        where += ", which was stored without escape sequences: --raw changes nothing"
    say(f"{title}: {where}{why}")
    return log


def _title(choice: Choice) -> str:
    row = choice.row
    if row is None:
        return f"{choice.monitor_id}, run {choice.remote_run_id}"
    outcome = shown_outcome(row) or "running"
    return f"{row.monitor}, run {row.id}, {outcome}, {local_time(row.started_at)}"


def _show(choice: Choice, log: Log, lines: int | None, *, as_json: bool) -> None:
    content = log.content
    if content is not None and lines is not None:
        content = logs_live.tail(content, lines)
    if as_json:
        row = choice.row
        found = {
            "run": row.id if row else None,
            "remote_run_id": choice.remote_run_id,
            "monitor": row.monitor if row else None,
            "monitor_id": choice.monitor_id,
            "source": log.source,
            "has_log": content is not None,
            "content": content,
        }
        output.text(output.as_json(found))
    elif content:
        output.page(content)
