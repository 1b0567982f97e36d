"""One `exec` from the spawn to the exit code: relays, judges, reports.

Everything slow happens here, while the job runs. Our own failures are reported on
stderr and cost the job nothing.
"""

import _signal as signal  # type: ignore[import-not-found]  # see job/process.py
import gc
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from crontify_cli.delivery.handover import Inbox, Prepared
from crontify_cli.delivery.reporter import Reporter
from crontify_cli.job.launched import LaunchedRun, Notices, rules_text, run_mask
from crontify_cli.job.process import HANDLED, STOP_REQUESTS
from crontify_cli.job.relay import Relay
from crontify_cli.job.rescue import error_words
from crontify_cli.job.sinks import STDERR, STDOUT, Nowhere, Passthrough, Sink
from crontify_cli.model import new_run
from crontify_cli.places import NoHomeError, foreign_home
from crontify_cli.processes import identity, start_time
from crontify_cli.progress import ProgressLine
from crontify_cli.report.verdict import Facts, Verdict, judge, read_rules
from crontify_cli.state import Folder, StateError, state_dir
from crontify_cli.threads import without_signals

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

    from crontify_cli.config import Loaded, MonitorSettings
    from crontify_cli.job.sinks import DeferredOutput, MetaSink
    from crontify_cli.report.excerpt import Mask

SETTINGS_WAIT = 3.0
"""Seconds for which the job's output waits for the settings, which may say where it goes."""
LATEST_SETTINGS = 20.0
"""Seconds after the job's end for which its report waits for the settings."""
LEAST_FOR_KEY = 5.0
"""Seconds that reading the API key has at least, however short `report_timeout` is."""
SOON = 1.0
"""Seconds after which what the run's end needs is loaded, if the job still runs. The garbage
collector, which would only search what is being loaded, is disabled until then."""
KILL_AFTER = 10.0


def supervise(run: LaunchedRun) -> int:
    """See a run through to its end; return exec's exit code, which is the job's if it has one."""
    code = Supervisor(run).run()
    if run.steps:
        run.steps.note("exit")
        run.steps.show()
    # Not by way of the interpreter's end: a thread may hang in the network, and an open
    # descriptor of the record must not be closed before the process is.
    os._exit(code)


