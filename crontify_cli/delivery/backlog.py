"""Delivers the queue of a monitor: its reports in order, each sent until something is settled."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from crontify_cli.delivery.journal import Journal, JournalError, MonitorQueue
from crontify_cli.delivery.late import age, mark_late
from crontify_cli.delivery.lineup import Lineup
from crontify_cli.delivery.sending import NOT_BEGUN, Delivery, SendResult, Waits

CONTEST_PAUSE = 0.05
"""Seconds after which to look again for reports that another process is sending."""


def settle(journal: Journal, report_id: int, sent: SendResult) -> None:
    """Write down what became of a report; raises JournalError."""
    journal.settle(
        report_id,
        sent.report_state,
        sent.message,
        sent.answer.run_id,
        sent.blamed,
        is_trouble=sent.is_trouble,
        unanswered_at=sent.unanswered_at,
    )


class Backlog(NamedTuple):
    """What became of the reports queued for a monitor.

    folded: how many were included in another one. left: whether reports of the monitor remain
    queued. failure: the last one that was not delivered, None if all were. holds_back: whether
    one of them has to arrive before anything newer. is_contested: whether another process is
    sending some right now.
    """

    delivered: int = 0
    superseded: int = 0
    refused: int = 0
    folded: int = 0
    left: bool = False
    failure: SendResult | None = None
    holds_back: bool = False
    is_contested: bool = False

    @property
    def settled(self) -> int:
        """How many reports are not queued any more."""
        return self.delivered + self.superseded + self.refused + self.folded

    def after(self, earlier: "Backlog") -> "Backlog":
        """Return this together with what became of the monitor's reports before."""
        return self._replace(
            delivered=self.delivered + earlier.delivered,
            superseded=self.superseded + earlier.superseded,
            refused=self.refused + earlier.refused,
            folded=self.folded + earlier.folded,
        )


def deliver_backlog(
    journal: Journal,
    delivery: Delivery,
    queue: MonitorQueue,
    *,
    live: Callable[[], Sequence[str]],
    before_start: bool = False,
    gives_way: bool = False,
) -> Backlog:
    """Deliver what is queued for a monitor, as `lineup.line_up` says, marked as late.

    before_start, gives_way: as in `lineup.Seen`.
    live: returns the monitor's runs that go on here, by their local ids, except our own.
    Raises JournalError.
    """
    total = Backlog()
    while not total.left:
        # In this order: a run that ends commits its report, leased, before it is open no more.
        lineup = journal.claim(queue, live(), before_start=before_start, gives_way=gives_way)
        if lineup is None:
            return total._replace(left=True, is_contested=True)
        total = total._replace(
            superseded=total.superseded + len(lineup.superseded),
            folded=total.folded + len(lineup.folded),
        )
        if not lineup.send:
            return total._replace(left=bool(lineup.waiting))
        total = _deliver(journal, delivery, queue, lineup, total)
    return total


def _deliver(
    journal: Journal, delivery: Delivery, queue: MonitorQueue, lineup: Lineup, total: Backlog
) -> Backlog:
    """Send what was leased; return `total` with what became of it."""
    for at, report_id in enumerate(lineup.send):
        rest = lineup.send[at:]
        if not delivery.may_begin():
            journal.release(queue.owner, rest)
            is_open = lineup.first in rest
            return total._replace(left=True, failure=NOT_BEGUN, holds_back=is_open)
        is_poisoned = report_id in lineup.poisoned
        renewing = _Renewing(journal, queue, report_id, delivery.wait)
        wait: Waits = _give_up if is_poisoned else renewing
        queued, now = journal.report(report_id), time.time()
        unanswered_at, since_end = journal.unanswered_at(report_id), age(queued, now)
        if unanswered_at and since_end is not None:  # whatever the clock said at the time
            unanswered_at = max(unanswered_at, now - since_end)
        ping = mark_late(queued, now)
        sent = delivery._replace(wait=wait).send(ping, unanswered_at=unanswered_at)
        try:
            settle(journal, report_id, sent)
        except Exception as error:  # whatever it was: the report must not be sent again
            if isinstance(error, JournalError) and error.is_set_aside:
                raise
            settle(journal, report_id, sent)
        if delivery.allowance and sent.took:
            delivery.allowance.note(*sent.took)
        if sent.report_state == "delivered":
            total = total._replace(delivered=total.delivered + 1)
        elif sent.report_state == "refused":
            total = total._replace(refused=total.refused + 1, failure=sent)
        elif is_poisoned and sent.is_trouble:  # nothing has to wait for it
            total = total._replace(left=True, failure=sent)
        else:
            journal.release(queue.owner, rest[1:])
            return total._replace(left=True, failure=sent, holds_back=True)
    return total


def _give_up(seconds: float, *, rate_limited: bool) -> bool:
    """Wait for nothing."""
    return False


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
