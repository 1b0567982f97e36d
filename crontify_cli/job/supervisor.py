"""One `exec` from the spawn to the exit code: relays, judges, reports.

Everything slow happens here, while the job runs. Whatever of ours fails is said on
stderr and costs the job nothing.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from crontify_cli.durations import format_duration
from crontify_cli.job.options import ExecOptions
from crontify_cli.job.process import STOP_REQUESTS
from crontify_cli.job.relay import Nowhere, Passthrough, Relay, Sink
from crontify_cli.job.wrapper import Started, command_line, say
from crontify_cli.model import Ending, Outcome
from crontify_cli.processes import start_time
from crontify_cli.report.reporter import Begun, Reporter, Ways
from crontify_cli.report.verdict import Facts, Rules, Verdict, judge
from crontify_cli.state import state_dir

if TYPE_CHECKING:
    from crontify_cli.config import Loaded, MonitorSettings
    from crontify_cli.job.held import Held
    from crontify_cli.report.compose import Composed
    from crontify_cli.report.journal import Journal

ShowWait = Callable[[str, Callable[[], float | None]], Callable[[], None]]
"""Shows a person that we wait: takes the monitor and what gives the seconds left (None for
not now), and returns what to call to update the line; called once more at the end."""

SETTINGS_WAIT = 0.5
"""Seconds for which the job's output waits for the settings, which may say where it goes."""
SCAN_SECONDS = 2.0
OLD_QUEUE = 3600.0
"""Seconds after which a report that is still queued is worth a line in the cron mail."""


def supervise(started: Started, show_wait: ShowWait | None) -> int:
    """See a run to its end; return exec's exit code, which is the job's if it has one."""
    code = Supervisor(started, show_wait).run()
    # Not by way of the interpreter's end: a thread may hang in the network, and an open
    # descriptor of the record must not be closed before the process is.
    os._exit(code)


def record_skip(options: ExecOptions) -> None:
    """Write into the journal that a run was skipped, and nowhere else."""
    from crontify_cli.config import load
    from crontify_cli.model import Run
    from crontify_cli.report.journal import Journal, JournalError

    settings = load(options.config).settings
    monitor = settings.monitor(options.monitor)
    mask = _mask(options, monitor, ())
    me = os.getpid(), start_time(os.getpid())
    now = time.time()
    run = Run(
        os.urandom(6).hex(),
        options.monitor,
        monitor.id,
        settings.base_url,
        tuple(map(mask, command_line(options))),
        me,
        (0, 0),
        "",
        now,
    )
    ending = Ending("skipped", "skipped: another run was going on", 75, now, 0.0)
    try:
        Journal.open(state_dir()).finish(run, ending, None, None)
    except (JournalError, OSError) as error:
        say(f"the skipped run is not recorded: {error}")


