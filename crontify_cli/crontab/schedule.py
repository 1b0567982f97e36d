"""The time fields of a crontab line: which ones each daemon accepts, and when a job is due.

The rules are those of the running daemons (Debian cron 3.0pl1, cronie, busybox crond), which
differ from crontab(5) in places: Debian ignores punctuation behind a number, for example.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Literal, NamedTuple

Dialect = Literal["debian", "cronie", "busybox"]

WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""The words of crontab(5) with their five fields; `@reboot` has none."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_SHIFT = timedelta(hours=3)
"""Vixie's cron takes a larger change of the clock for a corrected time, not for summer time."""


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day-of-month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day-of-week", 0, 7, _DAYS),
)


class Schedule(NamedTuple):
    """When a job is due.

    expression: five fields with the same meaning that cronsim accepts; None if there is no
        time to compute: at boot, never, or at random minutes.
    kind: "time", "reboot", "random" (cronie's `~`) or "never" (accepted, but matches no time).
    is_wild: whether minute or hour begins with `*`; such jobs follow the clock through a
        change to or from daylight saving time, the others run exactly once.
    ignored: what the daemon skips behind a field, such as `#1` in `5#1`.
    """

    expression: str | None
    kind: Literal["time", "reboot", "random", "never"]
    is_wild: bool = False
    ignored: str = ""


def parse(text: str, dialect: Dialect) -> Schedule:
    """Return the schedule that `text` names: a word such as `@daily`, or five fields.

    Raises ValueError, in the daemon's words ("bad minute"), for what the daemon rejects.
    """
    if text.startswith("@"):
        if text == "@reboot":
            return Schedule(None, "reboot")
        if text not in WORDS:
            raise ValueError("bad time specifier")
        return Schedule(WORDS[text], "time", text == "@hourly" or dialect == "busybox")
    parts, ignored, is_random = [], "", False
    fields = re.split("[ \t]+", text)
    for field, written in zip(_FIELDS, fields, strict=True):
        try:
            part = _busybox(written, field) if dialect == "busybox" else _list(written, field)
        except ValueError:
            if dialect != "cronie" or not _is_random(written, field):
                raise ValueError(f"bad {field.name}") from None
            part, is_random = _Part("*"), True
        if part.ignored and dialect == "cronie":
            if not _is_random(written, field):
                raise ValueError(f"bad {field.name}")
            is_random = True
        ignored = ignored or part.ignored
        parts.append(_sunday(written) if _runs_to_sunday(written, field, dialect) else part.text)
    if is_random:
        return Schedule(None, "random")
    wild = dialect == "busybox" or fields[0].startswith("*") or fields[1].startswith("*")
    if not all(parts) or _has_no_such_day(parts):
        return Schedule(None, "never", wild, ignored)
    return Schedule(" ".join(parts), "time", wild, ignored)


class _Part(NamedTuple):
    """A field for cronsim, "" if nothing matches it, and what the daemon skips behind it."""

    text: str
    ignored: str = ""


_RANGE = re.compile(r"(?:\*|([0-9A-Za-z]+)(?:-([0-9A-Za-z]+))?)(?:/([0-9A-Za-z]+))?")


def _list(text: str, field: _Field) -> _Part:
    """Return a field as Debian's cron reads it: get_list() in entry.c.

    Raises ValueError.
    """
    found, at = [], 0
    while True:
        match = _RANGE.match(text, at)
        if not match:
            raise ValueError(text)
        first, last, step = match.groups()
        end = match.end()
        if first and not last:
            if text[match.end(1) : match.end(1) + 1] in ("/", "-"):
                raise ValueError(text)  # a step without a range, or half of one
            end = match.end(1)
        elif text[end : end + 1] == "/" and step is None:
            raise ValueError(text)
        found.append(_range(first, last, step, field))
        at = end
        if text[at : at + 1] != ",":
            break
        at += 1
    return _Part(",".join(filter(None, found)), text[at:])


def _range(first: str | None, last: str | None, step: str | None, field: _Field) -> str:
    if step is not None and (not step.isdigit() or int(step) == 0):
        raise ValueError(step)
    if first is None:
        return f"*/{step}" if step else "*"
    low = _number(first, field)
    if last is None:
        return str(low)
    high = _number(last, field)
    if low > high:
        return ""
    return f"{low}-{high}/{step}" if step else _span(low, high)


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _number(text: str, field: _Field) -> int:
    if text.lower() in field.names:
        return field.names.index(text.lower()) + (field.low if field.low == 1 else 0)
    if not text.isdigit() or len(text) > 18 or not field.low <= int(text) <= field.high:
        raise ValueError(text)
    return int(text)


def _is_random(text: str, field: _Field) -> bool:
    """Tell whether cronie takes a random value from this field: `~`, `0~59`, `~30`."""
    first, tilde, last = text.partition("~")
    try:
        for end in filter(None, (first, last)):
            _number(end, field)
    except ValueError:
        return False
    return bool(tilde)


def _runs_to_sunday(text: str, field: _Field, dialect: Dialect) -> bool:
    """Tell whether cronie reads the Sunday at the end of this range as day 7: `fri-sun`."""
    match = re.fullmatch(r"(\w+)-(sun|0)", text, re.IGNORECASE)
    if dialect != "cronie" or field.high != 7 or not match:
        return False
    return _number(match[1], field) > 0


