"""Shows a person that we wait for the server's rate limit: one live line on stderr."""

import math
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status


def show_wait(monitor: str, seconds_left: Callable[[], float | None]) -> Callable[[], None]:
    """Return what updates the line; it is there as long as `seconds_left` gives a number."""
    status: Status | None = None

    def update() -> None:
        nonlocal status
        left = seconds_left()
        if left is None:
            if status:
                status.stop()
            status = None
            return
        text = (
            f"{monitor}: rate limit of the plan, the report goes out in {math.ceil(left)} s"
            " (Ctrl-C leaves it queued)"
        )
        if status is None:
            status = _line(text)  # rich is loaded only where there is something to wait for
            status.start()
        status.update(text)

    return update


def _line(text: str) -> "Status":
    from rich.console import Console

    return Console(stderr=True, highlight=False).status(text)


def pause(monitor: str, seconds: float, *, rate_limited: bool) -> bool:
    """Wait `seconds` between two attempts for `monitor`; on a terminal a rate limit is shown."""
    until = time.monotonic() + seconds
    if not (rate_limited and os.isatty(2)):
        time.sleep(seconds)
        return True
    waiting = True
    update = show_wait(monitor, lambda: max(0.0, until - time.monotonic()) if waiting else None)
    try:
        while (left := until - time.monotonic()) > 0:
            update()
            time.sleep(min(0.2, left))
    finally:
        waiting = False
        update()
    return True
