"""Which schedules each daemon accepts, and when it runs a job: against a simulation by minutes."""

import os
import random
import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from crontify_cli.crontab.lines import read
from crontify_cli.crontab.schedule import Dialect, next_due, parse
from tests.programs import need

MINUTE = 60
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "UTC")
BEGIN = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
END = int(datetime(2028, 1, 1, tzinfo=UTC).timestamp())


class Clock:
    """The minutes of two years, each as the minutes since 1970 that a zone's clock shows."""

    def __init__(self, zone: str) -> None:
        self.zone = ZoneInfo(zone)
        self.shown: list[int] = []
        for hour in range(BEGIN, END, 30 * MINUTE):  # no zone changes within a half-hour
            offset = datetime.fromtimestamp(hour, self.zone).utcoffset()
            assert offset is not None
            first = (hour + int(offset.total_seconds())) // MINUTE
            self.shown += range(first, first + 30)


@pytest.fixture(scope="module")
def clocks() -> dict[str, Clock]:
    return {zone: Clock(zone) for zone in ZONES}


def values(field: str, low: int, high: int) -> set[int]:
    """Return what a field of digits matches, as crontab(5) has it."""
    found: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        start, end = (low, high) if span == "*" else (int(first), int(last or first))
        found |= set(range(start, end + 1, int(step or 1)))
    return found


class Job:
    """A schedule, matched minute by minute."""

    def __init__(self, text: str) -> None:
        minute, hour, day, month, weekday = text.split()
        self.times = {h * 60 + m for h in values(hour, 0, 23) for m in values(minute, 0, 59)}
        self.days, self.months = values(day, 1, 31), values(month, 1, 12)
        self.weekdays = {number % 7 for number in values(weekday, 0, 7)}
        self.has_star = day.startswith("*") or weekday.startswith("*")
        self.is_wild = minute.startswith("*") or hour.startswith("*")
        self.dates: dict[int, bool] = {}

    def matches(self, shown: int) -> bool:
        number, minute = divmod(shown, 1440)
        if minute not in self.times:
            return False
        if number not in self.dates:
            self.dates[number] = self._is_day(date(1970, 1, 1) + timedelta(number))
        return self.dates[number]

    def _is_day(self, found: date) -> bool:
        day, weekday = found.day in self.days, found.isoweekday() % 7 in self.weekdays
        both = (day and weekday) if self.has_star else (day or weekday)
        return found.month in self.months and both


def simulated(job: Job, clock: Clock) -> list[int]:
    """Return when Vixie's cron starts a job: its main loop, without the time that jobs take.

    It counts minutes by the wall clock. After a jump forward of up to three hours it runs the
    jobs with fixed times of the minutes that were left out; after a jump back it runs only
    those with `*` until the clock has caught up.
    """
    runs: list[int] = []
    virtual = clock.shown[0] - 1
    for index, now in enumerate(clock.shown):
        if now == virtual + 1:
            due, virtual = job.matches(now), now
        elif now > virtual:
            left_out = range(virtual + 1, now + 1)
            due = job.matches(now) if job.is_wild else any(map(job.matches, left_out))
            virtual = now
        else:
            due = job.is_wild and job.matches(now)
        if due:
            runs.append(BEGIN + index * MINUTE)
    return runs


def computed(text: str, zone: ZoneInfo) -> list[int]:
    schedule = parse(text, "debian")
    runs, after = [], BEGIN - 1.0
    while (due := next_due(schedule, after, zone)) is not None and due < END:
        runs.append(int(due))
        after = due
    return runs


def random_schedule(chosen: random.Random) -> str:
    """Return a schedule that runs near the hours in which clocks change, often enough."""
    minute = chosen.choice(("0", "30", "*/20", "5,45", "59", "0-59/25", "*"))
    hour = chosen.choice(("2", "1", "3", "0", "*", "*/2", "1-3", "0-23/2", "23,2", "2,3"))
    if minute == "*" and hour in ("*", "*/2", "0-23/2"):
        minute = "15"
    day = chosen.choice(("*", "*", "*", "25-31", "*/2", "1", "8", "1,29"))
    month = chosen.choice(("*", "*", "3,10", "3-4", "*/5"))
    weekday = chosen.choice(("*", "*", "0", "7", "6-7", "*/3", "1-5"))
    return f"{minute} {hour} {day} {month} {weekday}"


def test_due_times_equal_a_simulation_over_two_years_with_summer_time(
    clocks: dict[str, Clock],
) -> None:
    # A few of the 200 that TEST_SCHEDULES=200 compares: each takes half a second or so.
    chosen = random.Random(16)
    for number in range(int(os.environ.get("TEST_SCHEDULES", "10"))):
        text = random_schedule(chosen)
        clock = clocks[ZONES[number % len(ZONES)]]
        assert computed(text, clock.zone) == simulated(Job(text), clock), (text, clock.zone)


