"""Sends pings as the policy says: one by itself, or the queue of a monitor in order."""

import math
import time
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from crontify_cli.delivery import policy
from crontify_cli.delivery.journal import Journal, JournalError, MonitorQueue, Queued, ReportState
from crontify_cli.model import Answer, Ping
from crontify_cli.report.compose import error_message
from crontify_cli.values import format_duration

CLAIM = 100
"""Reports leased at a time: few enough to keep memory constant whatever is queued."""


class Sender(Protocol):
    """Sends one ping: `delivery.api.Api`, or something like it."""

    def ping(self, ping: Ping) -> Answer:
        """Make one attempt and return what came of it."""

    def fingerprint(self, monitor_id: str) -> str:
        """Return a hash of the settings that decide whether a ping is accepted."""


class Deadlines(NamedTuple):
    """Until when to try again, in seconds of `time.monotonic()`.

    until: in general. rate_limit_until: while the server asks us to wait. unsent_until: while
    the server cannot be reached.
    """

    until: float = math.inf
    rate_limit_until: float = math.inf
    unsent_until: float = math.inf

    def left(self) -> policy.Remaining:
        """Return how many seconds are left until each."""
        now = time.monotonic()
        return policy.Remaining(*(moment - now for moment in self))

    @classmethod
    def after(cls, moment: float, report_timeout: float, rate_limit_wait: float) -> "Deadlines":
        """Return the deadlines of a report whose run ended at `moment`."""
        unsent = moment + min(policy.UNSENT_PATIENCE, report_timeout)
        return cls(moment + report_timeout, moment + rate_limit_wait, unsent)


UNLIMITED = Deadlines()
"""While the job runs there is time."""


class SendResult(NamedTuple):
    """What became of a ping.

    message: one line for a person, empty if it was delivered as it is.
    blamed: the fingerprint of the settings that have to be corrected first, "" for none.
    """

    verdict: Literal["delivered", "refused", "dropped", "pending"]
    answer: Answer
    message: str = ""
    blamed: str = ""

    @property
    def report_state(self) -> ReportState:
        """The state of a report after this."""
        return self.verdict if self.verdict in ("delivered", "refused") else "queued"

    @property
    def concerns_monitor_only(self) -> bool:
        """Whether the failure says nothing about the server as a whole."""
        was_not_accepted = self.needs_a_person and self.answer.is_api
        return self.verdict == "refused" or self.answer.status == 429 or was_not_accepted

    @property
    def needs_a_person(self) -> bool:
        """Whether the server has answered something that waiting alone does not change."""
        is_odd = self.answer.fate == "unknown" and self.answer.status is not None
        return self.verdict == "refused" or is_odd


class Waits(Protocol):
    """How to spend a pause."""

    def __call__(self, seconds: float, *, rate_limited: bool) -> bool:
        """Wait `seconds`; return False, at once, if there is no time or no wish for it."""


class Delivery(NamedTuple):
    """Sends pings, again and again if need be.

    sender: makes one attempt. deadlines: until when. wait: spends the pauses.
    """

    sender: Sender
    deadlines: Deadlines
    wait: Waits

    def send(self, ping: Ping) -> SendResult:
        """Send `ping` until the server accepts or refuses it, or until a deadline."""
        attempts, shortened = 0, ""
        while True:
            answer = self.sender.ping(ping)
            attempts += 1
            if answer.fate == "received":  # before anything that could fail: it must be known
                return SendResult("delivered", answer, shortened)
            step = policy.decide(ping, attempts, answer, self.deadlines.left())
            message = f"{ping.kind} of {ping.monitor_id}: {step.message}"
            if answer.status == 413 and ping.log_output:
                shortened = f"{message}; it was sent without the log, which is kept here"
                ping = ping._replace(log_output=None)
                continue
            blames = policy.blames_settings(answer)
            blamed = self.sender.fingerprint(ping.monitor_id) if blames else ""
            if step.verdict == "give_up":
                return SendResult("refused", answer, message, blamed)
            if step.verdict == "drop":
                return SendResult("dropped", answer, message, blamed)
            if step.verdict == "keep" or not self.wait(
                step.pause, rate_limited=step.waits_for_rate_limit
            ):
                return SendResult("pending", answer, message, blamed)


def settle(journal: Journal, report_id: int, sent: SendResult) -> None:
    """Write down what became of a report; raises JournalError."""
    journal.settle(report_id, sent.report_state, sent.message, sent.answer.run_id, sent.blamed)


def mark_late(queued: Queued, now: float) -> Ping:
    """Return the ping of a delayed report, with the delay in its metadata and its message.

    now: seconds since the epoch.
    """
    late = max(0, round(now - queued.ended_at))
    ping = queued.ping._replace(meta={**queued.ping.meta, "late_seconds": late})
    if ping.kind != "fail":
        return ping
    note = f"(reported {format_duration(late)} late) "
    return ping._replace(error_message=error_message(note + (ping.error_message or ""), ""))


class Backlog(NamedTuple):
    """What became of the reports queued for a monitor.

    left: whether reports of the monitor remain queued. failure: the last one that was not
    delivered, None if all were.
    """

    delivered: int = 0
    superseded: int = 0
    refused: int = 0
    left: bool = False
    failure: SendResult | None = None


def deliver_backlog(
    journal: Journal,
    delivery: Delivery,
    queue: MonitorQueue,
    *,
    is_clear: Callable[[], bool],
    before_start: bool = False,
) -> Backlog:
    """Deliver what is queued for a monitor, oldest first.

    Each failure is sent, marked as late. A success is sent only if there is nothing newer
    of its monitor; before a new start (`before_start`) there is, so none is sent.
    is_clear: called after reports were leased; returns whether no run of the monitor is open
    here: a report sent then would close it (CONTRACT.md, "What the server makes of them").
    Raises JournalError.
    """
    total = Backlog()
    if journal.is_contested(queue):
        return total._replace(left=True)
    while rows := journal.claim(queue, CLAIM):
        # In this order: a run that ends commits its report, leased, before it is open no more.
        if not is_clear() or journal.is_contested(queue):
            journal.release(queue.owner, [row.id for row in rows])
            return total._replace(left=True)
        newest = journal.newest_report(queue)
        stale = {
            row.id
            for row in rows
            if row.ping.kind == "success" and (before_start or row.id < newest)
        }
        journal.supersede(stale)
        total = total._replace(superseded=total.superseded + len(stale))
        rows = [row for row in rows if row.id not in stale]
        for at, row in enumerate(rows):
            sent = delivery.send(mark_late(row, time.time()))
            try:
                settle(journal, row.id, sent)
            except JournalError:
                raise
            except Exception:  # an internal error; but it must not be sent again
                settle(journal, row.id, sent)
            if sent.report_state == "delivered":
                total = total._replace(delivered=total.delivered + 1)
            elif sent.report_state == "refused":
                total = total._replace(refused=total.refused + 1, failure=sent)
            else:
                journal.release(queue.owner, [later.id for later in rows[at + 1 :]])
                return total._replace(left=True, failure=sent)
    return total._replace(left=journal.is_contested(queue))
