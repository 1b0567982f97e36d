"""Sends pings as the policy says: one by itself, or the queue of a monitor in order."""

import math
import time
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from crontify_cli.delivery import policy
from crontify_cli.delivery.delays import since_end
from crontify_cli.delivery.journal import (
    Journal,
    JournalError,
    MonitorQueue,
    Queued,
    ReportState,
    StartState,
)
from crontify_cli.model import Answer, Ping
from crontify_cli.report.compose import error_message
from crontify_cli.values import format_duration

CLAIM = 100
"""Reports leased at a time: few enough to keep memory constant whatever is queued."""


NO_TIME = "no time was left for an attempt"


class Sender(Protocol):
    """Sends one ping: `delivery.api.Api`, or something like it."""

    def ping(self, ping: Ping, within: float = math.inf) -> Answer:
        """Make one attempt, of `within` seconds at most, and return what came of it."""

    def fingerprint(self, monitor_id: str) -> str:
        """Return a hash of the settings that decide whether a ping is accepted."""


class Deadlines(NamedTuple):
    """Until when to try again, in seconds of `time.monotonic()`.

    until: in general. rate_limit_until: while the server asks us to wait. unsent_until: while
    the server cannot be reached. is_exit: this process exits then, so that no attempt may
    take longer.
    """

    until: float = math.inf
    rate_limit_until: float = math.inf
    unsent_until: float = math.inf
    is_exit: bool = False

    def left(self) -> policy.Remaining:
        """Return how many seconds are left until each."""
        now = time.monotonic()
        return policy.Remaining(*(moment - now for moment in self[:3]))

    @classmethod
    def after(cls, moment: float, report_timeout: float, rate_limit_wait: float) -> "Deadlines":
        """Return the deadlines for reports that we begin to deliver at `moment`."""
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
    def start_state(self) -> StartState:
        """The state of a start after this."""
        if self.verdict == "delivered":
            return "acknowledged"
        if self.verdict == "refused":
            return "refused"
        return "unknown" if self.answer.fate == "unknown" else "dropped"

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


_NOT_BEGUN = SendResult("pending", Answer("unsent", message=NO_TIME), NO_TIME)


class Waits(Protocol):
    """How to spend a pause."""

    def __call__(self, seconds: float, *, rate_limited: bool) -> bool:
        """Wait `seconds`; return False, at once, if there is no time or no wish for it."""


class Delivery(NamedTuple):
    """Sends pings, again and again if need be.

    sender: makes one attempt. deadlines: until when. wait: spends the pauses.
    most: seconds that an attempt may take. least: seconds that must be left for it to be begun.
    """

    sender: Sender
    deadlines: Deadlines
    wait: Waits
    most: float = math.inf
    least: float = 0.0

    def has_time(self, *, rate_limited: bool = False) -> bool:
        """Tell whether an attempt may be begun; rate_limited: after a wait for a rate limit."""
        return self._left(rate_limited) > self.least

    def _left(self, rate_limited: bool) -> float:
        if not self.deadlines.is_exit:
            return math.inf
        left = self.deadlines.left()
        return max(left.report, left.rate_limit) if rate_limited else left.report

    def send(self, ping: Ping) -> SendResult:
        """Send `ping` until the server accepts or refuses it, or until a deadline."""
        attempts, shortened, rate_limited = 0, "", False
        result = _NOT_BEGUN
        while True:
            if not self.has_time(rate_limited=rate_limited):
                return result
            answer = self.sender.ping(ping, min(self.most, self._left(rate_limited)))
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
            result = SendResult("pending", answer, message, blamed)
            rate_limited = step.waits_for_rate_limit


def settle(journal: Journal, report_id: int, sent: SendResult) -> None:
    """Write down what became of a report; raises JournalError."""
    journal.settle(report_id, sent.report_state, sent.message, sent.answer.run_id, sent.blamed)


def mark_late(queued: Queued, now: float) -> Ping:
    """Return the ping of a delayed report, with the delay in its metadata and its message.

    The delay is left out if no clock tells it. now: seconds since the epoch.
    """
    delay = since_end(
        queued.ended_at,
        now,
        boot_id=queued.boot_id,
        started=queued.started,
        duration=queued.duration,
    )
    ping, words = queued.ping, "late"
    if delay is not None:
        late = round(delay)
        words = f"{format_duration(late)} late"
        ping = ping._replace(meta={**ping.meta, "late_seconds": late})
    if ping.kind != "fail":
        return ping
    note = f"(reported {words}) "
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
            if not delivery.has_time():
                journal.release(queue.owner, [later.id for later in rows[at:]])
                return total._replace(left=True, failure=_NOT_BEGUN)
            holding = delivery._replace(wait=_Renewing(journal, queue, row.id, delivery.wait))
            sent = holding.send(mark_late(row, time.time()))
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


class _Renewing(NamedTuple):
    """Spends the pauses of a report's delivery and prolongs its lease after each."""

    journal: Journal
    queue: MonitorQueue
    report_id: int
    wait: Waits

    def __call__(self, seconds: float, *, rate_limited: bool) -> bool:
        """Wait; also return False if another process has taken the report."""
        waited = self.wait(seconds, rate_limited=rate_limited)
        return waited and self.journal.renew(self.queue.owner, [self.report_id])