def _sunday(text: str) -> str:
    return f"{_number(text.partition('-')[0], _FIELDS[4])}-7"


def _busybox(text: str, field: _Field) -> _Part:
    """Return a field as busybox crond reads it: ParseField() in crond.c.

    Numbers must be in range, a range may wrap round, and the last day of the week is 6.
    Raises ValueError where crond reports a parse error; it may run such a job every minute.
    """
    numbers: set[int] = set()
    high = 6 if field.high == 7 else field.high
    for item in text.split(","):
        if item == "7" and field.high == 7:
            numbers.add(0)
            continue
        match = re.fullmatch(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?", item, re.ASCII)
        if not match:
            raise ValueError(text)
        step = int(match[4] or 1)
        # A day of the month is an index into an array that begins with day 0.
        first = (0 if field.high == 31 else field.low) if match[1] else _number(match[2], field)
        last = high if match[1] else _number(match[3] or match[2], field)
        if max(first, last) > high or step == 0:
            raise ValueError(text)
        every = (
            range(first, last + 1) if first <= last else (*range(first, high + 1), *range(last + 1))
        )
        numbers |= {number for number in list(every)[::step] if number >= field.low}
    if numbers >= set(range(field.low, high + 1)):
        return _Part("*")
    return _Part(",".join(map(str, sorted(numbers))))


_MOST_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _has_no_such_day(parts: list[str]) -> bool:
    """Tell whether only a date such as 31 February could match."""
    day, month, weekday = parts[2:]
    if day.startswith("*") or not (weekday.startswith("*") or day.startswith("*")):
        return False
    least = min(_values(day, _FIELDS[2]))
    return all(least > _MOST_DAYS[number - 1] for number in _values(month, _FIELDS[3]))


def _values(text: str, field: _Field) -> set[int]:
    found: set[int] = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        low, high = (field.low, field.high) if span == "*" else (int(first), int(last or first))
        found |= set(range(low, high + 1, int(step or 1)))
    return found


@lru_cache(maxsize=4096)
def in_words(schedule: Schedule, text: str) -> str:
    """Return what a person would say; text: the schedule as written."""
    if schedule.kind == "reboot":
        return "At boot"
    if schedule.kind == "random":
        return f"At random, within {text}"
    if schedule.expression is None:
        return "Never"
    from cronsim import CronSim

    return CronSim(schedule.expression, datetime(2000, 1, 1)).explain()


# When it is due


def next_due(schedule: Schedule, after: float, zone: tzinfo | None = None) -> float | None:
    """Return the next minute after `after` at which the daemon starts the job, None without one.

    Both are seconds since the epoch. zone: the daemon's time zone, None for the system's.

    cronsim finds the times by the calendar; the clock's changes are applied here, by the rules
    of Vixie's cron: a job with `*` in minute or hour runs whenever the clock shows its time.
    Any other job runs once: right after the gap if its time is skipped, and only the first
    time if its time comes twice.
    """
    if schedule.expression is None:
        return None
    from cronsim import CronSim

    start = _wall(after, zone)
    if _is_regular(start, zone):
        time = next(CronSim(schedule.expression, start), None)
        if time is None or _is_regular(time, zone):
            return None if time is None else _instant(time, zone)
    best: tuple[float, datetime] | None = None
    for time in CronSim(schedule.expression, start - _LONGEST_SHIFT):
        # An earlier time that comes twice may be due later than one behind it.
        if best and time > best[1] + _LONGEST_SHIFT:
            break
        for moment in _moments(time, schedule.is_wild, zone):
            if moment > after and (best is None or moment < best[0]):
                best = moment, time
    return best[0] if best else None


def _moments(time: datetime, is_wild: bool, zone: tzinfo | None) -> list[float]:
    """Return when the job runs for which the calendar says `time`."""
    first, second = _instant(time, zone), _instant(time.replace(fold=1), zone)
    if _wall(first, zone) != time:
        return [] if is_wild else [_end_of_gap(first, zone)]
    return [first, second] if is_wild and second != first else [first]


def _end_of_gap(moment: float, zone: tzinfo | None) -> float:
    """Return the first minute after the gap. moment: a skipped time by the clock before it."""
    shift = _wall(moment, zone).replace(tzinfo=UTC).timestamp() - moment
    while _wall(moment - 60, zone).replace(tzinfo=UTC).timestamp() - (moment - 60) == shift:
        moment -= 60
    return moment


@lru_cache(maxsize=4096)
def _is_regular(time: datetime, zone: tzinfo | None) -> bool:
    """Tell whether the clock does not change within a few hours of `time`."""
    earlier, later = time - 2 * _LONGEST_SHIFT, time + 2 * _LONGEST_SHIFT
    return _instant(later, zone) - _instant(earlier, zone) == (later - earlier).total_seconds()


def _wall(moment: float, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(moment, zone).replace(tzinfo=None, fold=0)


def _instant(time: datetime, zone: tzinfo | None) -> float:
    return time.replace(tzinfo=zone).timestamp()
