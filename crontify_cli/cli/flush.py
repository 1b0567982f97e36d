"""`crontify flush`: delivers what is queued and reports the runs that died."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from crontify_cli.errors import CrontifyError, ExitCode, say
from crontify_cli.values import parse_duration

if TYPE_CHECKING:
    from crontify_cli.config import Settings
    from crontify_cli.delivery.api import Api
    from crontify_cli.delivery.backlog import Backlog
    from crontify_cli.delivery.journal import Journal

WAIT = 60.0


def register(app: typer.Typer) -> None:
    """Add `flush` to the app."""
    epilog = "In a crontab:  */5 * * * *  crontify flush --quiet"
    app.command(
        "flush", short_help="Deliver queued reports, and report the runs that died.", epilog=epilog
    )(flush)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def flush(
    wait: Annotated[
        float | None,
        typer.Option(
            parser=_duration, metavar="DURATION", help="How long to try.", show_default="1m"
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="A line for each monitor.")
    ] = False,
    refused: Annotated[
        bool, typer.Option("--refused", help="Try again what the server had refused.")
    ] = False,
) -> None:
    """Deliver what is queued, and report the runs whose wrapper or host died.

    Exit 0 when nothing is left in the queue, 75 when something still is.
    """
    from crontify_cli.config import api_key, check_base_url, load
    from crontify_cli.delivery.api import open_api
    from crontify_cli.delivery.journal import Journal, JournalError
    from crontify_cli.delivery.reporter import NO_KEY
    from crontify_cli.places import state_dir

    loaded = load()
    for line in (*loaded.problems, *loaded.warnings):
        say(line)
    key = api_key(loaded.settings)
    if key is None:
        raise CrontifyError(NO_KEY)
    check_base_url(loaded.settings)
    try:
        api = open_api(loaded.settings, key)
    except OSError as error:
        raise CrontifyError(f"nothing can be sent: {error}") from None
    try:
        journal = Journal.open(state_dir())
        if journal.warning:
            say(journal.warning)
        if refused:
            journal.requeue_refused(loaded.settings.base_url)
        elsewhere = journal.queued_elsewhere(loaded.settings.base_url)
        seconds = WAIT if wait is None else wait
        left, why = _deliver(journal, api, loaded.settings, key, seconds, verbose)
    except (JournalError, OSError) as error:
        raise CrontifyError(str(error)) from None
    finally:
        api.close()
    if left and not quiet:
        because = f": {why}" if why and not verbose else ""
        say(f"{left} report{'s' if left > 1 else ''} still queued{because}")
    for url, count in elsewhere if not quiet else ():
        reports = f"{count} report{'s are' if count > 1 else ' is'} queued for {url}"
        say(f"{reports}: 'CRONTIFY_BASE_URL={url} crontify flush' sends what is queued there")
    raise typer.Exit(ExitCode.TEMPORARY if left else ExitCode.OK)


def _deliver(
    journal: "Journal", api: "Api", settings: "Settings", key: str, wait: float, verbose: bool
) -> tuple[int, str]:
    """Recover and deliver within `wait` seconds; return how many reports are left, and why."""
    from crontify_cli import processes
    from crontify_cli.delivery.backlog import Budget
    from crontify_cli.delivery.outbox import Outbox
    from crontify_cli.delivery.retention import tidy
    from crontify_cli.places import state_dir
    from crontify_cli.report.mask import Masker, known_secrets

    # A dead run's own environment is gone with it; ours is the next best.
    mask = Masker(known_secrets(), (key,))
    outbox = Outbox(state_dir(), journal, settings, api, processes.identity(), mask)
    for run in outbox.recover():
        if verbose:
            say(f"run {run} had died: its report is queued")

    why = ""

    def seen(monitor: str, backlog: "Backlog") -> None:
        nonlocal why
        if backlog.failure and backlog.left:
            why = backlog.failure.message
        if backlog.failure and (verbose or backlog.failure.verdict == "refused"):
            say(backlog.failure.message)
        if verbose:
            counts = f"{backlog.delivered} delivered, {backlog.superseded} superseded"
            say(f"{monitor}: {counts}, {backlog.refused} refused")

    now = time.monotonic()
    outbox.deliver_all(Budget.after(now, wait, wait), _pause, seen, patient=True)
    if line := tidy(state_dir(), journal, settings):
        say(line)
    return journal.queue(settings.base_url)[0], why


def _pause(seconds: float, *, rate_limited: bool) -> bool:
    from crontify_cli.cli.person import pause

    return pause("flush", seconds, rate_limited=rate_limited)
