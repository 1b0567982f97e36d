"""The kinds of value that a setting can have: what is accepted, and what it becomes.

`read` takes what stands in TOML, in the environment or behind a flag; `write` takes
the words of `crontify config set` and returns what to put in the file.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from crontify_cli.config.secret import Secret, parse_secret
from crontify_cli.values import (
    LONGEST,
    Codes,
    parse_codes,
    parse_count,
    parse_duration,
    parse_meta_regex,
    parse_monitor,
    parse_regex,
)


class Kind(NamedTuple):
    """One kind of value.

    name: what the manual calls it.
    read: raw value to typed value; raises ValueError with a message that never
        holds a secret.
    write: words to raw value; raises ValueError. Its result still has to pass `read`.
    """

    name: str
    read: Callable[[object], object]
    write: Callable[[Sequence[str]], object]


def _one(words: Sequence[str]) -> str:
    if len(words) != 1:
        raise ValueError(f"one value, not {len(words)}: put it in quotes")
    return words[0]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a string: put it in quotes")
    return value


def _text_kind(name: str, parse: Callable[[str], object]) -> Kind:
    return Kind(name, lambda value: parse(_text(value)), _one)


def _read_duration(value: object) -> float:
    if isinstance(value, str):
        value = parse_duration(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError('not a duration: write a number of seconds, or "90s", "5m", "1h30m"')
    if not 0 <= value <= LONGEST:  # NaN among it
        raise ValueError("not a duration from 0 to 10000d")
    return float(value)


def _read_pause(value: object) -> float:
    seconds = _read_duration(value)
    if seconds <= 0:
        raise ValueError("not a duration above zero")
    return seconds


def _write_duration(words: Sequence[str]) -> object:
    text = _one(words)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 15 else text


def _read_count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("not a whole number")
    # Digits without end would fail in str() (Python's limit is 4300) before parse_count.
    return parse_count(str(value) if abs(value) < 10**9 else "too large")


def _read_switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("not true or false")
    return value


def _write_switch(words: Sequence[str]) -> bool:
    switches = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    text = _one(words).lower()
    if text not in switches:
        raise ValueError("not true or false")
    return switches[text]


def _read_codes(value: object) -> Codes:
    if isinstance(value, str):
        return parse_codes(value)
    if isinstance(value, tuple):  # a flag's, already parsed
        return value
    ranges = []
    for code in value if isinstance(value, list) else [value]:
        if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 255:
            raise ValueError('not exit codes from 0 to 255: write [0, 24] or "0,20-25"')
        ranges.append((code, code))
    if not ranges:
        raise ValueError("no exit code in the list")
    return tuple(ranges)


def _list_kind(name: str, parse: Callable[[str], str]) -> Kind:
    def read(value: object) -> tuple[str, ...]:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(parse(_text(item)) for item in items)

    return Kind(name, read, list)


OUTPUT = ("all", "on-failure", "none")  # as --output of exec; a test holds the two equal


def _parse_output(text: str) -> str:
    if text not in OUTPUT:
        raise ValueError(f"not one of {', '.join(OUTPUT)}")
    return text


def _parse_path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("not a file name")
    import os

    return os.path.expanduser(text)


def _read_command(value: object) -> tuple[str, ...]:
    """Return program and arguments; a string is split as a shell would, without one."""
    if isinstance(value, str):
        import shlex

        try:
            words = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"not a command: {str(error).lower()}") from None
    elif isinstance(value, list) and all(isinstance(word, str) for word in value):
        words = list(value)
    else:
        raise ValueError("not a command: write a string or a list of strings")
    if not words or not words[0] or any("\0" in word for word in words):
        raise ValueError("not a command: it names no program")
    return tuple(words)


def _write_command(words: Sequence[str]) -> object:
    return words[0] if len(words) == 1 else list(words)


def _check_url(text: str, schemes: tuple[str, ...], *, with_user: bool) -> None:
    """Raise ValueError, never with the URL's text in it: a password may stand there."""
    from urllib.parse import urlsplit

    if not text.isprintable() or " " in text:  # urlsplit would drop some of these
        raise ValueError("not a URL: it has a space or a control character")
    try:
        url = urlsplit(text)
        port_or_default = url.port  # raises for a bad one
    except ValueError:
        raise ValueError("not a URL: host or port is wrong") from None
    if url.scheme not in schemes or not url.hostname or port_or_default == 0:
        raise ValueError(f"not a URL with {' or '.join(schemes)} and a host")
    if "@" in url.netloc and not with_user:
        raise ValueError("a URL here has no user and password")
    if url.query or url.fragment:
        raise ValueError("a URL here has no query and no fragment")


def _parse_base_url(text: str) -> str:
    _check_url(text, ("http", "https"), with_user=False)
    return text.rstrip("/?#")


def _parse_proxy(text: str) -> Secret:
    _check_url(text, ("http", "https"), with_user=True)
    return Secret(text)


# Ours to set: overwritten, they would break the request or hide the key's origin.
_OWN_HEADERS = ("x-api-key", "content-type", "content-length", "transfer-encoding", "host")


def read_header(name: str, value: object) -> Secret:
    """Return a header's value; raises ValueError for what HTTP does not allow (RFC 9110, 5)."""
    if not name or not all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name):
        raise ValueError("not a header's name")
    if name.lower() in _OWN_HEADERS:
        raise ValueError("this header is crontify's own")
    text = _text(value).strip()
    if not text.isascii() or not text.isprintable():
        raise ValueError("not a header's value: only printable ASCII")
    return Secret(text)


def _read_headers(value: object) -> Mapping[str, Secret]:
    if not isinstance(value, Mapping):
        raise ValueError("not a table of headers")
    return {name: read_header(name, text) for name, text in value.items()}


SECRET = _text_kind("secret", lambda text: Secret(parse_secret(text)))
PATH = _text_kind("file", _parse_path)
COMMAND = Kind("command", _read_command, _write_command)
BASE_URL = _text_kind("URL", _parse_base_url)
PROXY = _text_kind("URL", _parse_proxy)
HEADERS = Kind("table", _read_headers, _one)
DURATION = Kind("duration", _read_duration, _write_duration)
PAUSE = Kind("duration", _read_pause, _write_duration)
COUNT = Kind("number", _read_count, lambda words: parse_count(_one(words)))
SWITCH = Kind("true or false", _read_switch, _write_switch)
CODES = Kind("exit codes", _read_codes, _one)
OUTPUT_MODE = _text_kind("all, on-failure or none", _parse_output)
MONITOR = _text_kind("monitor", parse_monitor)
REGEXES = _list_kind("list of regular expressions", parse_regex)
META_REGEXES = _list_kind("list of regular expressions", parse_meta_regex)
