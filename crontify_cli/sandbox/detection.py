"""What should have happened and did not: which runs are missed, hung or slow.

Pure functions of stored facts and the time, so that a year can be tested without waiting.
"""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Literal, NamedTuple

from crontify_cli.sandbox.identity import timestamp
from crontify_cli.sandbox.records import Millis, RunStatus
from crontify_cli.sandbox.schedule import period
from crontify_cli.values import format_duration

_INTERRUPTION = 60_000
"""Milliseconds beyond two intervals of detection after which the sandbox was away: stopped, or
asleep together with its machine."""
_RECOVERY = 3_600_000
"""After an interruption, the longest time in milliseconds, in addition to the grace period, in
which jobs can catch up. Anacron, for one, spreads its jobs over about an hour."""
HISTORY = 20
_MIN_HISTORY = 5
_SLOWER = 3
_MIN_EXCESS = 1_000


class Watch(NamedTuple):
    """When detection last ran, and since when without an interruption."""

    seen_at: Millis
    since: Millis


class MonitorFacts(NamedTuple):
    """What is stored of a monitor that is not paused and has been pinged.

    watched_from: when it was last resumed or changed. missed_at: when the latest missed run
    was due, None if there was none since the last ping. The open run, if there is one, is
    running or hung.
    """

    schedule: str | None
    timezone: str
    grace: Millis
    last_ping_at: Millis
    watched_from: Millis
    missed_at: Millis | None
    open_status: RunStatus | None
    started_at: Millis | None


class Finding(NamedTuple):
    """Something that is now detected; it must be stored so that it is not detected again.

    missed: a run that was due at `due_at` did not ping. It is `repeated` if the run before it
    was missed, too. hung: the open run has been running for too long.
    """

    kind: Literal["missed", "hung"]
    message: str
    due_at: Millis | None = None
    repeated: bool = False


def next_watch(last: Watch | None, now: Millis, interval: Millis) -> Watch:
    """Return the watch after detection runs `now`; interval: the usual time between two runs.

    Pings could not arrive during an interruption. A clock that was set back is one, too.
    """
    if last and -_INTERRUPTION <= now - last.seen_at <= 2 * interval + _INTERRUPTION:
        return Watch(now, last.since)
    return Watch(now, now)


def detect(facts: MonitorFacts, watching_since: Millis, now: Millis) -> Iterator[Finding]:
    """Yield what is to be detected of a monitor; may raise UnknownZoneError."""
    if finding := _find_hung(facts, watching_since, now):
        yield finding
    elif facts.schedule and facts.open_status != "running":
        yield from _find_missed(facts, facts.schedule, watching_since, now)


def _find_hung(facts: MonitorFacts, watching_since: Millis, now: Millis) -> Finding | None:
    if facts.open_status != "running" or facts.started_at is None:
        return None
    # A job that slept with the machine gets the whole time again.
    began = max(_past(facts.started_at, watching_since, now), facts.watched_from, watching_since)
    if now - began <= 2 * facts.grace:
        return None
    limit = format_duration(2 * facts.grace / 1000)
    return Finding("hung", f"running for more than {limit}, twice the grace period")


def _find_missed(
    facts: MonitorFacts, schedule: str, watching_since: Millis, now: Millis
) -> Iterator[Finding]:
    start = (
        max(facts.last_ping_at, facts.watched_from) if facts.missed_at is None else facts.missed_at
    )
    start = _past(start, watching_since, now)
    between = period(schedule, facts.timezone, start)
    recovered_at = watching_since + min(between, _RECOVERY) + facts.grace
    due = start + between
    if now <= max(due + facts.grace, recovered_at):
        return
    if now > due + period(schedule, facts.timezone, due) + facts.grace:
        # More than one run was missed while the sandbox was away: they count as one.
        due = now - facts.grace
    yield Finding(
        "missed",
        f"no ping since {timestamp(facts.last_ping_at)}: expected one every"
        f" {format_duration(between / 1000)} ({schedule}), at most"
        f" {format_duration(facts.grace / 1000)} late",
        due,
        repeated=facts.missed_at is not None,
    )


def _past(moment: Millis, watching_since: Millis, now: Millis) -> Millis:
    """Return `moment`, unless it is in the future because the clock was set back since."""
    return moment if moment <= now else watching_since


def is_slow(duration: Millis, history: Sequence[Millis]) -> bool:
    """Tell whether a success took far longer than the monitor's earlier ones.

    That is: more than three times their median, and at least a second longer. Fewer than five
    earlier successes are no history.
    """
    if len(history) < _MIN_HISTORY:
        return False
    usual = median(history)
    return duration > _SLOWER * usual and duration - usual >= _MIN_EXCESS


def slow_message(duration: Millis, history: Sequence[Millis]) -> str:
    """Return what to say about a success for which `is_slow` holds."""
    usual = format_duration(round(median(history)) / 1000)
    return f"took {format_duration(duration / 1000)}, usually {usual}"
