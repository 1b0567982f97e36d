"""Sends chosen reports now, for `crontify queue retry`, and says what became of them."""

import math
import time
from collections.abc import Iterable, Sequence

from crontify_cli.cli import output
from crontify_cli.cli.client import Client, open_client
from crontify_cli.cli.flush_progress import Update, progress
from crontify_cli.cli.queue_notes import is_same, notes
from crontify_cli.cli.queue_select import OpenQueue, choose, open_queue
from crontify_cli.delivery.backlog import Backlog
from crontify_cli.delivery.sending import Deadlines, Delivery, Sender
from crontify_cli.delivery.waiting import requeue, states, waiting
from crontify_cli.errors import ExitCode, say
from crontify_cli.model import Answer, Ping

_WORDS = {
    "delivered": "delivered",
    "superseded": "superseded by a newer run",
    "folded": "included in the report of a newer run",
    "refused": "refused by the server",
    "discarded": "discarded by another process",
}


def send(names: Sequence[str]) -> int:
    """Send the reports of these monitors and runs, or all; return the exit code."""
    with open_client() as client:
        queue = open_queue(client.settings)
        queue.outbox.recover()
        queue.outbox.readdress(client.api)
        chosen = choose(queue, names)
        if not chosen:
            say("the queue is empty")
            return ExitCode.OK
        requeue(queue.journal, [each.run for each in chosen if each.state == "refused"])
        url = client.settings.base_url
        ours = [each.monitor_id for each in chosen if is_same(each.base_url, url)]
        with progress(len(ours), quiet=False) as update:
            _deliver(queue, client, dict.fromkeys(ours), update)
        return _tell(queue, [each.run for each in chosen])


def _deliver(queue: OpenQueue, client: Client, monitors: Iterable[str], update: Update) -> None:
    """Deliver the queues of these monitors, as long as the server can be reached."""
    settings = client.settings
    deadlines = Deadlines.after(time.monotonic(), settings.report_timeout, settings.rate_limit_wait)
    watched = _Watched(client.api, update)
    delivery = Delivery(watched, deadlines, watched.wait)
    for monitor_id in monitors:
        backlog = queue.outbox.deliver(monitor_id, delivery)
        watched.note(backlog)
        failure = backlog.failure
        if failure and backlog.left and not failure.concerns_monitor_only:
            return


class _Watched:
    """Sends by `sender`, and shows how far the delivery is."""

    def __init__(self, sender: Sender, update: Update) -> None:
        self._sender = sender
        self._update = update
        self._settled = 0
        self._received = 0

    def ping(self, ping: Ping, within: float = math.inf) -> Answer:
        """Make one attempt, as `Sender` does."""
        answer = self._sender.ping(ping, within)
        self._received += answer.fate == "received"
        self._update(self._settled + self._received, None)
        return answer

    def silence(self, monitor_id: str, within: float = math.inf) -> Answer | None:
        """Return what `Sender` does."""
        return self._sender.silence(monitor_id, within)

    def fingerprint(self, monitor_id: str) -> str:
        """Return what `Sender` does."""
        return self._sender.fingerprint(monitor_id)

    def wait(self, seconds: float, *, rate_limited: bool) -> bool:
        """Spend a pause; show the wait if it is one for the rate limit."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._update(self._settled + self._received, until if rate_limited else None)
            time.sleep(min(0.2, left))
        return True

    def note(self, backlog: Backlog) -> None:
        """Take note of what became of a monitor's reports."""
        self._settled, self._received = self._settled + backlog.settled, 0
        self._update(self._settled, None)


def _tell(queue: OpenQueue, runs: Sequence[str]) -> int:
    """Say what became of the reports of these runs, and return the exit code."""
    after = states(queue.journal, runs)
    for state, words in _WORDS.items():
        errors = [error for found, error in after.values() if found == state]
        if errors:
            why = f": {errors[-1]}" if state == "refused" and errors[-1] else ""
            say(f"{output.count(len(errors), 'report')} {words}{why}")
    every = waiting(queue.outbox.state, queue.journal, queue.settings)
    left = [each for each in every if each.run in runs]
    for note in notes(left, queue.settings.base_url, time.time(), tried=True):
        say(str(note))
    if left:
        return ExitCode.TEMPORARY
    is_refused = any(state == "refused" for state, _ in after.values())
    return ExitCode.FAILURE if is_refused else ExitCode.OK
