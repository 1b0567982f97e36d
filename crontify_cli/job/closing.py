"""What becomes of a run when its job has ended: the outcome goes to disk, then to the server.

Within limits, and interruptible: what is not delivered by then stays on disk, to be
sent by the next run or by `crontify flush`.
"""

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from crontify_cli.delivery.delays import plausible
from crontify_cli.delivery.handover import Inbox, Outcome, Prepared, lost_to_loading
from crontify_cli.delivery.journal import Journal, JournalError, completed
from crontify_cli.delivery.reporter import Reporter
from crontify_cli.delivery.stage import describe, why_undelivered
from crontify_cli.errors import in_words
from crontify_cli.job.launched import LaunchedRun, Notices
from crontify_cli.model import Ending, Ping, new_run
from crontify_cli.model import Outcome as RunOutcome
from crontify_cli.progress import LEAVES_QUEUED, ProgressLine
from crontify_cli.report.compose import Composed, Output, compose
from crontify_cli.report.locallog import write_log
from crontify_cli.report.meta import merge, read_meta_file, usage_meta
from crontify_cli.report.verdict import Verdict
from crontify_cli.values import format_duration

if TYPE_CHECKING:
    from crontify_cli.job.sinks import MetaSink

SCAN_SECONDS = 2.0
LEAST_WAIT = 1.0
"""Seconds that a report has in any case, however late it was ready."""
LEAVE_TIME = 1.0
"""Seconds for an attempt in flight to end before we exit."""
OLD_QUEUE = 3600.0
"""Seconds after which a report that is still queued is worth a line in the cron mail."""


