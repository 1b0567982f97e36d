"""`crontify flush`: delivers queued reports, and reports runs that died."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Annotated

import typer

from crontify_cli import processes
from crontify_cli.cli.arguments import parsed_option
from crontify_cli.cli.client import Client, connect, open_client
from crontify_cli.cli.flush_progress import progress
from crontify_cli.cli.queue_notes import notes
from crontify_cli.delivery.backlog import Backlog
from crontify_cli.delivery.journal import Journal
from crontify_cli.delivery.limits import LearningSender
from crontify_cli.delivery.outbox import Outbox
from crontify_cli.delivery.retention import tidy
from crontify_cli.delivery.rounds import Schedule, in_threads, work
from crontify_cli.delivery.sending import Deadlines, Delivery
from crontify_cli.delivery.waiting import waiting
from crontify_cli.errors import CrontifyError, ExitCode, in_words, say
from crontify_cli.report.mask import Masker
from crontify_cli.report.secrets import known_secrets
from crontify_cli.state import state_dir
from crontify_cli.values import parse_duration

WAIT = 60.0
CONNECTIONS = 10
"""How many monitors' reports are sent at a time."""


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
            seconds = WAIT if wait is None else wait
            _deliver(journal, client, seconds, verbose=verbose, quiet=quiet)
            every = waiting(state_dir(), journal, client.settings)
            # Another process that has the record of a dead run reports it right now.
            ours = [each for each in every if not (each.is_recorded and each.held_by == "process")]
            left = notes(ours, base_url, time.time(), tried=True)
        except OSError as error:
            raise CrontifyError(in_words(error)) from None
    for note in left if not quiet else ():
        say(str(note))
    if client.settings.metrics_file:
        from crontify_cli.delivery.metrics import keep_current

        if line := keep_current(state_dir(), client.settings):
            say(line)
    raise typer.Exit(ExitCode.TEMPORARY if left else ExitCode.OK)


def _deliver(journal: Journal, client: Client, wait: float, *, verbose: bool, quiet: bool) -> None:
    """Report dead runs and deliver the queue within `wait` seconds."""
    # Recovery adds what a dead run's record knows, and what its monitor's settings say.
    mask = Masker(known_secrets(), (client.key,), shapes=False)
    settings, state = client.settings, state_dir()
    outbox = Outbox(state, journal, settings, processes.identity(), mask)
    for run in outbox.recover():
        if verbose:
            say(f"run {run} could not be reported by its own process: its report is now queued")
    outbox.readdress(client.api)
    deadlines = Deadlines.after(time.monotonic(), wait, wait)
    tally = _Tally()
    with progress(journal.queue(settings.base_url)[0], quiet=quiet) as update:
        # Other processes may queue reports meanwhile, and those are delivered, too.
        while monitors := [each for each in outbox.queued_monitors() if each not in tally.left()]:
            schedule = Schedule(monitors, deadlines, patient=True)

            def deliver(schedule: Schedule = schedule) -> None:
                _take_turns(outbox, client, schedule, deadlines, tally)

            def watch(schedule: Schedule = schedule) -> None:
                update(tally.settled, schedule.next_due())

            in_threads(min(CONNECTIONS, len(monitors)), deliver, watch, schedule.stop)
            if schedule.is_stopped or time.monotonic() > deadlines.until:
                break
    for line in _lines(outbox, tally.backlogs, verbose):
        say(line)
    if dropped := tidy(state, journal, settings):
        say(dropped)


def _take_turns(
    outbox: Outbox, client: Client, schedule: Schedule, deadlines: Deadlines, tally: "_Tally"
) -> None:
    """Deliver in one thread, which has a connection and an open journal of its own."""
    journal = Journal.open(outbox.state)
    with contextlib.closing(journal), connect(client.settings, client.key) as api:
        own = outbox._replace(journal=journal)
        sender = LearningSender(api, journal, client.settings.base_url)
        delivery = Delivery(sender, deadlines, _pause)
        work(schedule, own.deliver, delivery, tally.note)


def _pause(seconds: float, *, rate_limited: bool) -> bool:
    """Wait for a server that cannot be reached."""
    time.sleep(seconds)
    return True


class _Tally:
    """What became of the reports of each monitor so far, noted by several threads."""

    def __init__(self) -> None:
        self.backlogs: dict[str, Backlog] = {}
        self.settled = 0
        self._lock = threading.Lock()

    def note(self, monitor: str, backlog: Backlog) -> None:
        with self._lock:
            self.settled += backlog.settled
            earlier = self.backlogs.get(monitor, Backlog())
            self.backlogs[monitor] = backlog.after(earlier)

    def left(self) -> set[str]:
        """Return the monitors that still have queued reports."""
        return {monitor for monitor, backlog in self.backlogs.items() if backlog.left}


def _lines(outbox: Outbox, backlogs: Mapping[str, Backlog], verbose: bool) -> Iterator[str]:
    """Yield what there is to say of each monitor's reports."""
    for monitor, backlog in backlogs.items():
        if (failure := backlog.failure) and (verbose or failure.needs_a_person):
            if doubt := outbox.doubt_of_address(monitor, failure):
                yield doubt
            yield failure.message
        if verbose and backlog != Backlog(left=True):
            counts = f"{backlog.delivered} delivered, {backlog.superseded} superseded"
            folded = f", {backlog.folded} folded" if backlog.folded else ""
            yield f"{monitor}: {counts}, {backlog.refused} refused{folded}"
