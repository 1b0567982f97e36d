"""What the two threads of a run hand over to each other: immutable values, each once.

The reporting thread tells events, which the main thread keeps in its `Inbox`; the main
thread hands over the `Outcome`. Nothing else is shared between them.
"""

import contextlib
import os
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.delivery.stage import Trying
from crontify_cli.model import Ping

if TYPE_CHECKING:
    from crontify_cli.config import MonitorSettings, Settings

Mask = Callable[[str], str]


class SettingsRead(NamedTuple):
    """The settings, as soon as they are read: they say what to do with the job's output."""

    settings: "Settings"
    monitor: "MonitorSettings"


class Prepared(NamedTuple):
    """Everything that composing a report takes beside the run's outcome.

    key: the API key; None without one, and then the run is only recorded locally.
    obstacle: why nothing can be reported for now, "" for no reason.
    mask: masks the secrets in a text, the key and the token among them.
    """

    settings: "Settings"
    monitor: "MonitorSettings"
    key: str | None
    obstacle: str
    mask: Mask


class Ready(NamedTuple):
    """The first request could be made at `at`, in seconds of `time.monotonic()`."""

    at: float


class Waiting(NamedTuple):
    """The thread waits between two attempts of the final report.

    until: the end of the pause, in seconds of `time.monotonic()`.
    rate_limited: whether it was the server that asked us to wait.
    """

    until: float
    rate_limited: bool


class Done(NamedTuple):
    """Nothing more will be sent.

    delivered: whether the server has the final report. settled: whether the journal says so,
    if the report has a row there.
    """

    delivered: bool
    settled: bool = True


Event = SettingsRead | Prepared | Ready | Trying | Waiting | Done


class Outcome(NamedTuple):
    """What the main thread hands over when the run has ended.

    ping: the final report, None for none. report_id: its row in the outbox, None for none.
    ended: when the job had ended. begun: when the report could be sent.
    until, rate_limit_until: until when the main thread waits for the delivery, and until when
    if the server asks us to wait; both come before what `lost_to_loading` adds.
    All are seconds of `time.monotonic()`.
    """

    ping: Ping | None
    report_id: int | None
    ended: float
    begun: float
    until: float
    rate_limit_until: float


LOADING, LONGEST_LOADING = 1.0, 60.0
"""Seconds that our own loading may take after the job's end. What goes beyond the first is
due to a busy machine, and not taken from what the server has; but only so much of it."""


def lost_to_loading(ended: float, ready: float) -> float:
    """Return by how many seconds the delivery may take longer, since we were ready so late."""
    return min(max(0.0, ready - ended - LOADING), LONGEST_LOADING)


_NAMES: dict[type, str] = {SettingsRead: "settings", Prepared: "prepared", Ready: "ready"}
_NAMES |= {Trying: "trying", Waiting: "waiting", Done: "done"}


class Inbox:
    """What the reporting thread has told us so far; for the main thread alone.

    Each attribute is the newest event of its kind, None before the first.
    """

    def __init__(self, wake: int) -> None:
        self._wake = wake
        self._queue: SimpleQueue[Event] = SimpleQueue()
        self.settings: SettingsRead | None = None
        self.prepared: Prepared | None = None
        self.ready: Ready | None = None
        self.trying: Trying | None = None
        self.waiting: Waiting | None = None
        self.done: Done | None = None

    def put(self, event: Event) -> None:
        """Take an event, in the thread that tells it, and wake the main thread."""
        self._queue.put(event)
        with contextlib.suppress(OSError):  # full: it is about to wake anyway
            os.write(self._wake, b"\0")

    def read(self, timeout: float = 0.0) -> None:
        """Read every event there is; wait at most `timeout` seconds for the first."""
        try:
            event = self._queue.get(timeout > 0, timeout)
            while True:
                setattr(self, _NAMES[type(event)], event)
                event = self._queue.get_nowait()
        except Empty:
            return
