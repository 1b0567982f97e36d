"""The outbox of this host as a whole: recovers dead runs and delivers every monitor's backlog."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.delivery import backlog as delivery
from crontify_cli.delivery import recovery
from crontify_cli.delivery.backlog import Backlog, Budget, Sender, Waits
from crontify_cli.delivery.journal import Journal
from crontify_cli.delivery.recovery import Target

if TYPE_CHECKING:
    from crontify_cli.config import Settings

CONTEST_PAUSE = 0.05


class Outbox(NamedTuple):
    """The journal in `state`, and what is needed to send from it.

    owner: this process's name on leases. own_run: the run that it wraps, "" for none.
    mask: takes secrets out of a recovered log.
    """

    state: str
    journal: Journal
    settings: "Settings"
    sender: Sender
    owner: str
    mask: Callable[[str], str]
    own_run: str = ""

    def recover(self, monitor: str | None = None) -> list[str]:
        """Queue reports for dead runs, of one monitor (by its name) or of all; return their ids."""
        return recovery.recover(
            self.state,
            self.journal,
            self.mask,
            self._target,
            own=self.own_run,
            is_wanted=lambda name: monitor in (None, name),
        )

    def _target(self, name: str) -> Target:
        return Target(self.settings.base_url, self.settings.monitor(name))

    def deliver(
        self,
        monitor_id: str,
        budget: Budget,
        wait: Waits,
        *,
        before_start: bool = False,
        own_report: int | None = None,
    ) -> Backlog:
        """Deliver one monitor's backlog, unless one of its runs is going on here."""
        return delivery.deliver_backlog(
            self.journal,
            self.sender,
            (self.settings.base_url, monitor_id),
            self.owner,
            budget,
            wait,
            is_clear=lambda: not self._is_running(monitor_id),
            before_start=before_start,
            own_run=self.own_run,
            own_report=own_report,
        )

    def deliver_before(
        self, monitor_id: str, budget: Budget, wait: Waits, own_report: int | None = None
    ) -> Backlog:
        """Deliver a monitor's backlog before its next ping; wait for whoever is at it already.

        own_report: the id of that ping in the journal, None for a start.
        """
        while True:
            backlog = self.deliver(
                monitor_id, budget, wait, before_start=True, own_report=own_report
            )
            if not self._is_contested(monitor_id, backlog) or time.monotonic() > budget.until:
                return backlog
            if not wait(CONTEST_PAUSE, rate_limited=False):
                return backlog

    def deliver_all(
        self,
        budget: Budget,
        wait: Waits,
        seen: Callable[[str, Backlog], None] = lambda _monitor, _backlog: None,
        *,
        patient: bool = False,
    ) -> None:
        """Deliver every monitor's backlog, as long as the server can be reached.

        One monitor's is tried however little the budget is. seen: told of each monitor's id
        and what became of its reports. patient: also wait for what other processes are at,
        and deliver what they queue meanwhile.
        """
        left: set[str] = set()
        is_first = True
        while monitors := [each for each in self._queued_monitors() if each not in left]:
            contested = False
            for monitor_id in monitors:
                if time.monotonic() > budget.until and not is_first:
                    return
                is_first = False
                backlog = self.deliver(monitor_id, budget, wait)
                if patient and self._is_contested(monitor_id, backlog):
                    contested = True
                elif backlog.left:
                    left.add(monitor_id)
                if backlog != Backlog(left=True):
                    seen(monitor_id, backlog)
                if backlog.failure and backlog.left and not backlog.failure.is_of_monitor:
                    return
            if not patient or (contested and not wait(CONTEST_PAUSE, rate_limited=False)):
                return

    def _queued_monitors(self) -> list[str]:
        return self.journal.queued_monitors(self.settings.base_url)

    def _is_contested(self, monitor_id: str, backlog: Backlog) -> bool:
        """Tell whether reports were left because another process is sending some just now."""
        return backlog.left and not backlog.failure and not self._is_running(monitor_id)

    def _is_running(self, monitor_id: str) -> bool:
        return any(
            live.run != self.own_run
            and self.settings.monitor(live.monitor).id == monitor_id
            and recovery.goes_on(live)
            for live in recovery.live_runs(self.state)
        )
