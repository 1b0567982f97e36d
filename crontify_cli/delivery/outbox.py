"""The outbox of this host: recovers dead runs and delivers the queue of every monitor."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.delivery import records, recovery
from crontify_cli.delivery.backlog import Backlog, Delivery, Sender, SendResult, deliver_backlog
from crontify_cli.delivery.journal import Journal, MonitorQueue
from crontify_cli.delivery.readdress import is_doubtful, readdress
from crontify_cli.delivery.recovery import Target

if TYPE_CHECKING:
    from crontify_cli.config import Settings

CONTEST_PAUSE = 0.05


class Outbox(NamedTuple):
    """The journal in `state`, and what it takes to send from it.

    owner: this process's name on leases. mask: masks the secrets in a recovered log.
    own_run: the run that this process wraps, "" for none.
    """

    state: str
    journal: Journal
    settings: "Settings"
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
            is_wanted=lambda name: (
                monitor in (None, name) and not self.settings.monitor(name).obstacle
            ),
        )

    def readdress(self, sender: Sender, monitor: str | None = None) -> int:
        """Queue reports that changed settings may deliver, of one monitor (by name) or of all.

        Returns how many they are.
        """
        return readdress(self.journal, self.settings, sender.fingerprint, monitor)

    def doubt_of_address(self, monitor_id: str, sent: SendResult) -> str:
        """Return a line if a 404 for this monitor may be due to the base URL, else "".

        Raises JournalError.
        """
        url = self.settings.base_url
        if sent.answer.status != 404 or not is_doubtful(self.journal, url, monitor_id):
            return ""
        return f"{url} knows no monitor, and has never accepted a report: check base_url first"

    def _target(self, name: str) -> Target:
        return Target(self.settings.base_url, self.settings.monitor(name))

    def deliver(
        self,
        monitor_id: str,
        delivery: Delivery,
        *,
        before_start: bool = False,
        own_report: int | None = None,
    ) -> Backlog:
        """Deliver the queue of one monitor, unless one of its runs is open here."""
        base_url = self.settings.base_url
        return deliver_backlog(
            self.journal,
            delivery,
            MonitorQueue(base_url, monitor_id, self.owner, self.own_run, own_report),
            is_clear=lambda: not self._is_running(monitor_id),
            before_start=before_start,
        )

    def deliver_before(
        self, monitor_id: str, delivery: Delivery, own_report: int | None = None
    ) -> Backlog:
        """Deliver a monitor's queue before its next ping; wait for a process that does so already.

        own_report: the id of that ping in the journal, None for a start.
        """
        while True:
            backlog = self.deliver(monitor_id, delivery, before_start=True, own_report=own_report)
            is_late = time.monotonic() > delivery.deadlines.until
            if is_late or not self._is_contested(monitor_id, backlog):
                return backlog
            if not delivery.wait(CONTEST_PAUSE, rate_limited=False):
                return backlog

    def deliver_all(
        self,
        delivery: Delivery,
        seen: Callable[[str, Backlog], None] = lambda _monitor, _backlog: None,
        *,
        patient: bool = False,
    ) -> None:
        """Deliver the queue of every monitor, as long as the server can be reached.

        One monitor's is tried however little time is left. seen: called with each monitor's
        id and what became of its reports. patient: also wait for other processes that deliver,
        and deliver what they queue in the meantime.
        """
        left: set[str] = set()
        is_first = True
        while monitors := [each for each in self._queued_monitors() if each not in left]:
            contested = False
            for monitor_id in monitors:
                if time.monotonic() > delivery.deadlines.until and not is_first:
                    return
                is_first = False
                backlog = self.deliver(monitor_id, delivery)
                if patient and self._is_contested(monitor_id, backlog):
                    contested = True
                elif backlog.left:
                    left.add(monitor_id)
                if backlog != Backlog(left=True):
                    seen(monitor_id, backlog)
                failure = backlog.failure
                if failure and backlog.left and not failure.concerns_monitor_only:
                    return
            if not patient or (contested and not delivery.wait(CONTEST_PAUSE, rate_limited=False)):
                return

    def awaits_outcome(self, monitor_id: str) -> bool:
        """Tell whether another run of the monitor has ended here, but is not in the journal yet."""
        return any(map(records.is_unstored, self._others(monitor_id)))

    def _queued_monitors(self) -> list[str]:
        return self.journal.queued_monitors(self.settings.base_url)

    def _is_contested(self, monitor_id: str, backlog: Backlog) -> bool:
        """Tell whether reports were left because another process is sending some right now."""
        return backlog.left and not backlog.failure and not self._is_running(monitor_id)

    def _is_running(self, monitor_id: str) -> bool:
        return any(map(records.goes_on, self._others(monitor_id)))

    def _others(self, monitor_id: str) -> Iterator[records.Live]:
        """Yield the records of a monitor's runs, except our own."""
        for live in records.live_runs(self.state):
            if live.run != self.own_run and self.settings.monitor(live.monitor).id == monitor_id:
                yield live
