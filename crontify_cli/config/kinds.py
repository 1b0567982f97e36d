"""The types of settings: which values are accepted, and what they are converted to.

`read` converts a value from TOML, the environment or a flag; `write` converts the
arguments of `crontify config set` to what is written to the file. Their ValueErrors hold
a message for the user, never with a secret in it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from crontify_cli import urls
from crontify_cli.config.secret import Secret, parse_secret
from crontify_cli.values import (
    LONGEST,
    OUTPUT,
    OVERLAP,
    START,
    Codes,
    one_of,
    parse_codes,
    parse_count,
    parse_duration,
    parse_meta_regex,
    parse_monitor,
    parse_regex,
)


class Kind(NamedTuple):
    """One type of setting.

    name: what the manual calls it.
    read: raw value to typed value; raises ValueError.
    write: arguments to raw value, which `read` then checks; raises ValueError.
    """

    name: str
    read: Callable[[object], object]
    write: Callable[[Sequence[str]], object]


def _one(words: Sequence[str]) -> str:
    if len(words) != 1:
        raise ValueError(f"expected one value, got {len(words)}: put it in quotes")
    return words[0]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a string: put it in quotes")
    return value


def _text_kind(name: str, parse: Callable[[str], object]) -> Kind:
    return Kind(name, lambda value: parse(_text(value)), _one)


def _list_kind(name: str, parse: Callable[[str], str]) -> Kind:
    def read(value: object) -> tuple[str, ...]:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(parse(_text(item)) for item in items)

    return Kind(name, read, list)


def _read_duration(value: object) -> float:
    if isinstance(value, str):
        value = parse_duration(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError('invalid duration: write a number of seconds, or "90s", "5m", "1h30m"')
    if not 0 <= value <= LONGEST:  # also rejects NaN
        raise ValueError("invalid duration: write one from 0 to 10000d")
    return float(value)


def _read_pause(value: object) -> float:
    seconds = _read_duration(value)
    if seconds <= 0:
        raise ValueError("invalid duration: it must be greater than zero")
    return seconds


def _write_duration(words: Sequence[str]) -> object:
    text = _one(words)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 15 else text


def _read_count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("not a whole number")
    # str() fails for more than 4300 digits.
    return parse_count(str(value) if abs(value) < 10**9 else "too large")


def _read_switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("not a boolean: write true or false")
    return value


def _write_switch(words: Sequence[str]) -> bool:
    switches = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    text = _one(words).lower()
    if text not in switches:
        raise ValueError("not a boolean: write true or false")
    return switches[text]


def _read_codes(value: object) -> Codes:
    if isinstance(value, str):
        return parse_codes(value)
    if isinstance(value, tuple):  # from a flag, already parsed
        return value
    ranges = []
    for code in value if isinstance(value, list) else [value]:
        if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 255:
            raise ValueError('invalid exit codes: write [0, 24] or "0,20-25", from 0 to 255')
        ranges.append((code, code))
    if not ranges:
        raise ValueError("the list of exit codes is empty")
    return tuple(ranges)


def _parse_path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("not a file name")
    import os

    return os.path.expanduser(text)


def _read_command(value: object) -> tuple[str, ...]:
    """Return a program and its arguments; a string is split like a shell does it."""
    if isinstance(value, str):
        import shlex

        try:
            words = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"invalid command: {str(error).lower()}") from None
    elif isinstance(value, list) and all(isinstance(word, str) for word in value):
        words = list(value)
    else:
        raise ValueError("invalid command: write a string or a list of strings")
    if not words or not words[0] or any("\0" in word for word in words):
        raise ValueError("invalid command: it names no program")
    return tuple(words)


def _write_command(words: Sequence[str]) -> object:
    return words[0] if len(words) == 1 else list(words)


def _check_url(text: str, *, with_user: bool, schemes: Sequence[str] = ("http", "https")) -> None:
    """Raise ValueError for a bad URL. The URL is not in the message: it may hold a password."""
    if (simple := urls.simple(text)) and simple.scheme in schemes:
        return
    from urllib.parse import urlsplit

    if not text.isprintable() or " " in text:  # urlsplit would remove some of these
        raise ValueError("invalid URL: it contains a space or a control character")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError("invalid URL: check the host and the port") from None
    if url.scheme not in schemes or not url.hostname or port == 0:
        raise ValueError(
            f"invalid URL: write {'://, '.join(schemes[:-1])}:// or {schemes[-1]}:// and a host"
        )
    if "@" in url.netloc and not with_user:
        raise ValueError("invalid URL: it must not contain a user or a password")
    if url.query or url.fragment:
        raise ValueError("invalid URL: it must not contain a query or a fragment")


def _parse_base_url(text: str) -> str:
    _check_url(text, with_user=False)
    return text.rstrip("/?#")


def _parse_proxy(text: str) -> Secret:
    _check_url(text, with_user=True)
    return Secret(text)


def _parse_smtp_url(text: str) -> Secret:
    _check_url(text, with_user=True, schemes=("smtp", "smtps"))
    return Secret(text)


def _parse_address(text: str) -> str:
    name, _, domain = text.strip().rpartition("@")
    is_one = not any(char in ',;<>"()[]:\\@' or not char.isprintable() for char in name + domain)
    if not (name and domain and is_one and text.isascii()) or " " in text.strip():
        raise ValueError("not an e-mail address: write one such as crontify@example.com")
    return text.strip()


# Overriding these would break the request, or send another key than the settings name.
_OWN_HEADERS = ("x-api-key", "content-type", "content-length", "transfer-encoding", "host")


def read_header(name: str, value: object) -> Secret:
    """Return the value of a header; raises ValueError if HTTP forbids it (RFC 9110, 5)."""
    if not name or not all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name):
        raise ValueError("not a valid header name")
    if name.lower() in _OWN_HEADERS:
        raise ValueError("crontify sets this header itself; remove it")
    text = _text(value).strip()
    if not text.isascii() or not text.isprintable():
        raise ValueError("invalid header value: use printable ASCII characters only")
    return Secret(text)


def _read_headers(value: object) -> Mapping[str, Secret]:
    if not isinstance(value, Mapping):
        raise ValueError('not a table: write headers = { NAME = "VALUE" }')
    return {name: read_header(name, text) for name, text in value.items()}


SECRET = _text_kind("secret", lambda text: Secret(parse_secret(text)))
PATH = _text_kind("file", _parse_path)
COMMAND = Kind("command", _read_command, _write_command)
BASE_URL = _text_kind("URL", _parse_base_url)
PROXY = _text_kind("URL", _parse_proxy)
SMTP_URL = _text_kind("URL", _parse_smtp_url)
ADDRESS = _text_kind("e-mail address", _parse_address)
HEADERS = Kind("table", _read_headers, _one)
DURATION = Kind("duration", _read_duration, _write_duration)
PAUSE = Kind("duration", _read_pause, _write_duration)
COUNT = Kind("number", _read_count, lambda words: parse_count(_one(words)))
SWITCH = Kind("true or false", _read_switch, _write_switch)
CODES = Kind("exit codes", _read_codes, _one)
OUTPUT_MODE = _text_kind("all, on-failure or none", one_of(*OUTPUT))
OVERLAP_MODE = _text_kind("allow, skip or wait", one_of(*OVERLAP))
START_MODE = _text_kind("auto, always or never", one_of(*START))
MONITOR = _text_kind("monitor", parse_monitor)
REGEXES = _list_kind("list of regular expressions", parse_regex)
META_REGEXES = _list_kind("list of regular expressions", parse_meta_regex)
