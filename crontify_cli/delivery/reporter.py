"""Tells the server of a run while it goes on: one thread, started after the spawn.

It loads what is slow to load (settings, journal, HTTP client) while the job runs,
sends the backlog and the start, waits for the run's end, and sends the final report.
The main thread never waits for it without a limit: if it hangs, in DNS say, the
process leaves it behind.

What is heavy is imported where it is first needed, so that the settings, for which
the main thread waits with the job's output, come first.
"""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli import processes
from crontify_cli.errors import CrontifyError
from crontify_cli.model import Ping, Run

if TYPE_CHECKING:
    from crontify_cli.config import Loaded, MonitorSettings, Settings
    from crontify_cli.delivery.api import Api
    from crontify_cli.delivery.backlog import Budget, Sent
    from crontify_cli.delivery.journal import Journal, JournalError, StartState
    from crontify_cli.delivery.outbox import Outbox

LATE_START = 5.0
"""Seconds by which a start may be late when the job is over already: a shorter job than
our own loading still has its start, but none is sent whose run would get a false duration."""
NO_KEY = (
    "no API key, so nothing is reported:"
    " set api_key_file in the config, or CRONTIFY_API_KEY_FILE ('crontify init' asks for it)"
)


class Begun(NamedTuple):
    """What is known of a run right after the spawn; the fields as in `model.Run`."""

    id: str
    monitor: str
    command: tuple[str, ...]
    wrapper: tuple[int, int]
    job: tuple[int, int]
    started_at: float


class Ways(NamedTuple):
    """How the thread reaches the rest of the program.

    load: reads the settings. warn: takes a line for a person. trace: takes a line that
    only `--verbose` shows. mask: for a monitor's settings and our secrets, what takes
    secrets out of a text. notify: wakes the main thread up.
    """

    load: "Callable[[], Loaded]"
    warn: Callable[[str], None]
    trace: Callable[[str], None]
    mask: "Callable[[MonitorSettings, tuple[str, ...]], Callable[[str], str]]"
    notify: Callable[[], None]


