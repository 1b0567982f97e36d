"""Secrets: API keys, user tokens and other values that must not be shown."""

import math
from typing import NamedTuple

LONGEST = 16 * 1024  # characters; servers usually accept at most 8 KiB in a header
_VARIABLES = ("CRONTIFY_API_KEY", "CRONTIFY_TOKEN")
_held: dict[str, None] = {}


class Secret:
    """A text that is not shown by repr(); only `reveal()` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        _held[text] = None

    def reveal(self) -> str:
        """Return the text, to send it in a request or to mask it in other texts."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class Credential(NamedTuple):
    """Where an API key or a token comes from; `credentials.obtain` reads it.

    value: the secret itself, the name of a file, or a command.
    setting: where it was configured, for messages.
    key: the name of the setting, such as `api_key_file`.
    """

    value: Secret | str | tuple[str, ...]
    setting: str
    key: str


def parse_secret(text: str) -> str:
    """Return `text`, stripped, if it can be sent in a header.

    Quotes around it, and `CRONTIFY_API_KEY=` or `CRONTIFY_TOKEN=` in front of it, are removed.
    Raises ValueError with a message that does not contain the text.
    """
    text = text.strip().removeprefix("export ").strip()
    name, equals, value = text.partition("=")
    if equals and name in _VARIABLES:  # a file that was meant for a shell
        text = value.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    if not text:
        raise ValueError("empty: expected a key or token")
    if equals and name not in _VARIABLES and _is_variable(name) and value.strip("="):
        raise ValueError("not a key or token: it looks like NAME=VALUE; write only the VALUE")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(
            "not a key or token: it contains a space, a control or a non-ASCII character"
        )
    if len(text) > LONGEST:
        raise ValueError("not a key or token: it is too long")
    _held[text] = None
    return text


def _is_variable(name: str) -> bool:
    return name.isascii() and name.isidentifier() and name == name.upper()


def held_secrets() -> tuple[str, ...]:
    """Return every secret that this process has read, so that all can be masked."""
    return tuple(_held)


def mask(text: str) -> str:
    """Return the part of a secret that may be shown: its prefix and at most four characters.

    For example `ck_live_…1234`, `…1234`, or `…` for a short one.
    """
    start = text[:8] if text.startswith(("ck_live_", "ck_test_")) else ""
    end = text[-4:] if len(text) - len(start) >= 16 else ""
    return f"{start}…{end}"


def expires_at(token: str) -> float | None:
    """Return the `exp` of a JSON Web Token, in seconds since the epoch (RFC 7519, 4.1.4).

    None if `token` is no such token or does not expire. The signature is not checked:
    only the server has the key for that.
    """
    import base64
    import json

    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        # base64url has no padding (RFC 7515, 2); Python ignores padding in excess.
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
        end = float(claims["exp"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
    return end if math.isfinite(end) else None
