"""Moments and spans of time as a person or a program reads them."""

import time

from crontify_cli.values import parse_duration


def parse_since(text: str, now: float) -> float:
    """Return the moment that `2d` (ago) or a local date (`2026-11-20`, `2026-11-20 08:30`) names.

    Seconds since the epoch, as `now`. Raises ValueError with a message for a person.
    """
    from datetime import datetime

    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"neither a duration nor a date: {text!r} (write 2d or 2026-11-20)"
        ) from None


def utc(moment: float) -> str:
    """Return `2026-11-24T05:03:12Z`, for programs."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def local(moment: float) -> str:
    """Return `2026-11-24 05:03:12` by the clock on the wall."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def local_short(moment: float, now: float) -> str:
    """Return `Nov 24 05:03`, and of another year `Nov 24  2025`, as ls does."""
    form = "%b %e %H:%M" if abs(now - moment) < 180 * 86400 else "%b %e  %Y"
    return time.strftime(form, time.localtime(moment))


def brief(seconds: float) -> str:
    """Return a span in at most seven characters: `0.25s`, `4.2s`, `48s`, `2m14s`, `1d4h`."""
    if seconds < 9.95:
        return f"{seconds:.2f}s" if seconds < 0.995 else f"{seconds:.1f}s"
    whole = round(seconds)
    for size, unit, smaller, below in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if whole >= size:
            count, rest = divmod(whole, size)
            return f"{count}{unit}" + (f"{rest // smaller}{below}" if rest // smaller else "")
    return f"{whole}s"


def ago(seconds: float) -> str:
    """Return `just now`, `5m ago`, `3h ago`, `12d ago`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit} ago"
    return "just now"
