"""Formats times and durations for people and for programs."""

import time
from itertools import pairwise

from crontify_cli.values import parse_duration

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))
_WEEK = 7 * 86400


def parse_moment(text: str) -> float:
    """Parse `2d` or `1w` (ago), `today`, `yesterday`, or a local date, `2026-11-20 08:30`.

    A day is its first moment, as in journalctl(1).
    Return seconds since the epoch. Raises ValueError with a message for the user.
    """
    from datetime import datetime, timedelta

    if text in ("now", "today", "yesterday"):
        day = datetime.now() - timedelta(days=text == "yesterday")
        day = day if text == "now" else day.replace(hour=0, minute=0, second=0, microsecond=0)
        return day.timestamp()
    weeks, unit, rest = text.partition("w")
    try:
        if unit and weeks.isdecimal():
            return time.time() - int(weeks) * _WEEK - (parse_duration(rest) if rest else 0)
        return time.time() - parse_duration(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"neither a duration nor a date: {text!r}; write 2d, yesterday or 2026-11-20"
        ) from None


def utc(moment: float) -> str:
    """Return the time in UTC, as `2026-11-24T05:03:12Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def local(moment: float) -> str:
    """Return the local time, as `2026-11-24 05:03:12`."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def local_short(moment: float, now: float) -> str:
    """Return `Nov 24 05:03`, or `Nov 24  2025` if that is half a year away, as ls(1) does."""
    form = "%b %e %H:%M" if abs(now - moment) < 180 * 86400 else "%b %e  %Y"
    return time.strftime(form, time.localtime(moment))


def brief(seconds: float) -> str:
    """Return a duration in at most seven characters: `0.25s`, `4.2s`, `48s`, `2m14s`, `1d4h`."""
    if seconds < 9.95:
        return f"{seconds:.2f}s" if seconds < 0.995 else f"{seconds:.1f}s"
    whole = round(seconds)
    for (size, unit), (smaller, below) in pairwise((*_UNITS, (1, "s"))):
        if whole >= size:
            count, rest = divmod(whole, size)
            return f"{count}{unit}" + (f"{rest // smaller}{below}" if rest // smaller else "")
    return f"{whole}s"


def ago(seconds: float) -> str:
    """Return how long ago something was: `just now`, `5m ago`, `3h ago`, `12d ago`."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit} ago"
    return "just now"


def rounded(seconds: float | None) -> float | None:
    """Return a number to three decimals, for JSON; None stays None."""
    return None if seconds is None else round(seconds, 3)