class Supervisor:
    """The main thread's side of a run."""

    def __init__(self, started: Started, show_wait: ShowWait | None) -> None:
        self._started = started
        self._options = started.options
        self._process = started.process
        self._recorder = started.recorder
        self._show_wait = show_wait
        self._said: set[str] = set()
        self._held: Held | None = None
        self._searched: Searched | None = None
        self._patience = time.monotonic() + SETTINGS_WAIT
        self._passthrough = Passthrough()
        self._state = _state_or_none()
        self._opened: Journal | None = None
        self._journal_failed = False
        self._masks: dict[tuple[str, ...], Callable[[str], str]] = {}

    def run(self) -> int:
        """Do it all, in order."""
        # The loading thread must let the job's output pass: a fifth of the usual turn.
        sys.setswitchinterval(0.001)
        self._recorder.map()
        if self._process.pid:
            self._recorder.note_job(self._process.pid)
        wake, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self._process.watch_terminal()
        reporter = self._reporter = self._new_reporter()
        reporter.start()
        self._warn_of_the_start()
        relay = Relay(self._recorder, self._started.streams, wake)
        if self._process.pid:
            relay.run(self._process, self._sink)
            relay.leave()
        else:
            self._say(self._started.problem)
        reporter.configured.wait(SETTINGS_WAIT)
        verdict = judge(self._facts(), self._rules())
        self._recorder.note_end(verdict.succeeded, verdict.exit_code)
        if self._held and not verdict.succeeded:
            self._held.release(self._passthrough)
        self._report(verdict, relay.error_tail)
        return verdict.exit_code

    # While the job runs

    def _new_reporter(self) -> Reporter:
        process, recorder, options = self._process, self._recorder, self._options
        begun = Begun(
            recorder.run,
            options.monitor,
            tuple(self._started.command),
            (os.getpid(), start_time(os.getpid())),
            (process.pid, start_time(process.pid) if process.pid else 0),
            time.time() - (time.monotonic() - process.started),
        )
        ways = Ways(
            load=self._load,
            warn=self._say,
            trace=self._trace,
            mask=self._mask,
            notify=self._notify,
        )
        return Reporter(begun, ways, state=self._state, no_start=options.no_start)

    def _load(self) -> "Loaded":
        from crontify_cli.config import load

        options = self._options
        overrides = {"base_url": options.base_url, "api_key_file": options.api_key_file}
        return load(options.config, overrides={k: v for k, v in overrides.items() if v})

    def _notify(self) -> None:
        try:
            os.write(self._wake, b"\0")
        except OSError:
            pass

    def _say(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            say(line)

    def _trace(self, line: str) -> None:
        if self._options.verbose:
            say(line)

    def _warn_of_the_start(self) -> None:
        for warning in self._started.warnings:
            self._say(warning)
        if self._recorder.problem:
            self._say(
                f"no record on disk of this run: {self._recorder.problem}"
                " (its report is lost if this process is killed)"
            )

    def _sink(self) -> Sink | None:
        """Return where the output goes, None as long as the settings have yet to say."""
        reporter, options = self._reporter, self._options
        if not reporter.configured.is_set() and time.monotonic() < self._patience:
            return None
        kill_after = self._setting(options.kill_after, "kill_after")
        self._process.limit(
            self._setting(options.timeout, "timeout"), 10.0 if kill_after is None else kill_after
        )
        output = options.output or (reporter.monitor and reporter.monitor.output) or "all"
        sink: Sink = Nowhere() if output == "none" else self._passthrough
        if output == "on-failure":
            from crontify_cli.job.held import Held

            sink = self._held = Held()
        patterns = [*self._every("meta_regex"), *options.meta_regex]
        if patterns:
            try:
                sink = self._searched = Searched(sink, patterns)
            except OSError as error:
                self._say(f"--meta-regex: the output is not searched: {error}")
        return sink

    def _setting(self, flag: float | None, name: str) -> float | None:
        """Return what a flag says, or else the monitor's settings."""
        value = getattr(self._reporter.monitor, name, None) if flag is None else flag
        return value if isinstance(value, int | float) else None

    def _every(self, name: str) -> tuple[str, ...]:
        return tuple(getattr(self._reporter.monitor, name, ()))

    # After its end

    def _facts(self) -> Facts:
        process = self._process
        asked = [number for number in process.asked if number in STOP_REQUESTS]
        if process.status is None:
            return Facts(
                None, 0.0, problem=self._started.problem, exit_code=self._started.exit_code
            )
        duration = process.ended - process.started
        return Facts(process.status, duration, process.timed_out, asked)

    def _rules(self) -> Rules:
        options, monitor = self._options, self._reporter.monitor
        codes = options.success_codes or (monitor.success_codes if monitor else None)
        return Rules(
            codes or Rules().success_codes,
            self._setting(options.min_duration, "min_duration"),
            self._setting(options.timeout, "timeout"),
        )

    def _report(self, verdict: Verdict, errors: bytes) -> None:
        """Put the outcome on disk, then wait, within limits, until it is sent."""
        reporter, process = self._reporter, self._process
        stops = process.stop_requests
        for stream, failure in self._passthrough.failures.items():
            name = "stdout" if stream == 1 else "stderr"
            self._say(f"the job's output no longer went to {name}: {failure.strerror}")
        deadline = time.monotonic() + self._report_timeout()
        while not reporter.keyed.wait(0.1):
            if time.monotonic() > deadline or process.stop_requests > stops:
                break  # its command hangs: the report is queued
        composed, outcome = self._compose(verdict, errors)
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

    def _compose(self, verdict: Verdict, errors: bytes) -> "tuple[Composed, Outcome]":
        from crontify_cli.report.compose import Output, compose

        reporter, options = self._reporter, self._options
        monitor = reporter.monitor
        content = self._recorder.content()
        errors = errors or content.tail or content.head
        output = Output(content.head, content.dropped, content.tail, errors)
        meta = self._meta(verdict)
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
            self._mask(monitor, reporter.secrets),
            with_log=not no_log,
        )
        return composed, outcome

    def _mask(
        self, monitor: "MonitorSettings | None", secrets: tuple[str, ...]
    ) -> Callable[[str], str]:
        """Return the run's mask, one for all its texts: their time is counted together."""
        if secrets not in self._masks:
            self._masks[secrets] = _mask(self._options, monitor, secrets)
        return self._masks[secrets]

    def _meta(self, verdict: Verdict) -> dict[str, int | float]:
        from crontify_cli.report.meta import merge, read_meta_file, usage_meta

        process = self._process
        duration = process.ended - process.started if process.pid else 0.0
        automatic = usage_meta(verdict.exit_code, duration, process.usage, self._recorder.total)
        warnings: list[str] = []
        found: Mapping[str, int | float] = {}
        written: Mapping[str, int | float] = {}
        if self._searched:
            found, warnings = self._searched.finish(SCAN_SECONDS)
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
        from crontify_cli.report.journal import JournalError

        try:
            count = journal.failures_in_a_row(options.monitor) + 1
        except JournalError as error:
            self._say(f"failures cannot be counted, so none is tolerated: {error}")
            return 0
        return count if count <= limit else 0

    def _journal(self) -> "Journal | None":
        """Return a connection of this thread's own; the reporter has another."""
        from crontify_cli.report.journal import Journal, JournalError

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
        self, verdict: Verdict, composed: "Composed", outcome: Outcome
    ) -> "tuple[int | None, Journal | None]":
        """Write the outcome down durably; return the report's number and the open journal."""
        journal = self._journal()
        if journal is None:
            return None, None
        from crontify_cli.report.journal import JournalError

        reporter, process, ping = self._reporter, self._process, composed.ping
        mask = self._mask(reporter.monitor, reporter.secrets)
        ending = Ending(
            outcome,
            mask(verdict.reason),
            verdict.exit_code,
            time.time(),
            process.ended - process.started if process.pid else 0.0,
            ping.meta,
            ping.log_output,
        )
        run = reporter.row(tuple(map(mask, self._started.command)))
        try:
            report = ping if reporter.reports else None
            return journal.finish(run, ending, report, reporter.owner), journal
        except JournalError as error:
            self._fail_journal(error)
            return None, None

    def _keep_log(self, log: str) -> None:
        if self._state is None or not log:
            return
        from crontify_cli.report.locallog import write_log

        try:
            write_log(self._state, self._recorder.run, log)
        except OSError as error:
            self._trace(f"no local copy of the log: {error}")

    def _await_report(self, stops: int) -> None:
        """Wait for the reporter: not longer than its budgets, and until a person has enough."""
        reporter, process = self._reporter, self._process
        settings = reporter.settings
        ended = time.monotonic()
        limit = ended + self._report_timeout()
        patient = ended + max(self._report_timeout(), settings.rate_limit_wait if settings else 0)
        process.watch_ended()
        update = None
        if self._show_wait and os.isatty(2):
            update = self._show_wait(self._options.monitor, self._seconds_left)
        while not reporter.done.wait(0.1):
            if update:
                update()
            if process.stop_requests > stops:
                reporter.stop()
                break
            if time.monotonic() > (patient if reporter.rate_limited else limit):
                break
        if update:
            self._show_wait = None
            update()

    def _seconds_left(self) -> float | None:
        until = self._reporter.rate_limited_until
        if until is None or self._show_wait is None or self._reporter.done.is_set():
            return None
        return max(0.0, until - time.monotonic())

    def _tell_of_the_queue(self, journal: "Journal | None") -> None:
        """Say that the report is still to be sent: always if asked, else only if that lasts."""
        if journal is None:
            self._say("the report could not be delivered, and there is no journal to queue it in")
            return
        from crontify_cli.report.journal import JournalError

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


class Searched:
    """A sink that shows what passes through to the search for numbers as well."""

    def __init__(self, sink: Sink, patterns: list[str]) -> None:
        from crontify_cli.report.patterns import MetaScan

        self._sink = sink
        self._scan = MetaScan(patterns)

    def write(self, stream: int, data: memoryview) -> None:
        """Pass `data` on, then have it searched."""
        self._sink.write(stream, data)
        self._scan.feed(bytes(data), stream)

    def finish(self, seconds: float) -> tuple[Mapping[str, int | float], list[str]]:
        """End the search within `seconds`; return the numbers, and warnings for a person."""
        return self._scan.finish(seconds)


def _state_or_none() -> str | None:
    try:
        return state_dir()
    except OSError:
        return None  # no home; the recorder has said so


def _mask(
    options: ExecOptions, monitor: "MonitorSettings | None", secrets: tuple[str, ...]
) -> Callable[[str], str]:
    """Return what takes secrets out of a text: ours, the environment's, and what flags name."""
    from crontify_cli.report.mask import Masker, secret_values
    from crontify_cli.report.redaction import redaction

    patterns = [*(monitor.redact if monitor else ()), *options.redact]
    return redaction(Masker(secret_values(os.environ), secrets), patterns)
