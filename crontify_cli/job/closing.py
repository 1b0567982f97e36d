"""What becomes of a run once its job is over: the outcome goes to disk, then to the server.

Within limits, and interruptible: what is not delivered by then stays queued.
"""

import os
import time
from collections.abc import Callable, Mapping

from crontify_cli.delivery.journal import Journal, JournalError
from crontify_cli.delivery.reporter import Reporter
from crontify_cli.job.searched import Searched
from crontify_cli.job.started import Masks, Started, Voice
from crontify_cli.job.verdict import Verdict
from crontify_cli.model import Ending, Outcome
from crontify_cli.report.compose import Composed, Output, compose
from crontify_cli.report.locallog import write_log
from crontify_cli.report.meta import merge, read_meta_file, usage_meta
from crontify_cli.values import format_duration

ShowWait = Callable[[str, Callable[[], float | None]], Callable[[], None]]
"""Shows a person that we wait: takes the monitor and what gives the seconds left (None for
not now), and returns what to call to update the line; called once more at the end."""

SCAN_SECONDS = 2.0
LEAST_WAIT = 1.0
"""Seconds that a report has in any case, however late it was ready."""
LOADING, LONGEST_LOADING = 1.0, 60.0
"""Seconds that our own loading may take after the job's end: what goes beyond the first is a
starved machine's, and not taken from what the server has; but only so much of it."""
OLD_QUEUE = 3600.0
"""Seconds after which a report that is still queued is worth a line in the cron mail."""


