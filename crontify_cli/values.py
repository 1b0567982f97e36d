"""Parsers for the values of flags and settings: text in, value or ValueError out.

Every ValueError holds a message for the user. Loaded before the job starts, so `regex` is
imported only when there is a regular expression to check.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from regex import Pattern

OUTPUT = ("all", "on-failure", "none")
"""When the job's output is printed."""
START = ("auto", "always", "never")
OVERLAP = ("allow", "skip", "wait")
"""What to do if another run of the monitor is still active."""

Codes = tuple[tuple[int, int], ...]
"""Exit codes as inclusive ranges: `0,20-25` is `((0, 0), (20, 25))`."""


def parse_monitor(name: str) -> str:
    """Return `name` if it is safe in a URL and in a file name; else raise ValueError.

    Allowed are at most 128 of RFC 3986's unreserved characters, but not the names `.`
    and `..`. The names of monitor sections in the config follow the same rule.
    """
    safe = name.isascii() and all(c.isalnum() or c in "-._~" for c in name)
    if not safe or not 0 < len(name) <= 128 or name in (".", ".."):
        raise ValueError(
            f"invalid monitor {name!r}: use letters, digits, '-', '.', '_' and '~', at most 128"
        )
    return name


def parse_argument_monitor(name: str) -> str:
    """Return `name` if `crontify exec` takes it for its MONITOR; else raise ValueError."""
    if name.startswith("-"):
        raise ValueError(f"invalid monitor {name!r}: exec takes it for an option")
    return parse_monitor(name)


def one_of(*choices: str) -> "Callable[[str], str]":
    """Return a parser that accepts only `choices`."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}, got {_short(text)}")
        return text

    return parse


def parse_argv0(name: str) -> str:
    """Return `name` if a process can have it as its own; raises ValueError."""
    if not name:
        raise ValueError("a process cannot have an empty name")
    return name


def parse_codes(text: str) -> Codes:
    """Return the exit codes listed in `text`, as `0,24` or `0,20-25`; raises ValueError."""
    ranges = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not (first.isdigit() and last.isdigit() and first.isascii() and last.isascii()):
            raise ValueError(f"invalid list of exit codes {text!r}: write 0,24 or 0,20-25")
        if not int(first) <= int(last) <= 255:
            raise ValueError(f"invalid exit codes {part.strip()!r}: they go from 0 to 255")
        ranges.append((int(first), int(last)))
    return tuple(ranges)


def parse_count(text: str) -> int:
    """Return a whole number from 0 to 1,000,000; raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and int(text) <= 1_000_000):
        raise ValueError(f"invalid number {text!r}: write a whole number from 0 to 1000000")
    return int(text)


def parse_meta(text: str) -> "tuple[str, int | float]":
    """Return name and number of `KEY=NUMBER`; raises ValueError.

    CONTRACT.md, "Requests": a name is `[A-Za-z0-9_]`, at most 50 characters, because
    only such names can be used in an alert rule; a number is finite.
    """
    name, equals, number = text.strip().partition("=")
    name, number = name.strip(), number.strip()
    if not equals or not number:
        raise ValueError(f"expected KEY=NUMBER, got {_short(text)}")
    if not (0 < len(name) <= 50 and name.isascii() and name.replace("_", "a").isalnum()):
        raise ValueError(
            f"invalid meta name {_short(name)}: use letters, digits and '_', at most 50"
        )
    try:
        return name, parse_number(number)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def parse_number(text: str) -> "int | float":
    """Return a finite decimal number, as an int if it has no fraction; raises ValueError.

    `1_000`, `nan`, `inf` and `0x10` are not accepted.
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

    Raises ValueError if it is not a regular expression.
    """
    import regex

    try:
        return regex.compile(text, regex.MULTILINE if multiline else 0)
    except (regex.error, ValueError, RecursionError, OverflowError) as error:
        raise ValueError(f"invalid regular expression {_short(text)}: {error}") from None


def parse_regex(text: str) -> str:
    """Return `text` if it is a regular expression; raises ValueError."""
    compile_regex(text)
    return text


def parse_meta_regex(text: str) -> str:
    """Return `text` if it is a regular expression whose named groups are meta names.

    Raises ValueError otherwise, and if there are no named groups.
    """
    names = compile_regex(text).groupindex
    if not names:
        raise ValueError(f"no named group in {_short(text)}: write one as (?P<rows>\\d+)")
    for name in names:
        parse_meta(f"{name}=0")
    return text


_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}

LONGEST = 10_000 * 86400.0
"""The longest duration, 27 years, in seconds. Ten times that overflows the system's timers."""


def parse_duration(text: str) -> float:
    """Return a duration in seconds; raises ValueError.

    A plain number means seconds. Otherwise numbers are followed by the units d, h, m
    and s, each at most once and in this order: `1h30m`, `1m0.5s`.
    """
    seconds = _seconds(text)
    if seconds > LONGEST:
        raise ValueError(f"invalid duration {text!r}: the longest is 10000d")
    return seconds


def _seconds(text: str) -> float:
    problem = f"invalid duration {text!r}: write 90, 90s, 5m, 1h30m or 2d"
    if _is_decimal(text):
        return float(text)
    seconds, digits, units = 0.0, "", list(_UNITS)
    for char in text:
        if char not in _UNITS:
            digits += char
            continue
        if char not in units or not _is_decimal(digits):
            raise ValueError(problem)
        seconds += float(digits) * _UNITS[char]
        units = units[units.index(char) + 1 :]
        digits = ""
    if digits or not text:
        raise ValueError(problem)
    return seconds


def _is_decimal(text: str) -> bool:
    whole, dot, fraction = text.partition(".")
    digits = whole.isdigit() and (fraction.isdigit() or not dot)
    return text.isascii() and len(text) <= 15 and digits


def format_duration(seconds: float) -> str:
    """Return a duration in the same notation: `0.25s`, `30s`, `5m`, `1h30m`."""
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    rest, text = round(seconds), ""
    for unit, length in _UNITS.items():
        count, rest = divmod(rest, int(length))
        if count:
            text += f"{count}{unit}"
    return text
