"""A simulated year: jobs, daylight saving time, a machine that sleeps, a sandbox that restarts.

The times at which the jobs are due are computed here from the calendar, and not by the code
under test; so is what has to be detected, and when.
"""

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
TICK = 15 * MINUTE
START = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
END = round(datetime(2027, 1, 1, tzinfo=UTC).timestamp() * 1000)


class Job(NamedTuple):
    """A monitored job, and when it is due; all times are in milliseconds."""

    name: str
    schedule: str
    zone: str
    grace: int
    due: Sequence[int]


class Silence(NamedTuple):
    """The time between two pings of which the first one ended a run.

    between: from that run to the next. skipped: when the runs were due that did not ping.
    """

    start: int
    end: int
    between: int
    skipped: Sequence[int]


class Course(NamedTuple):
    """What a job does in the year: its pings, its silences, and each run from start to end."""

    pings: Sequence[tuple[int, str]]
    silences: Sequence[Silence]
    runs: Sequence[tuple[int, int]]


def daily(hour: int, minute: int, zone: str, days: Callable[[date], bool]) -> Sequence[int]:
    """Return when a job runs at that time of these days, once a day, as Vixie's cron has it."""
    info, found, day = ZoneInfo(zone), [], date(2025, 12, 1)
    while day < date(2027, 2, 1):
        if days(day):
            due = datetime(day.year, day.month, day.day, hour, minute, tzinfo=info)
            # A time that is skipped runs at the end of the gap.
            while due.astimezone(UTC).astimezone(info).replace(tzinfo=None) != due.replace(
                tzinfo=None
            ):
                due += timedelta(minutes=1)
            found.append(round(due.timestamp() * 1000))
        day += timedelta(days=1)
    return found


def hourly() -> Sequence[int]:
    """Return every full hour."""
    return range(START - 24 * HOUR, END + 24 * HOUR, HOUR)


def _weekday(day: date) -> bool:
    return day.weekday() < 5


JOBS = (
    Job("skipped", "30 2 * * *", "Europe/Berlin", 30 * MINUTE, daily(2, 30, "Europe/Berlin", bool)),
    Job("twice", "30 1 * * *", "America/New_York", HOUR, daily(1, 30, "America/New_York", bool)),
    Job("week", "0 9 * * 1-5", "Europe/Berlin", HOUR, daily(9, 0, "Europe/Berlin", _weekday)),
    Job(
        "half",
        "45 1 * * 0",
        "Australia/Lord_Howe",
        HOUR,
        daily(1, 45, "Australia/Lord_Howe", lambda day: day.weekday() == 6),
    ),
    Job(
        "monthly",
        "15 4 1 * *",
        "America/Santiago",
        2 * HOUR,
        daily(4, 15, "America/Santiago", lambda day: day.day == 1),
    ),
    Job("hourly", "0 * * * *", "America/New_York", 20 * MINUTE, hourly()),
)


def sleeps(chance: random.Random) -> Sequence[tuple[int, int]]:
    """Return when the machine sleeps: about every third night, some of them for days."""
    found, moment = [], START
    while moment < END:
        moment += chance.randrange(20 * HOUR, 100 * HOUR)
        length = chance.choice([3 * HOUR, 8 * HOUR, 11 * HOUR, 70 * HOUR])
        found.append((moment, moment + length))
        moment += length
    return found


def ticks(chance: random.Random, asleep: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Yield when detection runs: not while the machine sleeps, and never quite on time."""
    moment = START
    for falls, wakes in [*asleep, (END, END)]:
        while moment < min(falls, END):
            yield moment
            moment += TICK + chance.randrange(5 * SECOND)
        moment = max(moment, wakes + chance.randrange(TICK))


def course(job: Job, chance: random.Random, asleep: Sequence[tuple[int, int]]) -> Course:
    """Return a year of the job: most runs end well, some never start, some hang."""
    pings: list[tuple[int, str]] = []
    silences, runs = [], []
    skipped: list[int] = []
    between = 0

    def end_silence(at: int) -> None:
        if pings:
            silences.append(Silence(pings[-1][0], at, between, tuple(skipped)))
        skipped.clear()

    for due in job.due:
        start = due + chance.randrange(30 * SECOND)
        if not START < start < END - 3 * HOUR:
            continue
        if pings and start <= pings[-1][0]:
            continue  # the run before is still hanging: the job's lock keeps this one out
        if _sleeping(asleep, start) or (pings and chance.random() < 0.08):
            skipped.append(due)
            continue
        end_silence(start)
        takes = chance.randrange(job.grace // 2)
        if chance.random() < 0.05:
            takes = chance.randrange(3 * job.grace, 4 * job.grace)
        end = _awake(asleep, start, takes)
        index = bisect_right(job.due, end) - 1
        between = job.due[index + 1] - job.due[index]
        pings += [(start, "start"), (end, chance.choice(["success", "success", "fail"]))]
        runs.append((start, end))
    end_silence(END)
    return Course(pings, silences, runs)


def _sleeping(asleep: Sequence[tuple[int, int]], moment: int) -> bool:
    return any(falls <= moment < wakes for falls, wakes in asleep)


def _awake(asleep: Sequence[tuple[int, int]], start: int, takes: int) -> int:
    """Return when a job ends that takes so long and sleeps with its machine."""
    end = start + takes
    for falls, wakes in asleep:
        if start < falls <= end:
            end += wakes - falls
    return end


def expected(
    job: Job, course: Course, moments: Sequence[int]
) -> tuple[Sequence[int], Sequence[int]]:
    """Return when runs have to be found missed and when hung, of all ticks the first possible."""
    since: list[int] = []
    for place, at in enumerate(moments):
        was_away = place == 0 or at - moments[place - 1] > 2 * TICK + MINUTE
        since.append(at if was_away else since[-1])

    def first_tick(after: int, before: int, wait: int, recovery: int) -> Iterator[int]:
        for place in range(bisect_right(moments, after), bisect_right(moments, before - 1)):
            if moments[place] > max(after + wait, since[place] + recovery):
                yield moments[place]
                return

    missed = [
        at
        for start, end, between, _ in course.silences
        for at in first_tick(start, end, between + job.grace, min(between, HOUR) + job.grace)
    ]
    hung = [
        at
        for start, end in course.runs
        for at in first_tick(start, end, 2 * job.grace, 2 * job.grace)
    ]
    return missed, hung
