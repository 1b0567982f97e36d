"""How long ago a run ended, from clocks that can be compared.

The clock of a small machine may start in 1970 and be set right much later. The kernel's time
since boot is not affected by that, but it is only known for runs of this boot.
"""

from crontify_cli import processes

LONGEST = 366 * 86400.0
"""Seconds: a longer delay is taken for the difference of two clocks."""
_SKEW = 60.0
"""Seconds by which a clock may be set back without being another one."""


def since_end(
    ended_at: float, now: float, *, boot_id: str, started: int, duration: float | None
) -> float | None:
    """Return how many seconds ago a run ended; None if no clock tells.

    ended_at, now: seconds since the epoch, as the clock was then and is now. boot_id, started:
    the boot in which the job started, and when, in clock ticks since then. duration: seconds.
    """
    if boot_id == processes.boot_id() and duration is not None:
        age = processes.seconds_alive(started)
        if age is not None:
            return max(0.0, age - duration)
    return plausible(now - ended_at)


def plausible(seconds: float) -> float | None:
    """Return a delay that two readings of the clock make; None if one was of a wrong clock."""
    return max(0.0, seconds) if -_SKEW <= seconds < LONGEST else None
