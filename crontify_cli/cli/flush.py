"""`crontify flush`: delivers queued reports, and reports runs that died."""

import time
from functools import partial
from typing import Annotated

import typer

from crontify_cli import processes
from crontify_cli.cli.arguments import parsed_option
from crontify_cli.cli.client import Client, open_client
from crontify_cli.cli.person import pause
from crontify_cli.cli.queue_notes import notes
from crontify_cli.delivery.backlog import Backlog, Deadlines, Delivery
from crontify_cli.delivery.journal import Journal
from crontify_cli.delivery.outbox import Outbox
from crontify_cli.delivery.retention import tidy
from crontify_cli.delivery.waiting import waiting
from crontify_cli.errors import CrontifyError, ExitCode, say
from crontify_cli.report.mask import Masker
from crontify_cli.report.secrets import known_secrets
from crontify_cli.state import state_dir
from crontify_cli.values import parse_duration

WAIT = 60.0


def register(app: typer.Typer) -> None:
    """Add `flush` to the app."""
    epilog = "In a crontab:  */5 * * * *  crontify flush --quiet"
    app.command("flush", epilog=epilog)(flush)


def flush(
    wait: Annotated[
        float | None,
        parsed_option(parse_duration, "DURATION", "Keep trying for this long.", "1m"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print one line per monitor.")
    ] = False,
    refused: Annotated[
        bool, typer.Option("--refused", help="Retry reports the server refused.")
    ] = False,
) -> None:
    """Deliver queued reports, and report runs that died.

    A run died if `crontify exec` was killed or the machine went down before the run ended.
    Exit 0 if the queue is empty afterwards, 75 if reports are still queued, also for another
    server.
    """
    with open_client() as client:
        base_url = client.settings.base_url
        try:
            journal = Journal.open(state_dir())
            if journal.warning:
                say(journal.warning)
            if refused:
                journal.requeue_refused(base_url)
            _deliver(journal, client, WAIT if wait is None else wait, verbose)
            left = notes(
                waiting(state_dir(), journal, client.settings), base_url, time.time(), tried=True
            )
        except OSError as error:
            raise CrontifyError(str(error)) from None
    for note in left if not quiet else ():
        say(str(note))
    if client.settings.metrics_file:
        from crontify_cli.delivery.metrics import keep_current

        if line := keep_current(state_dir(), client.settings):
            say(line)
    raise typer.Exit(ExitCode.TEMPORARY if left else ExitCode.OK)


def _deliver(journal: Journal, client: Client, wait: float, verbose: bool) -> None:
    """Report dead runs and deliver the queue within `wait` seconds."""
    # Recovery adds what a dead run's record knows, and what its monitor's settings say.
    mask = Masker(known_secrets(), (client.key,), shapes=False)
    settings, state = client.settings, state_dir()
    outbox = Outbox(state, journal, settings, processes.identity(), mask)
    for run in outbox.recover():
        if verbose:
            say(f"run {run} could not be reported by its own process: its report is now queued")
    outbox.readdress(client.api)

    def show(monitor: str, backlog: Backlog) -> None:
        if backlog.failure and (verbose or backlog.failure.needs_a_person):
            if doubt := outbox.doubt_of_address(monitor, backlog.failure):
                say(doubt)
            say(backlog.failure.message)
        if verbose:
            counts = f"{backlog.delivered} delivered, {backlog.superseded} superseded"
            say(f"{monitor}: {counts}, {backlog.refused} refused")

    deadlines = Deadlines.after(time.monotonic(), wait, wait)
    delivery = Delivery(client.api, deadlines, partial(pause, "flush"))
    outbox.deliver_all(delivery, show, patient=True)
    if line := tidy(state, journal, settings):
        say(line)
