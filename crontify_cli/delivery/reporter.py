"""Reports a run while it goes on: one thread, started after the spawn.

It loads what is slow to load (settings, key, HTTP client, journal) while the job runs,
sends the backlog and the start, waits for the run's outcome, and sends the final report.
The main thread never waits for it without a limit: if it hangs, in DNS say, the process
leaves it behind.

The two threads share no state. The thread tells what it learns as immutable events
(`Event`); the main thread hands over the outcome, once, by `finish`.
"""

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from crontify_cli.delivery import meanwhile
from crontify_cli.delivery.handover import (
    Done,
    Event,
    Mask,
    Outcome,
    Prepared,
    Ready,
    SettingsRead,
    Waiting,
    lost_to_loading,
)
from crontify_cli.delivery.orders import Orders
from crontify_cli.delivery.session import (
    Session,
    note_sent,
    open_journal,
    open_session,
    prepare,
    tidy_up,
)
from crontify_cli.delivery.told import NO_KEY, Notices, Told, error_words
from crontify_cli.errors import CrontifyError
from crontify_cli.model import Ping, PingKind, Run

if TYPE_CHECKING:
    from crontify_cli.config import Loaded, MonitorSettings
    from crontify_cli.delivery.api import Api
    from crontify_cli.delivery.journal import Journal
    from crontify_cli.delivery.outbox import Outbox
    from crontify_cli.delivery.sending import Deadlines, Delivery, SendResult

LATE_START = 5.0
"""Seconds by which a start may be late when the job has already ended: a job shorter than
our own loading still has its start, but none is sent whose run would get a false duration."""
LONG_WAIT = 1.0
"""Seconds of waiting for the job for which it is worth closing the journal."""


