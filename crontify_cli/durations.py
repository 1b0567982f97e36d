"""Durations as people write them: `90`, `90s`, `5m`, `1h30m`, `2d`.

Loaded before the spawn when a flag needs it, so without `re`.
"""

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}

LONGEST = 10_000 * 86400.0
"""Seconds, 27 years: ten times more overflows the system's clocks and timers."""


def parse_duration(text: str) -> float:
    """Return the seconds that `text` names.

    A plain number is seconds. Otherwise numbers with the units d, h, m, s, each
    at most once and in this order; the last may have a fraction (`1m0.5s`).

    Raises ValueError, with a message for a person, for anything else.
    """
    seconds = _seconds(text)
    if seconds > LONGEST:
        raise ValueError(f"not a duration of at most 10000d: {text!r}")
    return seconds


def _seconds(text: str) -> float:
    problem = f"not a duration: {text!r} (write 90, 90s, 5m, 1h30m or 2d)"
    if _is_number(text):
        return float(text)
    seconds, digits, units = 0.0, "", list(_UNITS)
    for char in text:
        if char not in _UNITS:
            digits += char
            continue
        if char not in units or not _is_number(digits):
            raise ValueError(problem)
        seconds += float(digits) * _UNITS[char]
        units = units[units.index(char) + 1 :]
        digits = ""
    if digits or not text:
        raise ValueError(problem)
    return seconds


def _is_number(text: str) -> bool:
    whole, dot, fraction = text.partition(".")
    return (
        text.isascii()
        and len(text) <= 15
        and whole.isdigit()
        and (fraction.isdigit() if dot else True)
    )


def format_duration(seconds: float) -> str:
    """Return `seconds` as people write them: `0.25s`, `30s`, `5m`, `1h30m`."""
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    rest, text = round(seconds), ""
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, int(_UNITS[unit]))
        if count:
            text += f"{count}{unit}"
    return text
