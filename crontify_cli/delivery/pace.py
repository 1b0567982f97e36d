"""Which pings of a run are worth a slot, if the plan limits how often a monitor may be pinged.

A plan accepts one ping of a monitor per interval, and a start that is sent takes the slot that
the end may need. Pure: no clock, no network and no files; `limits.py` keeps what was learned.
Moments are seconds since the epoch, everything else is in seconds.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from crontify_cli.delivery.journal_rows import RunSummary
    from crontify_cli.model import PingKind

RATE_LIMIT_PAUSE = 60.0
"""Seconds to wait if a 429 does not say how long: the free plan's interval."""
HISTORY = 20
"""How many of a monitor's newest runs tell what is usual for it."""
PROBE_EVERY, COSTLY_PROBE_EVERY = 86400.0, 7 * 86400.0
"""Seconds after which a limit is put to the test: the plan may have changed. A test is costly
if a start that is accepted takes the slot of an end for longer than that can wait."""
SHORT_LIMIT = 90.0
"""Seconds for which an end waits (the default of `rate_limit_wait`)."""
LONGEST_GAP = 86400.0
"""Seconds between two pings above which a 429 is not explained by the older one."""
_JITTER, _MOST_JITTER = 1 / 20, 1 / 2
"""Parts of the limit: by how much runs of the same duration differ in when they end, and for
how long a success may wait at most, if the next run needs each slot as well."""
_BRIEF = 10.0
"""Seconds that a failure waits without asking the server first. Its answer names whole seconds,
so that a request that comes a moment too early costs a second."""


class Limit(NamedTuple):
    """What is known of the rate limit of a monitor.

    interval: least seconds from one accepted ping to the next, None for no known limit.
    accepted_at: when the server accepted our last ping, None for unknown.
    learned_at: when it last refused one because of the limit, None for never.
    """

    interval: float | None = None
    accepted_at: float | None = None
    learned_at: float | None = None


UNKNOWN = Limit()


class Habits(NamedTuple):
    """What is usual for a monitor; each None without runs that tell.

    shortest, longest: the 10th and the 90th percentile of the durations.
    period: the median time from one start to the next.
    """

    shortest: float | None = None
    longest: float | None = None
    period: float | None = None


def refused(limit: Limit, told: float | None, now: float) -> Limit:
    """Return what a 429 teaches. told: the seconds to wait that it names, None for none."""
    if told is None:
        return limit._replace(interval=RATE_LIMIT_PAUSE, learned_at=now)
    gap = now - limit.accepted_at if limit.accepted_at is not None else 0.0
    interval = told + gap if 0 <= gap <= LONGEST_GAP else told
    # Plans count whole seconds, and an answer rounds the rest of them up.
    return limit._replace(interval=max(told, math.floor(interval + 0.1)), learned_at=now)


def accepted(limit: Limit, now: float) -> Limit:
    """Return what is known once a ping was accepted; a limit that was not applied is forgotten."""
    gap = now - limit.accepted_at if limit.accepted_at is not None else math.inf
    # The moments are those of the answers, which may have been slow.
    if limit.interval is not None and 0 <= gap < 0.9 * limit.interval - 1:
        return Limit(None, now, None)
    return limit._replace(accepted_at=now)


def habits(runs: "Iterable[RunSummary]") -> Habits:
    """Return what is usual, from a monitor's newest runs; one that goes on has no duration."""
    ran = [run for run in runs if run.outcome != "skipped"]
    durations = sorted(run.duration for run in ran if run.duration is not None)
    starts = sorted(run.started_at for run in ran)
    periods = sorted(later - earlier for earlier, later in pairwise(starts))
    return Habits(percentile(durations, 0.1), percentile(durations, 0.9), percentile(periods, 0.5))


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile of ascending values, None if there are none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def start_due(limit: Limit, usual: Habits, started: float, now: float) -> float:
    """Return the moment from which the start of a run may be sent, if its job still runs then.

    That is at once without a limit, and if the job usually lasts until there is a slot for its
    end as well, and leaves one for the next start. Otherwise the start would delay an end; it
    is sent only when the job has run for much longer than usual, so that the server can see
    it hang. Once a day it is sent at once all the same, to see if the limit is still there.
    started: when the job started.
    """
    interval = limit.interval
    if interval is None or _is_probe_due(limit, interval, now):
        return started
    slot = max(started, _next_slot(limit, now))
    shortest, longest, period = usual.shortest, usual.longest, usual.period
    if shortest is not None and period is not None:
        has_slot_for_end = started + shortest >= slot + interval
        if has_slot_for_end and period >= 2 * interval:
            return slot
    return max(slot, started + max(interval, 2 * (longest or 0.0)))


def patience(kind: "PingKind", limit: Limit, usual: Habits, started: float, now: float) -> float:
    """Return for how long a final report may wait for a slot; what waits longer is queued.

    Not until the next run is expected, which sends what is queued; unlimited if nothing is known.
    If runs follow each other so closely that each slot is needed, the next run sends no queued
    success, and one that waits delays the reports after it. Then it waits for what the period
    leaves, or by how much the durations differ, at most for a third of the limit.
    started: when the run's job started.
    """
    interval, period = limit.interval, usual.period
    if period is None:
        return math.inf
    if kind == "success" and interval is not None and period < 2 * interval:
        spread = (usual.longest or 0.0) - (usual.shortest or 0.0)
        spread = min(spread + _JITTER * interval, _MOST_JITTER * interval)
        return max(spread, period - interval)
    return started + period - now if started + period > now else math.inf


def hold(kind: "PingKind", limit: Limit, most: float, now: float) -> float:
    """Return for how long to wait before a final report is sent at all.

    The server is not asked while it is known to refuse, since it rounds the time to wait up to
    whole seconds, by which all later reports of a busy monitor would be delayed. But a
    failure that has to wait for long is sent at once: the plan may be another one by now.
    most: the seconds that the report may wait, as `patience` returns them.
    """
    if limit.interval is None:
        return 0.0
    wait = _next_slot(limit, now) - now
    if kind == "fail":
        most = min(most, _BRIEF)
    return wait if 0 < wait <= most else 0.0


def _is_probe_due(limit: Limit, interval: float, now: float) -> bool:
    # While the slot is closed, a start that the limit applies to is refused and costs nothing.
    is_cheap = interval <= SHORT_LIMIT or _next_slot(limit, now) > now
    every = PROBE_EVERY if is_cheap else COSTLY_PROBE_EVERY
    return limit.learned_at is None or not 0 <= now - limit.learned_at < every


def _next_slot(limit: Limit, now: float) -> float:
    """Return when the server accepts the next ping, as far as we know; it may be past."""
    if limit.interval is None or limit.accepted_at is None or limit.accepted_at > now:
        return 0.0
    return limit.accepted_at + limit.interval
