"""`crontify ping`: one ping by hand, or from a script that runs its job itself."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from crontify_cli.errors import CrontifyError, ExitCode, say
from crontify_cli.values import parse_meta, parse_monitor

EPILOG = "Example: crontify ping fail backup --message 'disk full' --log backup.log"
HEAD, TAIL = 64 * 1024, 1024 * 1024
"""Bytes of a log's beginning and of its end that are looked at."""


def register(app: typer.Typer) -> None:
    """Add `ping` to the app."""
    app.command("ping", short_help="Report a job that runs without `exec`.", epilog=EPILOG)(ping)


def _monitor(text: str) -> str:
    try:
        return parse_monitor(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _number(text: str) -> tuple[str, int | float]:
    try:
        return parse_meta(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def ping(
    kind: Annotated[
        Literal["start", "success", "fail"],
        typer.Argument(help="What to report.", show_default=False),
    ],
    monitor: Annotated[
        str,
        typer.Argument(
            help="An alias from the config, or an id.",
            parser=_monitor,
            metavar="MONITOR",
            show_default=False,
        ),
    ],
    meta: Annotated[
        list[str] | None,
        typer.Option(
            parser=_number,
            metavar="KEY=NUMBER",
            help="A number to report, not with start; may be repeated.",
            show_default=False,
        ),
    ] = None,
    message: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What went wrong, with fail.", show_default=False),
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="The log, with fail; - for standard input.", show_default=False
        ),
    ] = None,
    no_queue: Annotated[
        bool,
        typer.Option(
            "--no-queue", help="Exit 75 instead of queueing what cannot be delivered now."
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say on stderr what became of it.")
    ] = False,
) -> None:
    """Report a start, a success or a failure of a job that runs without `exec`.

    What cannot be delivered is queued, as by `exec`, and the exit code is 0; a start is
    never queued, since a late one would have a false time: then it is 75.
    Exit 1 if the server refuses the ping.
    """
    if kind == "start" and (meta or message or log):
        raise typer.BadParameter("a start has neither --meta nor --message nor --log")
    if kind == "success" and (message or log):
        raise typer.BadParameter("a success has neither --message nor --log")
    numbers: dict[str, int | float] = dict(meta or ())  # type: ignore[arg-type]  # parsed above
    raise typer.Exit(_report(kind, monitor, numbers, message, log, not no_queue, verbose))


def _report(
    kind: Literal["start", "success", "fail"],
    name: str,
    meta: dict[str, int | float],
    message: str | None,
    log: str | None,
    queue: bool,
    verbose: bool,
) -> int:
    from crontify_cli.cli.person import pause
    from crontify_cli.config import api_key, check_base_url, load
    from crontify_cli.delivery.api import open_api
    from crontify_cli.delivery.reporter import NO_KEY
    from crontify_cli.delivery.single import Way, report
    from crontify_cli.model import Ping
    from crontify_cli.places import state_dir
    from crontify_cli.report.compose import error_message
    from crontify_cli.report.excerpt import excerpt
    from crontify_cli.report.mask import Masker, known_secrets
    from crontify_cli.report.patterns import redaction

    head, dropped, tail = _read(log) if log else (b"", 0, b"")
    loaded = load()
    for line in (*loaded.problems, *loaded.warnings):
        say(line)
    settings = loaded.settings
    key = api_key(settings)
    if key is None:
        raise CrontifyError(NO_KEY)
    check_base_url(settings)
    monitor = settings.monitor(name)
    mask = redaction(Masker(known_secrets(), (key,)), monitor.redact)
    words = error_message(mask(message), "") if message else None
    output = excerpt(head, dropped, tail, mask) or None
    try:
        state = state_dir()
        api = open_api(settings, key)
    except OSError as error:
        raise CrontifyError(f"the ping cannot be sent: {error}") from None
    try:
        way = Way(
            state,
            settings,
            api,
            mask,
            lambda seconds, *, rate_limited: pause(name, seconds, rate_limited=rate_limited),
            say,
        )
        result = report(name, Ping(monitor.id, kind, meta, words, output), way, queue=queue)
    finally:
        api.close()
    sent = result.sent
    if sent.verdict == "delivered":
        if verbose:
            run = f" (run {sent.answer.run_id})" if sent.answer.run_id else ""
            say(f"{kind} of {name}: received{run}")
        return ExitCode.OK
    if sent.verdict == "refused" and not result.queued:
        raise CrontifyError(sent.message)
    if result.queued:
        if verbose or os.isatty(2):  # cron mail stays quiet during a blip
            say(f"{sent.message}; the report is queued: 'crontify flush' delivers it")
        return ExitCode.OK
    why = "" if not queue or kind != "start" else "; a start is not queued, it would be late"
    raise CrontifyError(f"{sent.message}{why}", ExitCode.TEMPORARY)


def _read(log: str) -> tuple[bytes, int, bytes]:
    """Return the beginning of the log, how many bytes lie between, and its end.

    Raises CrontifyError if the file cannot be read.
    """
    head, dropped, tail = b"", 0, b""
    try:
        with sys.stdin.buffer if log == "-" else Path(log).open("rb") as file:
            head = file.read(HEAD)
            while block := file.read(TAIL):
                dropped += max(0, len(tail) + len(block) - TAIL)
                tail = (tail + block)[-TAIL:]
    except OSError as error:
        raise CrontifyError(f"the log {log} cannot be read: {error.strerror}") from None
    return head, dropped, tail