class Closing:
    """The main thread's side of a run's report.

    state: the state directory, None where there is none. show_wait: None where nobody
    is to see that we wait.
    """

    def __init__(
        self,
        started: Started,
        reporter: Reporter,
        state: str | None,
        voice: Voice,
        masks: Masks,
        show_wait: ShowWait | None,
    ) -> None:
        self._command = started.command
        self._options = started.options
        self._process = started.process
        self._recorder = started.recorder
        self._reporter = reporter
        self._state = state
        self._say, self._trace = voice.say, voice.trace
        self._masks = masks
        self._show_wait = show_wait
        self._opened: Journal | None = None
        self._journal_failed = False

    def report(self, verdict: Verdict, errors: bytes, searched: Searched | None) -> None:
        """Put the outcome on disk, then wait, within limits, until it is sent.

        errors: the end of the job's stderr. searched: what looked for numbers in its output.
        """
        reporter, process = self._reporter, self._process
        stops = process.stop_requests
        deadline = time.monotonic() + self._report_timeout()
        while not reporter.keyed.wait(0.1):
            if time.monotonic() > deadline or process.stop_requests > stops:
                break  # its command hangs: the report is queued
        composed, outcome = self._compose(verdict, errors, searched)
        report_id, journal = self._commit(verdict, composed, outcome)
        on_disk = journal is not None
        reporter.finish(composed.ping if reporter.reports else None, report_id)
        self._keep_log(composed.log)
        if on_disk:
            self._recorder.discard()
        self._await_report(stops)
        if reporter.reports and not reporter.delivered:
            self._tell_of_the_queue(journal)
        elif not on_disk:
            self._recorder.discard()

    def _report_timeout(self) -> float:
        settings = self._reporter.settings
        return settings.report_timeout if settings else 20.0

    def _compose(
        self, verdict: Verdict, errors: bytes, searched: Searched | None
    ) -> tuple[Composed, Outcome]:
        reporter, options = self._reporter, self._options
        monitor = reporter.monitor
        content = self._recorder.content()
        errors = errors or content.tail or content.head
        output = Output(content.head, content.dropped, content.tail, errors)
        meta = self._meta(verdict, searched)
        outcome: Outcome = "success" if verdict.succeeded else "fail"
        if not verdict.succeeded and (tolerated := self._tolerated()):
            outcome, meta["tolerated_failures"] = "tolerated", tolerated
        no_log = options.no_log if options.no_log is not None else monitor and monitor.no_log
        composed = compose(
            monitor.id if monitor else options.monitor,
            outcome != "fail",
            verdict.reason,
            meta,
            output,
            self._masks(monitor, reporter.secrets),
            with_log=not no_log,
        )
        return composed, outcome

    def _meta(self, verdict: Verdict, searched: Searched | None) -> dict[str, int | float]:
        process = self._process
        duration = process.ended - process.started if process.pid else 0.0
        automatic = usage_meta(verdict.exit_code, duration, process.usage, self._recorder.total)
        warnings: list[str] = []
        found: Mapping[str, int | float] = {}
        written: Mapping[str, int | float] = {}
        if searched:
            found, warnings = searched.finish(SCAN_SECONDS)
        if self._recorder.meta_path:
            written, more = read_meta_file(self._recorder.meta_path)
            warnings = [*warnings, *more]
        for warning in warnings:
            self._say(warning)
        return merge(automatic, dict(self._options.meta), found, written)

    def _tolerated(self) -> int:
        """Return which failure in a row this is, if it is one to be tolerated; else 0."""
        options, monitor = self._options, self._reporter.monitor
        limit = options.tolerate
        if limit is None:
            limit = (monitor.tolerate if monitor else None) or 0
        if not limit:
            return 0
        journal = self._journal()
        if journal is None:
            return 0
        try:
            count = journal.failures_in_a_row(options.monitor) + 1
        except JournalError as error:
            self._say(f"failures cannot be counted, so none is tolerated: {error}")
            return 0
        return count if count <= limit else 0

    def _journal(self) -> Journal | None:
        """Return a connection of this thread's own; the reporter has another."""
        if self._opened is None and self._state is not None and not self._journal_failed:
            try:
                self._opened = Journal.open(self._state)
                if self._opened.warning:
                    self._say(self._opened.warning)
            except JournalError as error:
                self._fail_journal(error)
        return self._opened

    def _fail_journal(self, error: Exception) -> None:
        self._journal_failed = True
        self._opened = None
        self._say(f"the run is not in the journal, its report goes out directly: {error}")

    def _commit(
        self, verdict: Verdict, composed: Composed, outcome: Outcome
    ) -> tuple[int | None, Journal | None]:
        """Write the outcome down durably; return the report's number and the open journal."""
        journal = self._journal()
        if journal is None:
            return None, None
        reporter, process, ping = self._reporter, self._process, composed.ping
        mask = self._masks(reporter.monitor, reporter.secrets)
        ending = Ending(
            outcome,
            mask(verdict.reason),
            verdict.exit_code,
            time.time(),
            process.ended - process.started if process.pid else 0.0,
            ping.meta,
            ping.log_output,
        )
        run = reporter.row(tuple(map(mask, self._command)))
        try:
            report = ping if reporter.reports else None
            report_id = journal.finish(run, ending, report, reporter.owner)
            if journal.warning:
                self._say(journal.warning)
            return report_id, journal
        except JournalError as error:
            self._fail_journal(error)
            return None, None

    def _keep_log(self, log: str) -> None:
        if self._state is None or not log:
            return
        try:
            write_log(self._state, self._recorder.run, log)
        except OSError as error:
            self._trace(f"no local copy of the log: {error}")

    def _await_report(self, stops: int) -> None:
        """Wait for the reporter: not longer than its budgets, and until a person has enough."""
        reporter, process = self._reporter, self._process
        settings = reporter.settings
        now, budget = time.monotonic(), self._report_timeout()
        # What composing and committing took comes out of the budget, but for the last second.
        limit = max((process.ended or now) + budget, now + min(budget, LEAST_WAIT))
        patient = max(limit, now + (settings.rate_limit_wait if settings else 0))
        process.watch_ended()
        update = None
        if self._show_wait and os.isatty(2):
            update = self._show_wait(self._options.monitor, self._seconds_left)
        while (left := self._left(patient if reporter.rate_limited else limit)) > 0:
            if reporter.done.wait(min(0.1, left)):
                break
            if update:
                update()
            if process.stop_requests > stops:
                reporter.stop()
                break
        if update:
            self._show_wait = None
            update()

    def _left(self, limit: float) -> float:
        now = time.monotonic()
        ready = self._reporter.ready_at or now
        loading = ready - (self._process.ended or ready) - LOADING
        return limit + min(max(0.0, loading), LONGEST_LOADING) - now

    def _seconds_left(self) -> float | None:
        until = self._reporter.rate_limited_until
        if until is None or self._show_wait is None or self._reporter.done.is_set():
            return None
        return max(0.0, until - time.monotonic())

    def _tell_of_the_queue(self, journal: Journal | None) -> None:
        """Say that the report is still to be sent: always if asked, else only if that lasts."""
        if journal is None:
            later = "'crontify flush' reports the run from its record"
            lost = "there is no journal to queue it in"
            self._say(
                f"the report could not be delivered; {later if self._recorder.path else lost}"
            )
            return
        try:
            count, oldest = journal.queue()
        except JournalError as error:
            self._trace(str(error))
            return
        if not count or oldest is None:
            return
        age = time.time() - oldest
        line = f"{count} report{'s' if count > 1 else ''} queued; 'crontify flush' delivers them"
        if age > OLD_QUEUE:
            self._say(f"{line}; the oldest has waited for {format_duration(age)}")
        else:
            self._trace(line)
