"""`crontify ping`: sends one ping by hand, or from a script that runs its job itself."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from crontify_cli.cli.arguments import Monitor, parsed_option
from crontify_cli.cli.client import CORRECT_FIRST, client_for, load_settings
from crontify_cli.cli.help import Command
from crontify_cli.cli.waiting import LiveWait
from crontify_cli.delivery.single import Context, Result, send_ping
from crontify_cli.errors import CrontifyError, ExitCode, say
from crontify_cli.model import Meta, Ping
from crontify_cli.report.compose import Output, error_message
from crontify_cli.report.excerpt import excerpt
from crontify_cli.report.mask import Masker
from crontify_cli.report.patterns import redaction
from crontify_cli.report.secrets import known_secrets
from crontify_cli.state import state_dir
from crontify_cli.values import parse_meta

EPILOG = "Example: crontify ping fail backup --message 'disk full' --log backup.log"
HEAD, TAIL = 64 * 1024, 1024 * 1024
"""Bytes of the beginning and of the end of a log that are read; the rest is left out."""

Kind = Literal["start", "success", "fail"]
KINDS = get_args(Kind)


class PingCommand(Command):
    """Explains MONITOR in front of what is to be reported, which is the wrong order."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first, second = (*args, "", "")[:2]
        if first[:1] != "-" and first not in KINDS and second in KINDS:
            words = f"{second} comes before MONITOR: crontify ping {second} {first}"
            raise typer.BadParameter(words, ctx)
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add `ping` to the app."""
    short = "Report a job that runs without `exec`."
    app.command("ping", cls=PingCommand, short_help=short, epilog=EPILOG)(ping)


def ping(
    kind: Annotated[Kind, typer.Argument(help="What to report.", show_default=False)],
    monitor: Monitor,
    meta: Annotated[
        list[str] | None,
        parsed_option(
            parse_meta, "KEY=NUMBER", "Report a number (not with start); may be repeated."
        ),
    ] = None,
    message: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What went wrong (only with fail).", show_default=False),
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Send this file as the log (only with fail); - is stdin.",
            show_default=False,
        ),
    ] = None,
    no_queue: Annotated[
        bool,
        typer.Option(
            "--no-queue", help="Exit 75 if the ping cannot be delivered; do not queue it."
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print the result on stderr.")
    ] = False,
) -> None:
    """Report the start, success or failure of a job that runs without `exec`.

    A ping that cannot be delivered is queued, as with `exec`, and the exit code
    is 0. A start is not queued, because its time would be wrong later; the exit
    code is 75. Exit 1 if the server refuses the ping.
    """
    if kind == "start" and (meta or message or log):
        raise typer.BadParameter("start cannot be used with --meta, --message or --log")
    if kind == "success" and (message or log):
        raise typer.BadParameter("success cannot be used with --message or --log")
    numbers: Meta = dict(meta or ())  # type: ignore[arg-type]  # parsed above
    output = _read_log(log) if log else None
    wait = LiveWait(monitor)
    try:
        with wait:
            result = _send(kind, monitor, numbers, message, output, wait, queue=not no_queue)
    except KeyboardInterrupt:
        if wait.is_queued:
            _say_queued(wait.why)
        else:
            say(f"{kind} of {monitor}: not delivered: {wait.why}")
        raise
    if result is None:
        raise typer.Exit(ExitCode.OK)
    tells = verbose or wait.was_shown
    raise typer.Exit(_exit_code(kind, monitor, result, wait.why, queue=not no_queue, tells=tells))


def _send(
    kind: Kind,
    name: str,
    meta: Meta,
    message: str | None,
    log: Output | None,
    wait: LiveWait,
    *,
    queue: bool,
) -> Result | None:
    """Send the ping; return None if it is kept until the settings and the key can be read."""
    loaded = load_settings()
    settings = loaded.settings
    is_hindered = bool(loaded.obstacles or settings.monitor(name).obstacle)
    try:
        if is_hindered:
            raise CrontifyError(CORRECT_FIRST)
        client = client_for(settings, wait.observe)
    except CrontifyError as error:
        may_wait = is_hindered or settings.api_key
        if kind == "start" or not queue or not may_wait:
            raise
        from crontify_cli.job.kept_ping import keep_ping

        keep_ping(name, kind, _decoded(message or ""), meta, log)
        if not is_hindered:
            wait.say(error.message)
        wait.say(f"queued; the next run of {name} or 'crontify flush' sends it")
        return None
    monitor = settings.monitor(name)
    masker = Masker(known_secrets(), (client.key,), shapes=monitor.mask_shapes)
    mask = redaction(masker, monitor.redact)
    words = error_message(mask(_decoded(message)), "") if message else None
    output = excerpt(log.head, log.dropped, log.tail, mask) or None if log else None
    sent = Ping(monitor.id, kind, meta, words, output)
    with client.api:
        context = Context(state_dir(), settings, client.api, mask, wait.pause, wait.say, wait.keep)
        result = send_ping(name, sent, context, queue=queue)
    if result.sent.answer.status == 404 and (nearest := settings.nearest_monitor(name)):
        wait.say(f"the config has a monitor {nearest}: did you mean that?")
    return result


def _read_log(log: str) -> Output | None:
    """Return what is needed of a log; None, which is said, if the file cannot be read."""
    dropped, tail = 0, b""
    try:
        with sys.stdin.buffer if log == "-" else Path(log).open("rb") as file:
            head = file.read(HEAD)
            # On a terminal, to read again after the end would wait for another Ctrl-D.
            is_complete = len(head) < HEAD
            while not is_complete:
                block = file.read(TAIL)
                is_complete = len(block) < TAIL
                dropped += max(0, len(tail) + len(block) - TAIL)
                tail = (tail + block)[-TAIL:]
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        say(f"the failure is reported without the log: cannot read {_decoded(log)}: {why}")
        return None
    return Output(head, dropped, tail)


def _decoded(text: str) -> str:
    """Return an argument with its bytes that are not UTF-8 replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _exit_code(kind: Kind, name: str, result: Result, why: str, *, queue: bool, tells: bool) -> int:
    """Report the result on stderr; raises CrontifyError if the ping is neither sent nor queued.

    why: why it was not delivered, if it was not. tells: whether a success is worth a line.
    """
    sent = result.sent
    if sent.verdict == "delivered":
        if tells:
            run = f" (run {sent.answer.run_id})" if sent.answer.run_id else ""
            say(f"{kind} of {name}: delivered{run}")
        return ExitCode.OK
    if result.queued:
        if tells or os.isatty(2):  # a short outage should not cause cron mail
            _say_queued(why)
        return ExitCode.OK
    if sent.verdict == "refused":
        raise CrontifyError(sent.message)
    why = "; a start is not queued, because its time would be wrong" if kind == "start" else ""
    raise CrontifyError(f"{sent.message}{why if queue else ''}", ExitCode.TEMPORARY)


def _say_queued(why: str) -> None:
    say(f"queued: {why}; the next run or 'crontify flush' sends it")
