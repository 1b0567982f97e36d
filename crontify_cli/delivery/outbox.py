"""The outbox of this host: recovers dead runs and delivers the queue of every monitor."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.delivery import records
from crontify_cli.delivery.backlog import CONTEST_PAUSE, Backlog, deliver_backlog
from crontify_cli.delivery.journal import Journal, JournalError, MonitorQueue, ReportState
from crontify_cli.delivery.readdress import is_doubtful, readdress
from crontify_cli.delivery.sending import Delivery, Sender, SendResult
from crontify_cli.model import Ping
from crontify_cli.report.meta import has_own_numbers

if TYPE_CHECKING:
    from crontify_cli.config import Settings


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
        if all(live.run == self.own_run for live in records.live_runs(self.state)):
            return []
        from crontify_cli.delivery import recovery

        return recovery.recover(
            self.state,
            self.journal,
            self.mask,
            lambda name: recovery.Target(self.settings.base_url, self.settings.monitor(name)),
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

    def deliver(
        self,
        monitor_id: str,
        delivery: Delivery,
        *,
        before_start: bool = False,
        gives_way: bool = False,
        own_report: int | None = None,
        is_running: bool = False,
    ) -> Backlog:
        """Deliver the queue of one monitor, unless one of its runs is open here.

        is_running: whether our own run counts as open, too.
        """
        own = [self.own_run] if is_running else []
        base_url = self.settings.base_url
        backlog = deliver_backlog(
            self.journal,
            delivery,
            MonitorQueue(base_url, monitor_id, self.owner, self.own_run, own_report),
            live=lambda: own + self._live(monitor_id),
            before_start=before_start,
            gives_way=gives_way,
        )
        # A run that goes on holds its own report, and for longer than it is worth waiting.
        is_contested = backlog.is_contested and not self._live(monitor_id)
        return backlog._replace(is_contested=is_contested)

    def leave_out(self, monitor_id: str, report_id: int | None, ping: Ping) -> ReportState | None:
        """Leave out our own report if it would close a newer run of the monitor that goes on.

        The server takes it for the end of the run that is open there. Returns the report's state
        then, else None: "superseded" for a success, which the server has as overlapped;
        "queued" for what is sent later.
        """
        if report_id is None:
            return None
        with suppress(JournalError):
            live = self._live(monitor_id)
            if live and self.journal.would_close(self.own_run, live):
                if ping.kind == "success" and not has_own_numbers(ping.meta):
                    self.journal.supersede([report_id])
                    return "superseded"
                self.journal.release(self.owner, [report_id])
                return "queued"
        return None

    def deliver_before(
        self,
        monitor_id: str,
        delivery: Delivery,
        own_report: int | None = None,
        *,
        gives_way: bool = False,
    ) -> Backlog:
        """Deliver a monitor's queue before its next ping; wait for a process that does so already.

        own_report: the id of that ping in the journal, None for a start. gives_way: as in `Seen`.
        """
        while True:
            backlog = self.deliver(
                monitor_id,
                delivery,
                before_start=True,
                gives_way=gives_way,
                own_report=own_report,
            )
            is_late = time.monotonic() > delivery.deadlines.until
            if is_late or not backlog.is_contested:
                return backlog
            if not delivery.wait(CONTEST_PAUSE, rate_limited=False):
                return backlog

    def deliver_all(self, delivery: Delivery) -> None:
        """Deliver the queue of every monitor, as long as the server can be reached.

        One monitor's is tried however little time is left.
        """
        if not (monitors := self.queued_monitors()):
            return
        from crontify_cli.delivery.rounds import Schedule, work

        schedule = Schedule(monitors, delivery.deadlines)
        work(schedule, self.deliver, delivery, lambda _monitor, _backlog: None)

    def awaits_report(self, monitor_id: str) -> bool:
        """Tell whether another run of the monitor has ended here, and is about to be reported."""
        if any(map(records.is_unstored, self._others(monitor_id))):
            return True
        queue = MonitorQueue(self.settings.base_url, monitor_id, self.owner, self.own_run)
        with suppress(JournalError):
            return self.journal.is_contested(queue)
        return False

    def queued_monitors(self) -> list[str]:
        """Return the ids of the monitors that have queued reports, the longest waiting first."""
        return self.journal.queued_monitors(self.settings.base_url)

    def _live(self, monitor_id: str) -> list[str]:
        """Return the monitor's runs that go on here, by their local ids, except our own."""
        others = list(self._others(monitor_id))
        recorded = {self.own_run, *(live.run for live in others)}
        # A job may have removed the record of its run.
        unended = self.journal.unended(self.settings.base_url, monitor_id)
        return [live.run for live in others if records.goes_on(live)] + [
            run for run in unended if run not in recorded
        ]

    def _others(self, monitor_id: str) -> Iterator[records.Live]:
        """Yield the records of a monitor's runs, except our own."""
        for live in records.live_runs(self.state):
            if live.run != self.own_run and self.settings.monitor(live.monitor).id == monitor_id:
                yield live