class Reporter(threading.Thread):
    """The thread of one run.

    run: the run as `journal.new_run` makes it. owner: this process's name on leases.
    tell: takes each event; called in this thread.
    load: reads the settings. make_mask: for a monitor's settings and our secrets, returns
        what masks the secrets in a text.
    state: the state directory, None for none. start: as the flag `--start`, None without it.
    api: the client once it is open, of the thread alone.
    """

    def __init__(
        self,
        run: Run,
        owner: str,
        tell: Callable[[Event], None],
        *,
        load: "Callable[[], Loaded]",
        make_mask: "Callable[[MonitorSettings, tuple[str, ...]], Mask]",
        notices: Notices,
        state: str | None,
        start: str | None,
    ) -> None:
        super().__init__(name="reporter", daemon=True)
        self._run = run
        self._owner = owner
        self._tell = tell
        self._load = load
        self._make_mask = make_mask
        self._notices = notices
        self._state = state
        self._start = start
        self._orders = Orders()
        self._began = time.monotonic()
        # Of the thread alone:
        self._journal: Journal | None = None
        self._is_open = self._is_held_back = False
        self._is_ending = False
        self._ready_at = self._unsent_patience = self._connecting_since = 0.0
        self.api: Api | None = None
        self._told = Told(notices)

    # What the main thread calls

    def finish(self, outcome: Outcome) -> None:
        """Hand over the run's outcome, whose report is sent now."""
        self._orders.finish(outcome)

    def stop(self) -> None:
        """Begin no further attempt; what is not delivered stays queued."""
        self._orders.stop()

    # The thread

    def run(self) -> None:
        """Do it all; our own failures are reported on stderr and go no further."""
        done = Done(delivered=False)
        try:
            done = self._report()
        except CrontifyError as error:
            self._notices.say(error.message)
        except Exception as error:
            self._notices.say(f"internal error, reporting failed: {error_words(error)}")
        finally:
            self._tell(done)

    def _report(self) -> Done:
        loaded = self._load()
        monitor = loaded.settings.monitor(self._run.monitor)
        self._tell(SettingsRead(loaded.settings, monitor))
        for line in (*loaded.problems, *loaded.warnings):
            self._notices.say(line)
        prepared = prepare(loaded, monitor, self._make_mask)
        self._tell(prepared)
        if prepared.obstacle and prepared.obstacle not in loaded.problems:
            self._notices.say(prepared.obstacle)
        elif not prepared.obstacle and prepared.key is None:
            self._notices.say(NO_KEY)
        journal = self._open_journal(prepared)
        api = self._open_api(prepared)
        if api is None:
            tidy_up(self._state, journal, prepared, self._told)
            return Done(delivered=False)
        session = self._open_session(prepared, journal, api)
        self._journal = journal
        self._ready_at = time.monotonic()
        self._tell(Ready(self._ready_at))
        self._begin(session)
        tidy_up(
            self._state, journal, prepared, self._told
        )  # before the end, in which a hanging API takes all time
        while self._orders.is_awaited:
            self._take_orders(meanwhile.LOOK_AGAIN)
            if self._orders.is_awaited:
                meanwhile.send_due(session, self._notices)
        outcome = self._orders.outcome
        if self._orders.is_stopped or outcome is None or outcome.ping is None:
            return Done(delivered=False)
        self._is_ending = True
        return self._end(session, outcome, outcome.ping)

    # Getting ready

    def _open_api(self, prepared: Prepared) -> "Api | None":
        if prepared.key is None or prepared.obstacle:
            return None
        from crontify_cli.delivery.api import open_api
        from crontify_cli.delivery.policy import UNSENT_PATIENCE

        self._unsent_patience = min(UNSENT_PATIENCE, prepared.settings.report_timeout)
        settings, patience = prepared.settings, self._patience
        self.api = open_api(settings, prepared.key, patience=patience, observe=self._tell)
        return self.api

    def _patience(self) -> float:
        """Return for how many seconds to wait for a connection: without limit until the job ends.

        A server that cannot be reached has only a part of `report_timeout` then.
        """
        if self._orders.outcome is None:
            self._take_orders(0)
        outcome = self._orders.outcome
        if self._orders.is_stopped:
            return 0.0
        if outcome is None or (self.api and self.api.answered_at > outcome.ended):
            return math.inf
        if self.api and self.api.connected_at > self._connecting_since:
            self._connecting_since = 0.0  # it could be reached after all
        # From the first attempt: a busy machine must not use the time up before it.
        self._connecting_since = self._connecting_since or time.monotonic()
        return self._unsent_until() - time.monotonic()

    def _unsent_until(self) -> float:
        """Return until when to wait for a server that cannot be reached."""
        return (self._connecting_since or time.monotonic()) + self._unsent_patience

    def _open_session(self, prepared: Prepared, journal: "Journal | None", api: "Api") -> Session:
        return open_session(self._state, journal, prepared, api, self._run, self._owner)

    def _open_journal(self, prepared: Prepared) -> "Journal | None":
        if self._state is None:
            return None
        return open_journal(self._state, self._run, prepared, self._notices)

    # The start

    def _begin(self, session: Session) -> None:
        """Send what is queued for this monitor, then the start, as long as the job runs."""
        from crontify_cli.delivery.journal import JournalError
        from crontify_cli.delivery.sending import UNLIMITED, Delivery

        monitor = session.prepared.monitor
        # One that is in flight when the job ends is waited for.
        longest = session.prepared.settings.report_timeout
        delivery = Delivery(session.sender, UNLIMITED, self._wait, longest)
        self._await_outcomes(session)
        when = self._start or monitor.start
        is_due = when == "always" or session.pacing.is_start_due()
        # The report of an open run has to go before the next start, but only then.
        is_near = is_due or not session.pacing.is_open()
        if is_near and not self._clear_backlog(session, delivery.before_start()):
            return
        self._take_orders(0)
        late = self._orders.outcome is not None and time.monotonic() - self._began > LATE_START
        if when == "never" or late or self._orders.is_stopped:
            return
        if when != "always":
            if not session.pacing.await_start(self._wait):
                return
            if not is_due and not self._clear_backlog(session, delivery.before_start()):
                return
            delivery = delivery._replace(wait=session.pacing.start_waits(self._wait))
        if session.journal:
            session.journal.rest()
        sent = delivery.send(Ping(monitor.id, "start"))
        self._is_open = sent.verdict == "delivered" or sent.answer.fate == "unknown"
        self._tell_of(session, "start", sent)
        if session.journal:
            try:
                run_id = sent.answer.run_id
                session.journal.note_start(self._run.id, sent.start_state, run_id)
            except JournalError as error:
                self._told.journal(error)

    def _await_outcomes(self, session: Session) -> None:
        """Wait a moment for the reports of runs of this monitor that have just ended here.

        Sent after our start, such a report would close our run on the server.
        """
        until = self._began + LATE_START
        while session.outbox and session.outbox.awaits_report(session.prepared.monitor.id):
            if self._orders.is_stopped or time.monotonic() > until:
                return
            self._take_orders(0.05)

    def _clear_backlog(
        self,
        session: Session,
        delivery: "Delivery",
        own_report: int | None = None,
        kind: PingKind = "start",
    ) -> bool:
        """Send what is queued for this monitor; False if that failed and nothing may follow.

        own_report, kind: of the ping that follows.
        """
        if session.outbox is None:
            return True
        from crontify_cli.delivery.journal import JournalError

        name = self._run.monitor
        try:
            for run in session.outbox.recover(name):
                self._notices.trace(f"run {run} of {name} had not been reported: report queued")
            if count := session.outbox.readdress(session.api, name):
                self._notices.trace(f"{count} reports of {name} are due again: changed settings")
            monitor_id = session.prepared.monitor.id
            gives_way = kind != "fail" and session.pacing.is_limited()
            backlog = session.outbox.deliver_before(
                monitor_id, delivery, own_report, gives_way=gives_way
            )
        except JournalError as error:
            self._told.journal(error)
            return True
        if backlog.failure:
            self._told.sent("queued report", backlog.failure)
        # Without the time for another attempt the last one still counts.
        if not (backlog.failure and not backlog.failure.was_begun):
            self._is_held_back = False
        self._is_held_back = self._is_held_back or backlog.holds_back
        return not self._is_held_back

    # The end

    def _end(self, session: Session, outcome: Outcome, ping: Ping) -> Done:
        """Send the final report, then what is left of others' within the same time."""
        from crontify_cli.delivery.sending import Delivery

        if session.journal is None and outcome.report_id is not None:  # it can be used by now
            journal = self._open_journal(session.prepared)
            session = self._open_session(session.prepared, journal, session.api)
        deadlines = self._deadlines(outcome)
        delivery, pacing = Delivery(session.sender, deadlines, self._wait), session.pacing
        # An older report would close our run if the server has it as open.
        if not self._is_open and not (
            ping.kind == "fail" and pacing.may_overtake(outcome.report_id)
        ):
            settings = session.prepared.settings
            patient = pacing.paced("fail", delivery, is_held=False)
            bounded = patient.leaving(min(settings.http_timeout, settings.report_timeout / 2))
            if not self._clear_backlog(session, bounded, outcome.report_id, ping.kind):
                return Done(delivered=False)
        monitor_id, outbox = session.prepared.monitor.id, session.outbox
        if left_out := outbox and outbox.leave_out(monitor_id, outcome.report_id, ping):
            return Done(delivered=left_out == "superseded")
        delivery = pacing.paced(ping.kind, delivery, is_held=True)
        if self._orders.is_stopped:
            return Done(delivered=False)
        sent = delivery.send(ping)
        settled = True
        if outcome.report_id is not None:
            try:
                settled = note_sent(session.journal, outcome.report_id, sent, self._told)
            except Exception:  # an internal error; but it must not be sent again
                settled = note_sent(session.journal, outcome.report_id, sent, self._told)
        self._tell_of(session, ping.kind, sent)
        if session.outbox and sent.verdict == "delivered":
            # An attempt that our exit would break off could arrive and be made again.
            least = session.prepared.settings.http_timeout
            brief = deadlines._replace(rate_limit_until=0.0)
            self._help_others(session.outbox, delivery._replace(deadlines=brief, least=least))
        return Done(sent.verdict == "delivered", settled)

    def _tell_of(self, session: Session, what: str, sent: "SendResult") -> None:
        from crontify_cli.delivery.journal import JournalError

        doubt = ""
        if session.outbox:
            with suppress(JournalError):
                doubt = session.outbox.doubt_of_address(session.prepared.monitor.id, sent)
        self._told.sent(what, sent, doubt)
        nearest = session.prepared.settings.nearest_monitor
        if sent.answer.status == 404 and (name := nearest(self._run.monitor)):
            self._notices.say(f"the config has a monitor {name}: did you mean that?")

    def _deadlines(self, outcome: Outcome) -> "Deadlines":
        """Return until when we may deliver: as long as the main thread waits for it."""
        from crontify_cli.delivery.sending import Deadlines

        more = lost_to_loading(outcome.ended, self._ready_at)
        until = outcome.until + more
        unsent = min(until, self._unsent_until())
        return Deadlines(until, outcome.rate_limit_until + more, unsent, is_exit=True)

    def _help_others(self, outbox: "Outbox", delivery: "Delivery") -> None:
        """Deliver what other runs left behind, now that the server is known to answer."""
        from crontify_cli.delivery.journal import JournalError

        try:
            outbox.recover()
            outbox.deliver_all(delivery)
        except JournalError as error:
            self._told.journal(error)

    # Orders from the main thread

    def _wait(self, seconds: float, *, rate_limited: bool) -> bool:
        """Wait between two attempts; False if there is no wish for another one."""
        if not self._is_ending:  # nothing but a first attempt outlasts the job
            if self._orders.outcome is None:
                self._take_orders(seconds)
            return self._orders.is_awaited
        self._tell(Waiting(time.monotonic() + seconds, rate_limited))
        self._take_orders(seconds)
        return not self._orders.is_stopped

    def _take_orders(self, timeout: float) -> None:
        """Wait for an order from the main thread, at most `timeout` seconds.

        The journal is closed meanwhile: a job that empties its files must not hurt us.
        """
        journal = self._journal
        if journal is None or timeout < LONG_WAIT or not self._orders.is_awaited:
            self._orders.take(timeout)
            return
        from crontify_cli.delivery.journal import JournalError

        journal.rest()
        self._orders.take(timeout)
        try:
            journal.wake()
        except JournalError as error:
            self._told.journal(error)
