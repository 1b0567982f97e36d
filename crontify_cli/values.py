"""Values as people write them in flags and in the config: text in, value or ValueError out.

Loaded before the spawn, so without `regex` until a regular expression is given.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from regex import Pattern

Codes = tuple[tuple[int, int], ...]
"""Exit codes as inclusive ranges: `0,20-25` is `((0, 0), (20, 25))`."""


def parse_monitor(name: str) -> str:
    """Return `name` if it can stand in a URL and in a file name.

    RFC 3986's unreserved characters, at most 128 of them, and neither `.` nor
    `..`; an alias from the config obeys the same rule.

    Raises ValueError, with a message for a person, for anything else.
    """
    safe = name.isascii() and all(c.isalnum() or c in "-._~" for c in name)
    if not safe or not 0 < len(name) <= 128 or name in (".", ".."):
        raise ValueError(
            f"not a monitor: {name!r} (write letters, digits, '-', '.', '_', '~'; at most 128)"
        )
    return name


def parse_codes(text: str) -> Codes:
    """Return the exit codes that `text` lists: `0,24` or `0,20-25`, each 0 to 255.

    Raises ValueError for anything else.
    """
    ranges = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not (first.isdigit() and last.isdigit() and first.isascii() and last.isascii()):
            raise ValueError(f"not a list of exit codes: {text!r} (write 0,24 or 0,20-25)")
        if not int(first) <= int(last) <= 255:
            raise ValueError(f"not exit codes from 0 to 255: {part.strip()!r}")
        ranges.append((int(first), int(last)))
    return tuple(ranges)


def parse_count(text: str) -> int:
    """Return the whole number from 0 to 1,000,000 that `text` is; raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and int(text) <= 1_000_000):
        raise ValueError(f"not a whole number from 0 to 1000000: {text!r}")
    return int(text)


def parse_meta(text: str) -> "tuple[str, int | float]":
    """Return name and number of `KEY=NUMBER`.

    CONTRACT.md, "Requests": a name is `[A-Za-z0-9_]`, at most 50 characters, since
    only such names can stand in an alert rule; a number is finite.

    Raises ValueError, with a message for a person, for anything else.
    """
    name, equals, number = text.strip().partition("=")
    name, number = name.strip(), number.strip()
    if not equals or not number:
        raise ValueError(f"not KEY=NUMBER: {_short(text)}")
    if not (0 < len(name) <= 50 and name.isascii() and name.replace("_", "a").isalnum()):
        raise ValueError(f"not a meta name (letters, digits, '_', at most 50): {_short(name)}")
    try:
        return name, parse_number(number)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def parse_number(text: str) -> "int | float":
    """Return the finite decimal number that `text` is, an int where it is written as one.

    Raises ValueError for anything else; `1_000`, `nan`, `inf` and `0x10` among it.
    """
    if text.isascii() and "_" not in text and len(text) <= 40:
        try:
            value = float(text)
        except ValueError:
            pass
        else:
            if value - value == 0:  # neither infinite nor NaN
                whole = text[1:] if text[:1] in "+-" else text
                # JavaScript's numbers are doubles: 2**53 is the last exact integer.
                return int(text) if whole.isdigit() and abs(value) <= 2**53 else value
    raise ValueError(f"not a number: {_short(text)}")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def compile_regex(text: str, *, multiline: bool = False) -> "Pattern[str]":
    """Return the regular expression `text` of the `regex` package.

    In its default mode, which is compatible with `re`; `(?V1)` in a pattern leaves that.

    multiline: whether `^` and `$` also match at the ends of lines.

    Raises ValueError, with a message for a person, if it is none.
    """
    import regex

    try:
        return regex.compile(text, regex.MULTILINE if multiline else 0)
    except (regex.error, ValueError, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {_short(text)}: {error}") from None


def parse_regex(text: str) -> str:
    """Return `text` if it is a regular expression; raises ValueError."""
    compile_regex(text)
    return text


def parse_meta_regex(text: str) -> str:
    """Return `text` if it is a regular expression whose named groups are meta names.

    Raises ValueError for anything else.
    """
    names = compile_regex(text).groupindex
    if not names:
        raise ValueError(f"no named group, as (?P<rows>\\d+), in {_short(text)}")
    for name in names:
        parse_meta(f"{name}=0")
    return text


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
