"""When to send the pings of one run, by what the journal knows of its monitor.

`pace.py` decides; here is what it decides from, and how the pauses are spent.
"""

import time
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.delivery import pace
from crontify_cli.delivery.journal import Journal, JournalError
from crontify_cli.delivery.limits import limit_of
from crontify_cli.delivery.sending import Delivery, Waits
from crontify_cli.model import PingKind, Run

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_AGAIN = 60.0
"""Seconds after which a start that waits looks again: other runs may have used the slot."""


class Pacing(NamedTuple):
    """A run, with its monitor's id and the server's address, and what tells when to send.

    Without a journal, or if it fails, nothing is held back.
    """

    run: Run
    journal: Journal | None = None

    def await_start(self, wait: Waits) -> bool:
        """Wait until the start may be sent; False if `wait` returns False before."""
        while (pause := self._until_start()) > 0:
            if not wait(min(pause, LOOK_AGAIN), rate_limited=False):
                return False
        return True

    def start_waits(self, wait: Waits) -> "Callable[..., bool]":
        """Return how to spend the pauses of the start: after a refusal, until it is due again."""

        def spend(seconds: float, *, rate_limited: bool) -> bool:
            waited = wait(seconds, rate_limited=rate_limited)
            return waited and (not rate_limited or self.await_start(wait))

        return spend

    def paced(self, kind: PingKind, delivery: Delivery, *, is_held: bool) -> Delivery:
        """Return the delivery of a final report, which waits for a slot as long as it should.

        is_held: first wait as long as the server is known to refuse.
        """
        limit, usual = self._known()
        deadlines, now = delivery.deadlines, time.time()
        most = min(
            deadlines.left().rate_limit,
            pace.patience(kind, limit, usual, self.run.started_at, now),
        )
        until = time.monotonic() + most
        held = pace.hold(kind, limit, most, now) if is_held else 0.0
        if held:
            delivery.wait(held, rate_limited=True)
        return delivery._replace(
            deadlines=deadlines._replace(
                until=deadlines.until + held,
                unsent_until=deadlines.unsent_until + held,
                rate_limit_until=until,
            )
        )

    def is_limited(self) -> bool:
        """Tell whether the monitor's plan is known to limit its pings."""
        return self._known()[0].interval is not None

    def is_start_due(self) -> bool:
        """Tell whether the start may be sent now."""
        return self._until_start() <= 0

    def may_overtake(self, report_id: int | None) -> bool:
        """Tell whether a report may be sent before the older ones of its monitor.

        Not if the server may hold the run of one of them open: the report would close that one.
        """
        return report_id is not None and self.journal is not None and not self.is_open(report_id)

    def is_open(self, before: int | None = None) -> bool:
        """Tell whether the server may hold a run open whose report is queued; True if unknown.

        before: only reports that are older than the one with this id.
        """
        if self.journal is None:
            return False
        sql = (
            "SELECT 1 FROM reports JOIN runs ON runs.id = run_id WHERE state = 'queued'"
            " AND reports.base_url = ? AND reports.monitor_id = ?"
            " AND reports.id < coalesce(?, reports.id + 1)"
            " AND start_state IN ('acknowledged', 'unknown') LIMIT 1"
        )
        try:
            rows = self.journal.query(sql, (self.run.base_url, self.run.monitor_id, before))
            return bool(list(rows))
        except JournalError:
            return True

    def _until_start(self) -> float:
        limit, usual = self._known()
        now = time.time()
        return pace.start_due(limit, usual, self.run.started_at, now) - now

    def _known(self) -> tuple[pace.Limit, pace.Habits]:
        if self.journal is not None:
            try:
                limit = limit_of(self.journal, self.run.base_url, self.run.monitor_id)
                newest = self.journal.newest(self.run.monitor, pace.HISTORY)
                return limit, pace.habits([summary for _, summary in newest])
            except JournalError:
                pass  # as without one
        return pace.UNKNOWN, pace.Habits()
