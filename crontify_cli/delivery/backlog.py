"""Sends pings as the policy says: one within a budget, or a monitor's backlog in order."""

import math
import time
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from crontify_cli.delivery import policy
from crontify_cli.delivery.journal import Journal, Queued
from crontify_cli.model import Answer, Ping
from crontify_cli.report.compose import error_message
from crontify_cli.values import format_duration

CLAIM = 100
"""Reports leased at a time: few enough to keep memory constant whatever is queued."""


class Sender(Protocol):
    """What sends one ping: `report.api.Api`, or something like it."""

    def ping(self, ping: Ping) -> Answer:
        """Make one attempt and say what came of it."""


class Budget(NamedTuple):
    """Until when to try again, as time.monotonic().

    until: in general. rate_limit_until: while the server says "wait". unsent_until: while
    nothing of ours reaches it.
    """

    until: float
    rate_limit_until: float
    unsent_until: float

    def left(self) -> policy.Budget:
        """Return what is left of it."""
        now = time.monotonic()
        return policy.Budget(self.until - now, self.rate_limit_until - now, self.unsent_until - now)

    @classmethod
    def after(cls, moment: float, report_timeout: float, rate_limit_wait: float) -> "Budget":
        """Return the budget of a report whose run ended at `moment`."""
        unsent = moment + min(policy.UNSENT_BUDGET, report_timeout)
        return cls(moment + report_timeout, moment + rate_limit_wait, unsent)


UNLIMITED = Budget(math.inf, math.inf, math.inf)
"""While the job runs there is time."""


class Sent(NamedTuple):
    """What became of a ping. `message` is one line for a person, empty when delivered."""

    verdict: Literal["delivered", "refused", "dropped", "pending"]
    answer: Answer
    message: str = ""

    @property
    def is_of_monitor(self) -> bool:
        """Whether the failure says nothing of the server as a whole."""
        return self.verdict == "refused" or self.answer.status == 429


class Waits(Protocol):
    """How to spend a pause."""

    def __call__(self, seconds: float, *, rate_limited: bool) -> bool:
        """Wait `seconds`; False, at once, if there is no time or no wish for it any more."""


def send(sender: Sender, ping: Ping, budget: Budget, wait: Waits) -> Sent:
    """Send `ping` until the server took or refused it, or until the budget is spent."""
    attempts = 0
    while True:
        answer = sender.ping(ping)
        attempts += 1
        step = policy.decide(ping, attempts, answer, budget.left())
        message = f"{ping.kind} of {ping.monitor_id}: {step.message}"
        if step.verdict == "delivered":
            return Sent("delivered", answer)
        if step.verdict in ("give_up", "drop"):
            return Sent("refused" if step.verdict == "give_up" else "dropped", answer, message)
        if step.verdict == "keep" or not wait(step.pause, rate_limited=step.waits_for_rate_limit):
            return Sent("pending", answer, message)


def mark_late(queued: Queued, now: float) -> Ping:
    """Return the ping of a report that comes after its time, saying so in meta and message."""
    late = max(0, round(now - queued.ended_at))
    ping = queued.ping._replace(meta={**queued.ping.meta, "late_seconds": late})
    if ping.kind != "fail":
        return ping
    note = f"(reported {format_duration(late)} late) "
    return ping._replace(error_message=error_message(note + (ping.error_message or ""), ""))


class Backlog(NamedTuple):
    """What a delivery of queued reports came to.

    left: True when reports of the monitor remain queued. failure: the last one that
    was not delivered, None if all were.
    """

    delivered: int = 0
    superseded: int = 0
    refused: int = 0
    left: bool = False
    failure: Sent | None = None


def deliver_backlog(
    journal: Journal,
    sender: Sender,
    monitor: tuple[str, str],
    owner: str,
    budget: Budget,
    wait: Waits,
    *,
    is_clear: Callable[[], bool],
    before_start: bool = False,
    own_run: str = "",
    own_report: int | None = None,
) -> Backlog:
    """Deliver what is queued for `monitor` (base URL, monitor id), oldest first.

    Each failure goes out, marked late. A success is sent only if nothing newer is known
    of its monitor; before a new start (`before_start`) there is, so none is.
    is_clear: asked after reports were leased, whether no run of the monitor is open
    here: a report sent then would close it (CONTRACT.md, "What the server makes").
    own_run, own_report: what the caller sends apart, as for `Journal.claim`.
    Raises JournalError.
    """
    total = Backlog()
    if journal.is_contested(*monitor, owner, own_report):
        return total._replace(left=True)
    while rows := journal.claim(
        *monitor, owner, limit=CLAIM, own_run=own_run, own_report=own_report
    ):
        # In this order: a run that ends commits its report, leased, before it is open no more.
        if not is_clear() or journal.is_contested(*monitor, owner, own_report):
            journal.release(owner, [row.id for row in rows])
            return total._replace(left=True)
        newest = journal.newest_report(*monitor)
        stale = {
            row.id
            for row in rows
            if row.ping.kind == "success" and (before_start or row.id < newest)
        }
        journal.supersede(stale)
        total = total._replace(superseded=total.superseded + len(stale))
        rows = [row for row in rows if row.id not in stale]
        for at, row in enumerate(rows):
            sent = send(sender, mark_late(row, time.time()), budget, wait)
            if sent.verdict == "delivered":
                journal.settle(row.id, "delivered", run_id=sent.answer.run_id)
                total = total._replace(delivered=total.delivered + 1)
                continue
            if sent.verdict == "refused":
                journal.settle(row.id, "refused", error=sent.message)
                total = total._replace(refused=total.refused + 1, failure=sent)
                continue
            journal.settle(row.id, "queued", error=sent.message)
            journal.release(owner, [later.id for later in rows[at + 1 :]])
            return total._replace(left=True, failure=sent)
    return total._replace(left=journal.is_contested(*monitor, owner, own_report))
