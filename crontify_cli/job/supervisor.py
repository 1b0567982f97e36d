"""One `exec` from the spawn to the exit code: relays, judges, reports.

Everything slow happens here, while the job runs. Whatever of ours fails is said on
stderr and costs the job nothing.
"""

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from crontify_cli.job.masking import Masks
from crontify_cli.job.process import STOP_REQUESTS
from crontify_cli.job.relay import Nowhere, Passthrough, Relay, Sink
from crontify_cli.job.started import Started
from crontify_cli.job.voice import Voice
from crontify_cli.processes import start_time
from crontify_cli.report.reporter import Begun, Reporter, Ways
from crontify_cli.report.verdict import Facts, Rules, judge
from crontify_cli.state import state_dir

if TYPE_CHECKING:
    from crontify_cli.config import Loaded
    from crontify_cli.job.closing import ShowWait
    from crontify_cli.job.held import Held
    from crontify_cli.job.searched import Searched

SETTINGS_WAIT = 3.0
"""Seconds for which the job's output waits for the settings, which may say where it goes."""
LATEST_SETTINGS = 20.0
"""Seconds after the job's end for which its verdict waits for them: they may have the rules."""
KILL_AFTER = 10.0


def supervise(started: Started, show_wait: "ShowWait | None") -> int:
    """See a run to its end; return exec's exit code, which is the job's if it has one."""
    code = Supervisor(started, show_wait).run()
    # Not by way of the interpreter's end: a thread may hang in the network, and an open
    # descriptor of the record must not be closed before the process is.
    os._exit(code)


class Supervisor:
    """The main thread's side of a run, up to its verdict; `closing.py` has what follows."""

    def __init__(self, started: Started, show_wait: "ShowWait | None") -> None:
        self._started = started
        self._options = started.options
        self._process = started.process
        self._recorder = started.recorder
        self._show_wait = show_wait
        self._voice = Voice(started.options.verbose)
        self._say = self._voice.say
        self._held: Held | None = None
        self._searched: Searched | None = None
        self._patience = time.monotonic() + SETTINGS_WAIT
        self._passthrough = Passthrough(started.process)
        self._limited = False
        self._state = _state_or_none()
        self._masks = Masks(started.options)

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
            self._limit()
            relay.run(self._process, self._sink, self._limit, self._prepare)
            relay.leave()
        else:
            self._say(self._started.problem)
        self._await_settings()
        verdict = judge(self._facts(), self._rules())
        self._recorder.note_end(verdict.succeeded, verdict.exit_code)
        if self._held and not verdict.succeeded:
            self._held.release(self._passthrough)
        self._tell_of_the_streams()
        from crontify_cli.job.closing import Closing

        closing = Closing(
            self._started, reporter, self._state, self._voice, self._masks, self._show_wait
        )
        closing.report(verdict, relay.error_tail, self._searched)
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
            trace=self._voice.trace,
            mask=self._masks,
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

    def _warn_of_the_start(self) -> None:
        for warning in self._started.warnings:
            self._say(warning)
        if self._recorder.problem:
            self._say(
                f"no record on disk of this run: {self._recorder.problem}"
                " (its report is lost if this process is killed)"
            )

    def _limit(self) -> None:
        """Set the job's time limit: a flag's at once, the config's as soon as it is read."""
        if self._limited:
            return
        self._limited = self._reporter.configured.is_set()
        kill_after = self._setting(self._options.kill_after, "kill_after")
        self._process.limit(
            self._setting(self._options.timeout, "timeout"),
            KILL_AFTER if kill_after is None else kill_after,
        )

    def _sink(self) -> Sink | None:
        """Return where the output goes, None as long as the settings have yet to say."""
        reporter, options = self._reporter, self._options
        if not reporter.configured.is_set() and time.monotonic() < self._patience:
            return None
        output = options.output or (reporter.monitor and reporter.monitor.output) or "all"
        sink: Sink = Nowhere() if output == "none" else self._passthrough
        if output == "on-failure":
            from crontify_cli.job.held import Held

            sink = self._held = Held()
        patterns = [*self._every("meta_regex"), *options.meta_regex]
        if patterns:
            from crontify_cli.job.searched import Searched

            try:
                sink = self._searched = Searched(sink, patterns)
            except RuntimeError as error:
                self._say(f"--meta-regex: the output is not searched: {error}")
        return sink

    def _prepare(self) -> None:
        """Load what the run's end needs: by then another version may be installed in our place."""
        try:
            import crontify_cli.job.closing
            import crontify_cli.report.crash
            import crontify_cli.report.patterns
            import crontify_cli.report.retention  # noqa: F401
        except ImportError:
            pass  # the job is not over yet, and what it prints has somewhere to go

    def _setting(self, flag: float | None, name: str) -> float | None:
        """Return what a flag says, or else the monitor's settings."""
        value = getattr(self._reporter.monitor, name, None) if flag is None else flag
        return value if isinstance(value, int | float) else None

    def _every(self, name: str) -> tuple[str, ...]:
        return tuple(getattr(self._reporter.monitor, name, ()))

    # After its end

    def _await_settings(self) -> None:
        """Wait until the settings are read, or cannot be, or somebody wants us to end."""
        stops, until = self._process.stop_requests, time.monotonic() + LATEST_SETTINGS
        while not self._reporter.configured.wait(0.1):
            if time.monotonic() > until or self._process.stop_requests > stops:
                self._say("the settings could not be read in time: judged without them")
                return

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

    def _tell_of_the_streams(self) -> None:
        for stream, failure in self._passthrough.failures.items():
            name = "stdout" if stream == 1 else "stderr"
            self._say(f"the job's output no longer went to {name}: {failure.strerror}")


def _state_or_none() -> str | None:
    try:
        return state_dir()
    except OSError:
        return None  # no home; the recorder has said so