class Closing:
    """The main thread's side of a run's report.

    owner: this process's name on leases. state: the state directory, None for none.
    in_line: whether the job has left the terminal's cursor in the middle of a line.
    """

    def __init__(
        self,
        run: LaunchedRun,
        reporter: Reporter,
        owner: str,
        inbox: Inbox,
        state: str | None,
        notices: Notices,
        *,
        in_line: bool,
    ) -> None:
        self._run = run
        self._options = run.options
        self._process = run.process
        self._recorder = run.recorder
        self._reporter = reporter
        self._owner = owner
        self._inbox = inbox
        self._state = state
        self._notices = notices
        self._in_line = in_line
        self._opened: Journal | None = None
        self._journal_failed = False

    def report(
        self,
        verdict: Verdict,
        tolerate: int,
        prepared: Prepared | None,
        errors: bytes,
        meta_sink: "MetaSink | None",
    ) -> None:
        """Put the outcome on disk, then wait, within limits, until it is sent.

        tolerate: how many failures in a row are reported as success.
        prepared: None if it did not come in time. errors: the end of the job's stderr.
        meta_sink: what looked for numbers in its output.
        """
        if prepared is None or prepared.obstacle:
            self._leave_to_recovery(prepared)
            return
        stops = self._process.stop_requests
        self._recorder.note_judged(verdict.succeeded, verdict.exit_code)
        tolerated = 0 if verdict.succeeded else self._count_tolerated(tolerate)
        composed = self._compose(verdict, tolerated, prepared, errors, meta_sink)
        outcome: RunOutcome = "success" if verdict.succeeded else "fail"
        outcome = "tolerated" if tolerated else outcome
        report_id = self._commit(verdict, prepared, composed, outcome)
        ping = None if prepared.key is None else composed.ping
        is_stored = self._opened is not None
        if is_stored and self._notices.steps:
            self._notices.steps.note("outcome in the journal")
        if ping and not is_stored:
            self._recorder.keep()  # on disk before the first attempt
        deadline = self._outcome(ping, report_id, prepared)
        self._reporter.finish(deadline)
        self._keep_log(composed.log)
        if is_stored:
            self._recorder.note_stored()
            self._recorder.discard()
        self._await_report(deadline, stops)
        done = self._inbox.done
        if ping is None:
            if not is_stored:
                self._recorder.note_reported()
            self._recorder.discard()
        elif not (done and done.delivered):
            self._tell_of_the_queue(verdict)
        elif not (is_stored and done.settled):
            # The next process that can use the journal writes it down there.
            if self._recorder.note_reported():
                self._recorder.keep()
            else:  # nothing is left from which it could be reported again
                self._recorder.discard()

    def _leave_to_recovery(self, prepared: Prepared | None) -> None:
        """Leave the run to its record: a report is made from complete information only."""
        why = "" if prepared else ": the settings and the key could not be read in time"
        if self._recorder.keep():
            later = "'crontify flush' or the next run of this monitor sends it"
        else:
            later = "it is lost, since there is no record of the run on disk"
        self._notices.say(f"the report is not sent{why}; {later}")
        self._list_the_run(prepared)

    def _list_the_run(self, prepared: Prepared | None) -> None:
        """Let `crontify runs` show the run, whose end is in its record."""
        if self._state is None:
            return
        # Without the settings nobody knows which words of the command are secrets.
        command = tuple(map(prepared.mask, self._run.command)) if prepared else ()
        run = new_run(
            self._recorder.run,
            self._options.monitor,
            command,
            job=self._recorder.job,
            started_at=time.time() - self._duration(),
        )
        try:
            Journal.open(self._state, wait=LEAST_WAIT).begin(run)
        except JournalError as error:
            self._notices.trace(str(error))

    # Composing the report

    def _compose(
        self,
        verdict: Verdict,
        tolerated: int,
        prepared: Prepared,
        errors: bytes,
        meta_sink: "MetaSink | None",
    ) -> Composed:
        options, monitor = self._options, prepared.monitor
        content = self._recorder.content()
        output = Output(content.head, content.dropped, content.tail)
        output = output._replace(errors=errors or output.end())
        meta = self._meta(verdict, meta_sink)
        if tolerated:
            meta["tolerated_failures"] = tolerated
        no_log = monitor.no_log if options.no_log is None else options.no_log
        return compose(
            monitor.id,
            verdict.succeeded or bool(tolerated),
            verdict.reason,
            meta,
            output,
            prepared.mask,
            with_log=not no_log,
        )

    def _meta(self, verdict: Verdict, meta_sink: "MetaSink | None") -> dict[str, int | float]:
        process = self._process
        automatic = usage_meta(
            verdict.exit_code, self._duration(), process.usage, self._recorder.total
        )
        warnings: list[str] = []
        found: Mapping[str, int | float] = {}
        written: Mapping[str, int | float] = {}
        if meta_sink:
            found, warnings = meta_sink.finish(SCAN_SECONDS)
        if self._recorder.meta_path:
            written, more = read_meta_file(self._recorder.meta_path)
            warnings = [*warnings, *more]
        for warning in warnings:
            self._notices.say(warning)
        return merge(automatic, dict(self._options.meta), found, written)

    def _duration(self) -> float:
        return self._process.ended - self._process.started if self._process.pid else 0.0

    def _count_tolerated(self, limit: int) -> int:
        """Return which failure in a row this is, if it is within the limit; else 0."""
        journal = self._journal() if limit else None
        if journal is None:
            return 0
        try:
            count = journal.failures_in_a_row(self._options.monitor) + 1
        except JournalError as error:
            self._notices.say(f"failures cannot be counted, so none is tolerated: {error}")
            return 0
        return count if count <= limit else 0

    # Storing it

    def _journal(self) -> Journal | None:
        """Return a connection of this thread's own; the reporter has another."""
        if self._opened is None and self._state is not None and not self._journal_failed:
            try:
                self._opened = Journal.open(self._state)
                if self._opened.warning:
                    self._notices.say(self._opened.warning)
            except JournalError as error:
                self._fail_journal(error)
        return self._opened

    def _fail_journal(self, error: Exception) -> None:
        self._journal_failed = True
        self._opened = None
        reason = in_words(error)
        self._notices.say(f"the run is not in the journal, its report is sent directly: {reason}")

    def _commit(
        self, verdict: Verdict, prepared: Prepared, composed: Composed, outcome: RunOutcome
    ) -> int | None:
        """Write the outcome down durably; return the report's number in the outbox."""
        journal = self._journal()
        if journal is None:
            return None
        process, ping, mask = self._process, composed.ping, prepared.mask
        ending = Ending(
            outcome,
            mask(verdict.reason),
            verdict.exit_code,
            time.time(),
            self._duration(),
            ping.meta,
            ping.log_output,
        )
        started_at = time.time() - (time.monotonic() - process.started)
        run = new_run(
            self._recorder.run,
            self._options.monitor,
            self._run.command,
            job=self._recorder.job,
            started_at=started_at,
        )
        report = None if prepared.key is None else ping
        try:
            report_id = journal.finish(
                completed(run, prepared.settings, mask), ending, report, self._owner
            )
        except JournalError as error:
            self._fail_journal(error)
            return None
        if journal.warning:
            self._notices.say(journal.warning)
        return report_id

    def _keep_log(self, log: str) -> None:
        if self._state is None or not log:
            return
        try:
            write_log(self._state, self._recorder.run, log)
        except OSError as error:
            self._notices.trace(f"no local copy of the log: {in_words(error)}")

    # Waiting until it is sent

    def _outcome(self, ping: Ping | None, report_id: int | None, prepared: Prepared) -> Outcome:
        now, budget = time.monotonic(), prepared.settings.report_timeout
        ended = self._process.ended or now
        # What composing and committing took comes out of the budget, but for the last second.
        until = max(ended + budget, now + min(budget, LEAST_WAIT))
        patient = max(until, now + prepared.settings.rate_limit_wait)
        return Outcome(ping, report_id, ended, now, until, patient)

    def _await_report(self, outcome: Outcome, stops: int) -> None:
        """Wait for the reporter: not longer than its budgets, and until a person has enough."""
        process, inbox = self._process, self._inbox
        process.stop_watching()
        line = ProgressLine(in_line=self._in_line)
        while not inbox.done and self._reporter.is_alive():
            is_limited = bool(inbox.waiting and inbox.waiting.rate_limited)
            limit = outcome.rate_limit_until if is_limited else outcome.until
            ready = inbox.ready.at if inbox.ready else time.monotonic()
            left = limit + lost_to_loading(outcome.ended, ready) - time.monotonic()
            if left <= 0:
                break
            inbox.read(min(0.1, left))
            if self._notices.steps:
                self._notices.steps.show()
            else:
                line.show(f"{self._options.monitor}: {self._stage()}", LEAVES_QUEUED)
            if process.stop_requests > stops:
                break
        inbox.read()  # a thread that has ended may have told something before
        self._await_attempt()
        line.clear()
        if line.was_shown and inbox.done and inbox.done.delivered:
            self._notices.say(f"{self._options.monitor}: reported")

    def _await_attempt(self) -> None:
        """Let an attempt in flight come to its end, so that its answer is written down."""
        self._reporter.stop()
        until = time.monotonic() + LEAVE_TIME
        while not self._inbox.done and (left := until - time.monotonic()) > 0:
            self._inbox.read(left)

    def _stage(self) -> str:
        waiting, now = self._inbox.waiting, time.monotonic()
        pause = waiting.until - now if waiting and waiting.until > now else None
        is_limited = bool(waiting and waiting.rate_limited)
        return describe(self._inbox.trying, pause, rate_limited=is_limited)

    def _tell_of_the_queue(self, verdict: Verdict) -> None:
        """Say that the report is still to be sent: to a person always, else only if that lasts."""
        if self._opened is None:
            kept = self._recorder.keep()
            if not kept and verdict.succeeded:  # an empty record counts as a failure
                self._recorder.discard()
            later = "'crontify flush' reports the run from its record"
            lost = "there is no journal to queue it in"
            self._notices.say(f"the report could not be delivered; {later if kept else lost}")
            return
        try:
            count, oldest = self._opened.queue()
            run = self._opened.run(self._recorder.run)
        except JournalError as error:
            self._notices.trace(str(error))
            return
        if not count or oldest is None:
            return
        age = plausible(time.time() - oldest) or 0.0
        line = f"{count} report{'s' if count > 1 else ''} queued; 'crontify flush' delivers them"
        if os.isatty(2) and run and run.report == "queued":
            why = why_undelivered(self._inbox.trying)
            queued = "queued" if self._notices.has_said(why) else f"queued: {why}"
            self._notices.say(f"{queued}; the next run or 'crontify flush' sends it")
        elif age > OLD_QUEUE:
            self._notices.say(f"{line}; the oldest has waited for {format_duration(age)}")
        else:
            self._notices.trace(line)
