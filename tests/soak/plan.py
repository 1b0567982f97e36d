"""Plans the faults of a soak from a seed: windows of trouble that never overlap, and kills."""

import math
import random
from typing import Literal, NamedTuple

WHOLE = 20.0
"""Minutes of a soak with all faults; a shorter one has proportionally fewer."""
SHORTEST = 15.0
"""Seconds of a window, at least."""
LEAD = 14.0
"""Seconds by which a window begins before a minute, at most."""
Trouble = Literal["stopped", "frozen", "config", "disk"]
"""The sandbox stopped or frozen, the config unreadable, the state's disk full."""
Victim = Literal["wrapper", "job"]
_WINDOWS: tuple[tuple[Trouble, int, tuple[float, float]], ...] = (
    ("stopped", 3, (60.0, 110.0)),
    ("frozen", 2, (25.0, 50.0)),
    ("config", 1, (90.0, 90.0)),
    ("disk", 1, (75.0, 75.0)),
)
"""How many of each, and the seconds that they last."""
_KILLS: tuple[tuple[Victim, int], ...] = (("wrapper", 16), ("job", 2))


class Window(NamedTuple):
    """Trouble between two moments, in seconds since the beginning, or since the epoch."""

    trouble: Trouble
    begin: float
    end: float


class Kill(NamedTuple):
    """A SIGKILL, `at` so many seconds after the beginning."""

    victim: Victim
    at: float


def plan(minutes: float, seed: int) -> tuple[list[Window], list[Kill]]:
    """Return the faults of a soak that begins with a minute of the clock.

    Each window contains the beginning of a minute, when cron starts the jobs. What does not fit
    into a short soak is left out.
    """
    chance = random.Random(seed)
    share = min(1.0, minutes / WHOLE)
    lengths = [
        (trouble, max(SHORTEST, chance.uniform(*seconds) * share))
        for trouble, count, seconds in _WINDOWS
        for _ in range(max(1, round(count * share)))
    ]
    chance.shuffle(lengths)
    while sum(_blocks(length) for _, length in lengths) > minutes:
        lengths.pop()
    spare = int(minutes) - sum(_blocks(length) for _, length in lengths)
    order: list[tuple[Trouble, float] | None] = [*lengths, *[None] * spare]
    chance.shuffle(order)
    windows, minute = [], 0
    for window in order:
        if window is None:
            minute += 1
            continue
        trouble, length = window
        begin = 60 * minute - chance.uniform(1, LEAD)
        windows.append(Window(trouble, begin, begin + length))
        minute += _blocks(length)
    kills = [
        Kill(victim, 60 * chance.randrange(max(1, int(minutes))) + _second(victim, chance))
        for victim, count in _KILLS
        for _ in range(max(1, round(count * share)))
    ]
    return windows, kills


def _blocks(length: float) -> int:
    """Return how many minutes a window takes, with the time before the first one."""
    return math.ceil((length + LEAD) / 60)


def _second(victim: Victim, chance: random.Random) -> float:
    """Return the second of the minute: a job has printed its output by then."""
    if victim == "job":
        return chance.uniform(20, 35)
    return chance.choice((chance.uniform(0.3, 4), chance.uniform(0, 50)))