class Reporter(threading.Thread):
    """The thread of one run. What it learns stands in its attributes once the event is set.

    configured: `settings` and `monitor` are loaded. keyed: `secrets` holds our key and token,
    as far as there are any; `reports` is False if no key is configured, so that the run is
    recorded here only. ready_at: time.monotonic() when the first request could be made.
    done: nothing more will be sent; `delivered` tells whether the final report was.
    rate_limited: the last answer asked us to wait; rate_limited_until: time.monotonic()
    until which we do so just now, or None.
    """

    def __init__(
        self, begun: Begun, ways: Ways, *, state: str | None, no_start: bool | None
    ) -> None:
        super().__init__(name="reporter", daemon=True)
        self._begun = begun
        self._ways = ways
        self._state = state
        self._no_start = no_start
        self._final: Ping | None = None
        self._report_id: int | None = None
        self._began = time.monotonic()
        self._ended_at = 0.0
        self.ready_at: float | None = None
        self._ending = False
        self._is_open = False
        self._ended = threading.Event()
        self._stop = threading.Event()
        self.configured = threading.Event()
        self.keyed = threading.Event()
        self.done = threading.Event()
        self.settings: Settings | None = None
        self.monitor: MonitorSettings | None = None
        self.secrets: tuple[str, ...] = ()
        self.reports = True
        self.delivered = False
        self.rate_limited = False
        self.rate_limited_until: float | None = None
        self.owner = processes.identity()

    # What the main thread calls

    def row(self, command: tuple[str, ...]) -> Run:
        """Return the run for the journal, with its command line masked already."""
        begun = self._begun
        return Run(
            begun.id,
            begun.monitor,
            self.monitor.id if self.monitor else begun.monitor,
            self.settings.base_url if self.settings else "",
            command,
            begun.wrapper,
            begun.job,
            processes.boot_id(),
            begun.started_at,
        )

    def finish(self, ping: Ping | None, report_id: int | None) -> None:
        """Let the final report go out; report_id: its row in the outbox, if it has one."""
        self._final, self._report_id = ping, report_id
        self._ended_at = time.monotonic()
        self._ended.set()

    def stop(self) -> None:
        """Begin no further attempt; what is not delivered stays queued."""
        self._stop.set()
        self._ended.set()

    # The thread

    def run(self) -> None:
        """Do it all; whatever goes wrong here is said, and stays here."""
        try:
            self._report()
        except CrontifyError as error:
            self._ways.warn(error.message)
        except Exception as error:
            self._ways.warn(f"internal error, reporting failed: {_words(error)}")
        finally:
            self.configured.set()
            self.keyed.set()
            self.done.set()
            self._ways.notify()

    def _report(self) -> None:
        loaded = self._ways.load()
        self.settings = loaded.settings
        self.monitor = loaded.settings.monitor(self._begun.monitor)
        self.configured.set()
        self._ways.notify()
        for line in (*loaded.problems, *loaded.warnings):
            self._ways.warn(line)
        try:
            api = self._open_api(loaded.settings)
        finally:
            journal = self._open_journal()
        if api is None:
            self._tidy(journal)
            return
        outbox = self._open_outbox(loaded.settings, journal, api)
        self.ready_at = time.monotonic()
        self._begin(api, journal, outbox)
        self._tidy(journal)  # before the end, in which an API that hangs may use up all time
        self._ended.wait()
        self._ending = True
        if self._final and not self._stop.is_set():
            self._end(self._final, api, journal, outbox)

    def _open_api(self, settings: "Settings") -> "Api | None":
        from crontify_cli import config

        try:
            key = config.api_key(settings)
            self.reports = key is not None
            self.secrets = tuple(filter(None, (key, _cheap_token(settings))))
        finally:
            self.keyed.set()
        if key is None:
            self._ways.warn(NO_KEY)
            return None
        config.check_base_url(settings)
        from crontify_cli.delivery.api import open_api

        return open_api(settings, key)

    def _open_journal(self) -> "Journal | None":
        if self._state is None:
            return None
        from crontify_cli.delivery.journal import Journal, JournalError

        mask = self._mask()
        run = self.row(tuple(map(mask, self._begun.command)))
        for _ in range(2):
            try:
                journal = Journal.open(self._state)
                if journal.warning:
                    self._ways.warn(journal.warning)
                journal.begin(run)
                return journal
            except JournalError as error:
                if not error.is_set_aside:
                    self._ways.trace(str(error))  # the final report meets it again, and says so
                    return None
                self._ways.warn(f"{error}, begun anew")
        return None

    def _open_outbox(
        self, settings: "Settings", journal: "Journal | None", api: "Api"
    ) -> "Outbox | None":
        if journal is None or self._state is None:
            return None
        from crontify_cli.delivery.outbox import Outbox

        return Outbox(self._state, journal, settings, api, self.owner, self._mask(), self._begun.id)

    def _mask(self) -> Callable[[str], str]:
        assert self.monitor
        return self._ways.mask(self.monitor, self.secrets)

    def _begin(self, api: "Api", journal: "Journal | None", outbox: "Outbox | None") -> None:
        """Send what is queued of this monitor, then the start, as long as the job runs."""
        from crontify_cli.delivery.backlog import UNLIMITED, send
        from crontify_cli.delivery.journal import JournalError

        assert self.monitor
        if not self._clear_backlog(outbox, UNLIMITED):
            return
        no_start = self.monitor.no_start if self._no_start is None else self._no_start
        late = self._ended.is_set() and time.monotonic() - self._began > LATE_START
        if no_start or late or self._stop.is_set():
            return
        sent = send(api, Ping(self.monitor.id, "start"), UNLIMITED, self._wait)
        self._is_open = sent.verdict == "delivered" or sent.answer.fate == "unknown"
        self._tell("start", sent)
        if journal:
            try:
                journal.note_start(self._begun.id, _start_state(sent), sent.answer.run_id)
            except JournalError as error:
                self._trace(error)

    def _clear_backlog(
        self, outbox: "Outbox | None", budget: "Budget", own_report: int | None = None
    ) -> bool:
        """Send what is queued of this monitor; False if that failed, so that nothing may follow."""
        if outbox is None:
            return True
        from crontify_cli.delivery.journal import JournalError

        assert self.monitor
        try:
            for run in outbox.recover(self._begun.monitor):
                self._ways.trace(f"run {run} of {self._begun.monitor} had died: report queued")
            backlog = outbox.deliver_before(self.monitor.id, budget, self._wait, own_report)
        except JournalError as error:
            self._trace(error)
            return True
        if backlog.failure:
            self._tell("queued report", backlog.failure)
        return not (backlog.left and backlog.failure)

    def _end(
        self, ping: Ping, api: "Api", journal: "Journal | None", outbox: "Outbox | None"
    ) -> None:
        """Send the final report, then what is left of others' within the same time."""
        from crontify_cli.delivery.backlog import Budget, send

        assert self.settings
        # On a starved machine the job may have ended long before we were ready to send at all.
        since = max(self._ended_at, self.ready_at or 0.0)
        budget = Budget.after(since, self.settings.report_timeout, self.settings.rate_limit_wait)
        # The server would close our open run with an older one's report: that comes after ours.
        if not self._is_open and not self._clear_backlog(outbox, budget, self._report_id):
            return
        sent = send(api, ping, budget, self._wait)
        self._tell(ping.kind, sent)
        self.delivered = sent.verdict == "delivered"
        if journal and self._report_id is not None:
            self._settle(journal, self._report_id, sent)
        if outbox and self.delivered:
            self._help_others(outbox, budget)

    def _settle(self, journal: "Journal", report_id: int, sent: "Sent") -> None:
        from crontify_cli.delivery.journal import JournalError, ReportState

        states: dict[str, ReportState] = {"delivered": "delivered", "refused": "refused"}
        try:
            state = states.get(sent.verdict, "queued")
            journal.settle(report_id, state, error=sent.message, run_id=sent.answer.run_id)
        except JournalError as error:
            self._trace(error)
            self._ways.trace("the report may be sent a second time")

    def _help_others(self, outbox: "Outbox", budget: "Budget") -> None:
        """Deliver what other runs left behind, now that the server is known to answer."""
        from crontify_cli.delivery.journal import JournalError

        try:
            outbox.recover()
            outbox.deliver_all(budget, self._wait)
        except JournalError as error:
            self._trace(error)

    def _tidy(self, journal: "Journal | None") -> None:
        if journal is None or self._state is None or self.settings is None:
            return
        from crontify_cli.delivery.journal import JournalError
        from crontify_cli.delivery.retention import tidy

        try:
            if line := tidy(self._state, journal, self.settings):
                self._ways.warn(line)
        except JournalError as error:
            self._trace(error)

    def _trace(self, error: "JournalError") -> None:
        """Say what went wrong with the journal: always where its file was set aside for it."""
        (self._ways.warn if error.is_set_aside else self._ways.trace)(str(error))

    def _tell(self, what: str, sent: "Sent") -> None:
        if sent.verdict == "refused":
            self._ways.warn(sent.message)
        elif sent.verdict == "delivered":
            run = f" (run {sent.answer.run_id})" if sent.answer.run_id else ""
            self._ways.trace(f"{what}: received{run}")
        else:
            self._ways.trace(f"{what}: not delivered: {sent.message}")

    def _wait(self, seconds: float, *, rate_limited: bool) -> bool:
        if not self._ending:
            return not self._ended.wait(seconds)  # nothing but a first attempt outlasts the job
        self.rate_limited = rate_limited
        if rate_limited:
            self.rate_limited_until = time.monotonic() + seconds
        try:
            return not self._stop.wait(seconds)
        finally:
            self.rate_limited_until = None


def _words(error: Exception) -> str:
    try:
        from crontify_cli.crash import keep
        from crontify_cli.report.mask import full_mask
    except Exception:  # no memory, say; the error's own words may hold a secret
        return type(error).__name__
    kept = keep(error, "exec", full_mask)
    return f"{kept.words}; {kept.place}"


def _start_state(sent: "Sent") -> "StartState":
    if sent.verdict == "delivered":
        return "acknowledged"
    if sent.verdict == "refused":
        return "refused"
    return "unknown" if sent.answer.fate == "unknown" else "dropped"


def _cheap_token(settings: "Settings") -> str | None:
    """Return the token, which must not show up in a log either, unless a command would give it."""
    from crontify_cli import config

    if settings.token is None or settings.token.kind == "command":
        return None
    try:
        return config.token(settings)
    except CrontifyError:
        return None
