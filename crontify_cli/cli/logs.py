"""`crontify logs`: the log of a run, from the API or from this machine."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from crontify_cli.cli.help import Command
from crontify_cli.errors import CrontifyError, ExitCode

if TYPE_CHECKING:
    from crontify_cli.cli.history import History
    from crontify_cli.cli.logs_find import Choice, Log
    from crontify_cli.config import Settings


class LogsCommand(Command):
    """Takes `-1` for a run, not for an option."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer's own Context
        runs = [
            word
            for at, word in enumerate(args)
            if re.fullmatch(r"-[1-9]\d{0,8}", word)
            and args[at - 1 : at] not in (["-n"], ["--lines"])
        ]
        if runs and "--" not in args:
            args = [*(word for word in args if word not in runs), "--", *runs]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add `logs` to the app."""
    epilog = "Examples: crontify logs backup; crontify logs backup -1; crontify logs backup -f"
    app.command("logs", cls=LogsCommand, epilog=epilog)(logs)


def logs(
    monitor: Annotated[
        str | None,
        typer.Argument(
            metavar="[MONITOR]", help="An alias or an id.", show_default="every monitor"
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="A run's id, here (or its start) or on the server; -1: the last, -2: one before.",
            show_default="the newest failed one, else the newest",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show a running job's output as it comes.")
    ] = False,
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", min=0, metavar="N", help="The last N lines only.")
    ] = None,
    remote: Annotated[bool, typer.Option("--remote", help="From the API or not at all.")] = False,
    local: Annotated[bool, typer.Option("--local", help="This machine's copy only.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Leave terminal escape sequences in.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="An object, with the log in it.")] = False,
) -> None:
    """Show the log of a run, by default of the newest that failed.

    It comes from the API, with the user token; without one, or where the
    API is away or has none, from this machine. Which one is said on stderr.
    """
    if (remote and (local or follow)) or (follow and as_json):
        one, other = ("--remote", "--local") if local else ("--follow", "--remote or --json")
        raise CrontifyError(f"{one} does not go with {other}", ExitCode.USAGE)
    from crontify_cli.cli.history import open_history
    from crontify_cli.config import load
    from crontify_cli.delivery.journal import JournalError

    history, settings = open_history(), load().settings
    try:
        if follow and _follow(history, settings, monitor, run, raw=raw, lines=lines):
            return
        from crontify_cli.cli.logs_find import choose

        choice = choose(history, settings, monitor, run)
        log = _find(history, settings, choice, remote=remote, local=local, raw=raw)
    except JournalError as error:
        raise CrontifyError(str(error)) from None
    _show(choice, log, lines, as_json=as_json)


def _follow(
    history: "History",
    settings: "Settings",
    monitor: str | None,
    run: str | None,
    *,
    raw: bool,
    lines: int | None,
) -> bool:
    from crontify_cli.cli.logs_find import choose_live
    from crontify_cli.cli.logs_live import follow
    from crontify_cli.errors import say

    live = choose_live(history, settings, monitor, run)
    if live is None:
        say(f"no job{f' of {monitor}' if monitor else ''} is running; this is the last log")
        return False
    try:
        follow(history, settings, live.path, raw=raw, last=lines)
    except FileNotFoundError:
        return False  # ended while we looked
    return True


def _find(
    history: "History",
    settings: "Settings",
    choice: "Choice",
    *,
    remote: bool,
    local: bool,
    raw: bool,
) -> "Log":
    """Return the log, and say on stderr which it is and why."""
    from crontify_cli.cli import logs_find
    from crontify_cli.cli.logs_live import so_far
    from crontify_cli.errors import say

    if local and choice.row is None:
        raise CrontifyError(f"{_title(choice)}: not in the journal here: `crontify runs`")
    why = ""
    if not local and not (choice.row and choice.row.outcome is None):
        try:
            log = logs_find.remote(choice, settings, raw=raw)
            if log.content is not None or remote:
                none = "" if log.content is not None else "no log: the API has none for it"
                say(f"{_title(choice)}: {none or 'from the API'}")
                return log
            why = "the API has no log of it"
        except CrontifyError as error:
            if remote or choice.row is None:
                raise CrontifyError(f"{_title(choice)}: {error.message}") from None
            why = error.message
    path = logs_find.is_live(history.state, choice)
    if path and not remote and (content := so_far(settings, path, raw=raw)) is not None:
        say(f"{_title(choice)}: what it printed so far; --follow shows the rest")
        return logs_find.Log("live", content)
    if remote:
        raise CrontifyError(f"{_title(choice)}: it is not over, so the API has no log of it")
    log = logs_find.kept(history.state, choice)
    because = f" ({why})" if why else ""
    if log.content is None:
        say(f"{_title(choice)}: no log here: it printed nothing, or its copy is gone{because}")
    else:
        say(f"{_title(choice)}: this machine's copy{because}")
    return log


def _title(choice: "Choice") -> str:
    from crontify_cli.cli.moments import local

    row = choice.row
    if row is None:
        return f"{choice.monitor_id}, run {choice.remote_run_id}"
    outcome = {"fail": "failed", None: "running"}.get(row.outcome, row.outcome)
    return f"{row.monitor}, run {row.id}, {outcome}, {local(row.started_at)}"


def _show(choice: "Choice", log: "Log", lines: int | None, *, as_json: bool) -> None:
    from crontify_cli.cli import output
    from crontify_cli.cli.logs_live import tail

    content = log.content
    if content is not None and lines is not None:
        content = tail(content, lines)
    if as_json:
        import json

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
        output.text(json.dumps(found, indent=2, ensure_ascii=False))
    elif content and output.is_terminal():
        output.page(content)
    elif content:
        output.text(content)
