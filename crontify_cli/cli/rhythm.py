"""The usual rhythm of a monitor, as far as the starts of its runs tell."""

import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

AMONG = 200
"""How many of a monitor's newest runs tell its rhythm."""
_SAME = 50.0
"""Seconds: runs closer together count as one, since cron starts a job once a minute at most."""
_FEWEST, _ENOUGH, _DAY = 4, 10, 86400.0
"""A rhythm needs at least 4 starts within more than a day, or 10: not a few trials by hand."""
_GRACE = 300.0


class Rhythm(NamedTuple):
    """The seconds between two starts: the median, and the longest pause."""

    usual: float
    longest: float

    def is_overdue(self, since_start: float) -> bool:
        """Whether the next start is late: the last was `since_start` seconds ago.

        Only a pause that is longer than every other is one, so that a job that rests at night
        or at the weekend is not called late.
        """
        return since_start > self.longest * 1.05 + _GRACE


def rhythm(starts: Sequence[float]) -> Rhythm | None:
    """Return the rhythm of these starts, the newest first; None if there are too few.

    starts: seconds since the epoch.
    """
    kept: list[float] = []
    for start in starts:
        if not kept or kept[-1] - start >= _SAME:
            kept.append(start)
    if len(kept) < _FEWEST or (len(kept) < _ENOUGH and kept[0] - kept[-1] < _DAY):
        return None
    gaps = [later - earlier for later, earlier in pairwise(kept)]
    return Rhythm(statistics.median(gaps), max(gaps))