@pytest.mark.parametrize(
    ("text", "debian", "cronie", "busybox"),
    [
        ("* * * * 7", "time", "time", "time"),
        ("* * * * sun-fri", "time", "time", "time"),
        ("* * * * fri-sun", "never", "time", "time"),
        ("* * * * 6-0", "never", "time", "time"),
        ("* * * * 5-7", "time", "time", "bad"),
        ("4-1 * * * *", "never", "never", "time"),
        ("0/1 * * * *", "bad", "bad", "time"),
        ("*/0 * * * *", "bad", "bad", "bad"),
        ("60 * * * *", "bad", "bad", "bad"),
        ("* * 0 * *", "bad", "bad", "bad"),
        ("* * L * *", "bad", "bad", "bad"),
        ("* * * november *", "bad", "bad", "bad"),
        ("5#1 * * * *", "time", "bad", "bad"),
        ("*junk * * * *", "time", "bad", "bad"),
        ("5junk * * * *", "bad", "bad", "bad"),
        ("0~59 * * * *", "time", "random", "bad"),
        ("~ * * * *", "bad", "random", "bad"),
        ("*/100 * * * *", "time", "time", "time"),
        ("0 0 31 2 *", "never", "never", "never"),
        ("@daily", "time", "time", "time"),
        ("@Daily", "bad", "bad", "bad"),
        ("@every", "bad", "bad", "bad"),
        ("@reboot", "reboot", "reboot", "reboot"),
    ],
)
def test_each_daemon_has_its_own_rules(text: str, debian: str, cronie: str, busybox: str) -> None:
    wanted: dict[Dialect, str] = {"debian": debian, "cronie": cronie, "busybox": busybox}
    for dialect, kind in wanted.items():
        try:
            found: str = parse(text, dialect).kind
        except ValueError:
            found = "bad"
        assert found == kind, dialect


# Friday, 27 November 2026, and the Sunday after it, as the daemons were seen to run.
@pytest.mark.parametrize(
    ("text", "dialect", "runs"),
    [
        ("* * 27 * mon", "debian", True),
        ("* * 1 * fri", "debian", True),
        ("* * */2 * mon", "debian", False),
        ("* * *,1 * mon", "debian", False),
        ("* * 1 * */5", "debian", False),
        ("* * 1-31 * mon", "debian", True),
        ("* * 1 * 0-7", "debian", True),
        ("* * */2 * *", "busybox", False),
        ("* * 1-31/2 * mon", "busybox", True),
        ("* * *,1 * mon", "busybox", False),
        ("* * 1 * */5", "busybox", True),
        ("* * * * 5#1", "debian", True),
    ],
)
def test_both_day_fields(text: str, dialect: Dialect, runs: bool) -> None:
    friday = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
    due = next_due(parse(text, dialect), friday, ZoneInfo("UTC"))
    assert (due == friday + MINUTE) == runs


PIECES = (
    *("*", "1", "5", "0", "7", "12", "mon", "sun", "jan", "-", "/", "/2", ",", "#", "~", "L", "x"),
    *(
        "31",
        "60",
        "*/5",
        "1-5",
        " ",
        "\t",
        "=",
        '"',
        "'",
        "@daily",
        "@reboot",
        "\r",
        "\x0b",
        "\xa0",
    ),
    *("A", "%", "\\", "echo a", "A=", "A ", "*="),
)


def random_line(chosen: random.Random) -> str:
    if chosen.random() < 0.4:
        return "".join(chosen.choices(PIECES, k=chosen.randrange(1, 8)))
    fields = chosen.choices(("*", "1", "*/2", "1-5", "3,4"), k=5)
    fields[chosen.randrange(5)] = "".join(chosen.choices(PIECES, k=chosen.randrange(1, 5)))
    line = chosen.choice((" ", "\t")).join(fields)
    return line + chosen.choice((" ", "  ", "", " *")) + chosen.choice(("echo", "", "x "))


def test_debian_accepts_exactly_the_lines_that_the_reader_does(tmp_path: Path) -> None:
    need("crontab")
    usage = subprocess.run(["crontab", "-h"], capture_output=True, stdin=subprocess.DEVNULL)
    if b"dry run" not in usage.stderr or not shutil.which("cron", path="/usr/sbin"):
        pytest.skip("no crontab of Debian's cron here")
    chosen, file = random.Random(16), tmp_path / "crontab"
    for _ in range(600):
        line = (random_line(chosen) + "\n").encode("latin-1")
        file.write_bytes(line)
        done = subprocess.run(["crontab", "-n", file], capture_output=True)
        (found,) = read(line, "debian")
        assert (done.returncode == 0) == (not found.problem), (line, found, done.stderr)
