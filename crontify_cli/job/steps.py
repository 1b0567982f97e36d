"""`exec -vv`: prints when each step of a run was reached, in milliseconds since its process began.

Loaded only if it is asked for, but then before the spawn. Any thread may note a step; the main
thread prints them, between two lines of the job's own output.
"""

import os
import time

from crontify_cli.errors import say
from crontify_cli.processes import seconds_alive, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from crontify_cli.delivery.api import Api
    from crontify_cli.delivery.handover import Event
    from crontify_cli.delivery.stage import Trying
    from crontify_cli.job.launched import LaunchedRun


class Steps:
    """The steps of one run.

    is_in_line: tells whether the job has written an unfinished line to our stderr, in which
        nothing of ours should appear.
    """

    def __init__(self) -> None:
        self._origin = _process_start()
        self._noted: list[tuple[float, str]] = []
        self._shown = 0.0
        self._attempt_began = 0.0
        self.is_in_line: Callable[[], bool] = lambda: False

    def note(self, step: str, at: float = 0.0) -> None:
        """Note that a step has been reached: now, or at `at` by `time.monotonic()`."""
        self._noted.append((at or time.monotonic(), step))

    def show(self) -> None:
        """Print what was noted, unless that would tear a line of the job's."""
        if self.is_in_line():
            return
        noted = sorted(self._noted)
        del self._noted[: len(noted)]
        lines = []
        for at, step in noted:
            # A thread may lose its turn between reading the clock and noting the step.
            self._shown = max(self._shown, at)
            lines.append(f"{(self._shown - self._origin) * 1000:8.1f} ms  {step}")
        if lines:
            say("\ncrontify: ".join(lines))

    def end_line(self) -> None:
        """End an unfinished line of the job's, which writes no more."""
        if self.is_in_line():
            os.write(2, b"\n")
        self.is_in_line = lambda: False
        self.show()

    def telling(
        self, tell: "Callable[[Event], None]", run: "LaunchedRun"
    ) -> "Callable[[Event], None]":
        """Return a function that notes the step that an event tells of, and passes it to `tell`.

        run: the function is for its reporting thread.
        """
        from crontify_cli.delivery.handover import Done, Prepared, Ready, SettingsRead
        from crontify_cli.delivery.stage import Trying

        names = {
            SettingsRead: "settings read",
            Prepared: "API key read",
            Ready: "ready to send",
            Done: "nothing more to send",
        }

        def told(event: "Event") -> None:
            if isinstance(event, Trying):
                self._note_attempt(event, run.reporter.api if run.reporter else None)
            elif type(event) in names:
                self.note(names[type(event)])
            tell(event)

        return told

    def _note_attempt(self, trying: "Trying", api: "Api | None") -> None:
        if trying.awaits == "connection":
            self._attempt_began = time.monotonic()
            may_be_kept = api and api.connected_at
            self.note(f"{'request' if may_be_kept else 'connecting'} to {trying.host}")
        elif trying.awaits == "answer":
            if api and api.trace.connected > self._attempt_began:
                self.note("connected", max(api.trace.connected, api.trace.secured))
            self.note("request sent")
        else:
            self.note(f"failed: {trying.problem}" if trying.problem else "answered")


def _process_start() -> float:
    """Return when this process began, by `time.monotonic()`; at most a clock tick too late."""
    started = start_time(os.getpid())  # in whole ticks, usually of 10 ms
    alive = (seconds_alive(started) or 0.0) - 1 / os.sysconf("SC_CLK_TCK")
    age = max(alive, time.process_time())
    return time.monotonic() - age