class Supervisor:
    """The main thread's side of a run up to its verdict; `closing.py` has what follows."""

    def __init__(self, run: LaunchedRun) -> None:
        self._run = run
        self._options = run.options
        self._process = run.process
        self._recorder = run.recorder
        self._record_problem = run.recorder.problem  # of what comes later, other lines tell
        self._notices = Notices(verbose=bool(run.options.verbose), steps=run.steps)
        self._state = _state_or_none()
        wake, wake_end = os.pipe()
        for fd in (wake, wake_end):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        self._inbox = Inbox(wake_end)
        self._relay = Relay(run.recorder, run.streams, wake)
        run.unwritten = [self._relay.release]
        self._passthrough = Passthrough(run.process)
        if run.steps:
            # If both streams are one file, there is one pipe for both.
            ours = STDERR if STDERR in run.streams.values() else STDOUT
            run.steps.is_in_line = lambda: ours in self._passthrough.in_line
        self._sink: Sink | None = None
        self._held: DeferredOutput | None = None
        self._meta_sink: MetaSink | None = None
        self._is_limited = False

    def run(self) -> int:
        """Do it all, in order."""
        # The loading thread must let the job's output pass: a fifth of the usual turn.
        sys.setswitchinterval(0.001)
        threading.excepthook = sys.unraisablehook = self._tell_of_failure
        owner = identity()
        reporter = self._new_reporter(owner)
        for start in (self._recorder.sync_soon, self._process.watch_terminal, reporter.start):
            without_signals(start, HANDLED)
        self._run.reporter = reporter
        if self._run.steps:
            self._run.steps.note("reporting thread started")
        self._tell_of_the_start()
        if self._process.pid:
            self._relay_until_exit()
        else:
            self._notices.say(self._run.problem)
        prepared = self._await_prepared(reporter)
        rules = read_rules(rules_text(self._options), self._monitor())
        verdict = judge(self._facts(), rules)
        self._tell_of_verdict(verdict)
        if self._held and not verdict.succeeded:
            self._held.release(self._passthrough)
        self._tell_of_the_streams()
        if self._run.steps:
            self._run.steps.end_line()
        from crontify_cli.job.closing import Closing

        Closing(
            self._run,
            reporter,
            owner,
            self._inbox,
            self._state,
            self._notices,
            in_line=self._is_in_line(),
        ).report(verdict, rules.tolerate, prepared, self._relay.error_tail(), self._meta_sink)
        if prepared and prepared.settings.metrics_file and self._state:
            from crontify_cli.delivery.metrics import keep_current

            if line := keep_current(self._state, prepared.settings):
                self._notices.say(line)
        return verdict.exit_code

    # While the job runs

    def _new_reporter(self, owner: str) -> Reporter:
        process, options = self._process, self._options
        run = new_run(
            self._recorder.run,
            options.monitor,
            self._run.command,
            job=(process.pid, start_time(process.pid) if process.pid else 0),
            started_at=time.time() - (time.monotonic() - process.started),
        )
        tell = self._inbox.put
        return Reporter(
            run,
            owner,
            self._run.steps.telling(tell, self._run) if self._run.steps else tell,
            load=self._load,
            make_mask=self._make_mask,
            notices=self._notices,
            state=self._state,
            start=options.start,
        )

    def _make_mask(self, monitor: "MonitorSettings", secrets: tuple[str, ...]) -> "Mask":
        """Return the run's mask; called by the reporting thread."""
        return run_mask(self._options, monitor, secrets)

    def _load(self) -> "Loaded":
        """Read the settings; called by the reporting thread, before anything that takes time."""
        from crontify_cli.report.secrets import secret_values

        # For whoever reports the run if this process cannot.
        self._recorder.note_secrets(secret_values(os.environ))
        from crontify_cli.config import load

        options = self._options
        overrides = {"base_url": options.base_url, "api_key_file": options.api_key_file}
        return load(options.config, overrides={k: v for k, v in overrides.items() if v})

    def _tell_of_the_start(self) -> None:
        for warning in self._run.warnings:
            self._notices.say(warning)
        if not self._recorder.path:
            self._notices.say(
                f"no record on disk of this run: {self._record_problem}"
                " (its report is lost if this process is killed)"
            )
        elif self._record_problem:
            self._notices.say(
                f"the record on disk of this run is incomplete: {self._record_problem}"
                " (its report lacks the output if this process is killed)"
            )
        if self._state and (home := foreign_home()):
            self._notices.trace(f"{home} belongs to another user; the state is in {self._state}")

    def _relay_until_exit(self) -> None:
        """Pass the job's output on, and apply the settings as soon as they are read."""
        loads_at = time.monotonic() + SOON
        patient_until = time.monotonic() + SETTINGS_WAIT
        for _ in self._relay.until_exit(self._process):
            self._inbox.read()
            self._limit()
            if self._run.steps:
                self._run.steps.show()
            if self._process.stop_failure:
                self._notices.say(f"the job cannot be stopped: {self._process.stop_failure}")
            if self._process.has_ended:
                self._run.release_lock()
            if not self._sink and (self._inbox.settings or time.monotonic() > patient_until):
                self._sink = self._choose_sink()
                self._relay.send_to(self._sink)
            if loads_at and time.monotonic() > loads_at:
                loads_at = 0.0
                self._load_the_rest()
                gc.freeze()
                gc.enable()
        self._run.release_lock()
        self._relay.leave()
        if self._run.steps:
            self._run.steps.note("output drained")

    def _limit(self) -> None:
        """Set the job's time limit: a flag's at once, the config's as soon as it is read."""
        if self._is_limited:
            return
        self._is_limited = bool(self._inbox.settings)
        kill_after = self._setting(self._options.kill_after, "kill_after")
        self._process.limit(
            self._setting(self._options.timeout, "timeout"),
            KILL_AFTER if kill_after is None else kill_after,
        )

    def _choose_sink(self) -> Sink:
        """Return where the output goes: what the flags say, or else the settings, if read."""
        monitor = self._monitor()
        output = self._options.output or (monitor and monitor.output) or "all"
        sink: Sink = Nowhere() if output == "none" else self._passthrough
        if output == "on-failure":
            from crontify_cli.job.sinks import DeferredOutput

            sink = self._held = DeferredOutput()
            self._run.unwritten.insert(0, self._held.release)
        patterns = [*(monitor.meta_regex if monitor else ()), *self._options.meta_regex]
        if patterns:
            from crontify_cli.job.sinks import MetaSink

            try:
                sink = without_signals(lambda: MetaSink(sink, patterns), HANDLED)
                self._meta_sink = sink
            except RuntimeError as error:
                self._notices.say(f"--meta-regex: the output is not searched: {error}")
        return sink

    def _load_the_rest(self) -> None:
        """Load what the run's end needs: by then another version may be installed in our place."""
        try:
            import crontify_cli.crash
            import crontify_cli.delivery.recovery
            import crontify_cli.delivery.retention
            import crontify_cli.delivery.rounds
            import crontify_cli.job.closing
            import crontify_cli.report.cause
            import crontify_cli.report.lookalikes
            import crontify_cli.report.needles
            import crontify_cli.report.patterns  # noqa: F401
        except ImportError:
            pass  # the job is not over yet, and what it prints has somewhere to go

    # After its end

    def _await_prepared(self, reporter: Reporter) -> Prepared | None:
        """Wait for all that a report takes; None if it does not come, or we are asked to stop."""
        stops, ended = self._process.stop_requests, time.monotonic()
        self._inbox.read()
        line = ProgressLine(in_line=self._is_in_line())
        while not (self._inbox.prepared or self._inbox.done) and reporter.is_alive():
            settings = self._inbox.settings and self._inbox.settings.settings
            budget = settings.report_timeout if settings else LATEST_SETTINGS
            patience = max(budget, LEAST_FOR_KEY)
            if time.monotonic() > ended + patience or self._process.stop_requests > stops:
                break
            self._inbox.read(0.1)
            line.show(f"{self._options.monitor}: reading the settings and the API key")
        line.clear()
        self._inbox.read()  # a thread that has ended may have told something before
        return self._inbox.prepared

    def _facts(self) -> Facts:
        process = self._process
        if process.status is None:
            return Facts(None, 0.0, problem=self._run.problem, exit_code=self._run.exit_code)
        asked = [number for number in process.received_signals if number in STOP_REQUESTS]
        return Facts(process.status, process.ended - process.started, process.timed_out, asked)

    def _tell_of_verdict(self, verdict: Verdict) -> None:
        """Say why the run failed if neither the job's output nor its exit code tells it."""
        if not verdict.succeeded and (self._process.timed_out or not verdict.exit_code):
            self._notices.say(f"{self._options.monitor}: {verdict.reason}")

    def _setting(self, flag: float | None, name: str) -> float | None:
        """Return what a flag says, or else the monitor's settings, if they are read."""
        value = getattr(self._monitor(), name, None) if flag is None else flag
        return value if isinstance(value, int | float) else None

    def _monitor(self) -> "MonitorSettings | None":
        return self._inbox.settings.monitor if self._inbox.settings else None

    def _tell_of_failure(self, failure: "threading.ExceptHookArgs | UnraisableHookArgs") -> None:
        """Say in one line, instead of a traceback, what failed in a thread of ours."""
        words = failure.exc_type.__name__
        if isinstance(failure.exc_value, Exception):
            words = error_words(failure.exc_value)
        self._notices.say(f"internal error in a thread: {words}")

    def _is_in_line(self) -> bool:
        """Tell whether the job has left the cursor of the terminal in the middle of a line."""
        return any(map(os.isatty, self._passthrough.in_line))

    def _tell_of_the_streams(self) -> None:
        for stream, failure in self._passthrough.failures.items():
            name = "stdout" if stream == 1 else "stderr"
            self._notices.say(f"the job's output no longer went to {name}: {failure.strerror}")


def _state_or_none() -> str | None:
    try:
        state = state_dir()
        with Folder(state, create=True):
            return state
    except (NoHomeError, StateError):
        return None  # the recorder has said so
    except OSError:
        return state  # whoever uses it says why that fails
