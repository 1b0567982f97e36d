"""The one real-time timer of a process, shared by everything in a run that has a deadline."""

import _signal as signal  # type: ignore[import-not-found]  # the C half of `signal`, untyped
import time


class Alarm:
    """Deadlines by name, in seconds of `time.monotonic()`; SIGALRM comes at the earliest."""

    def __init__(self) -> None:
        self._deadlines: dict[str, float] = {}

    @property
    def is_set(self) -> bool:
        """Whether there is any deadline; without one, a SIGALRM is from somebody else's timer."""
        return bool(self._deadlines)

    def set(self, name: str, at: float) -> None:
        """Let SIGALRM come at `at` for `name`, instead of any earlier deadline of that name."""
        self._deadlines[name] = at
        self._arm()

    def cancel(self, name: str) -> None:
        """Forget the deadline `name`, if there is one."""
        self._deadlines.pop(name, None)

    def take_due(self) -> "list[str]":
        """Return the names whose time has come, and forget them; arm the timer for the rest."""
        now = time.monotonic()
        # A copy: another handler may come in between.
        due = [name for name, at in list(self._deadlines.items()) if at <= now]
        for name in due:
            self._deadlines.pop(name, None)
        self._arm()
        return due

    def _arm(self) -> None:
        earliest = min(self._deadlines.values(), default=None)
        if earliest is not None:
            pause = earliest - time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, max(pause, 1e-6))
