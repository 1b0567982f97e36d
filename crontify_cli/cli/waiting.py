"""Shows on a terminal what a command waits for while it sends a ping."""

import os
import threading
import time
from typing import Self

from crontify_cli.delivery.stage import Trying, describe, why_undelivered
from crontify_cli.errors import say
from crontify_cli.progress import LEAVES_QUEUED, ProgressLine

_REFRESH = 0.2
"""Seconds between two updates of the line."""


class LiveWait:
    """`with LiveWait(NAME) as wait:` shows the progress line; a thread draws it until the end.

    name: what the line begins with. was_shown: whether there was anything to see.
    is_queued: whether the report is in the queue, where Ctrl-C leaves it.
    """

    def __init__(self, name: str) -> None:
        self.is_queued = False
        self._name = name
        self._line = ProgressLine()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._draw, daemon=True)
        self._trying: Trying | None = None
        self._pause: tuple[float, bool] | None = None

    @property
    def was_shown(self) -> bool:
        """Whether the line was drawn."""
        return self._line.was_shown

    @property
    def why(self) -> str:
        """Why nothing was delivered."""
        return why_undelivered(self._trying)

    def keep(self) -> None:
        """Take that the report is in the queue."""
        self.is_queued = True

    def observe(self, trying: Trying) -> None:
        """Take how far an attempt has come."""
        self._trying = trying

    def pause(self, seconds: float, *, rate_limited: bool) -> bool:
        """Wait before the next attempt; True, since a person can press Ctrl-C."""
        self._pause = time.monotonic() + seconds, rate_limited
        time.sleep(seconds)
        self._pause = None
        return True

    def say(self, line: str) -> None:
        """Print a line on stderr, which the progress line must not run into."""
        with self._lock:
            self._line.clear()
            say(line)

    def __enter__(self) -> Self:
        if os.isatty(2):
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._line.clear()

    def _draw(self) -> None:
        while not self._ended.wait(_REFRESH):
            until, is_limited = self._pause or (None, False)
            left = None if until is None else until - time.monotonic()
            with self._lock:
                words = describe(self._trying, left, rate_limited=is_limited)
                self._line.show(f"{self._name}: {words}", LEAVES_QUEUED if self.is_queued else "")
