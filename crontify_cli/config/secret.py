"""What a secret is among the settings: a text that hides itself, and where one is to be had."""

import base64
import json
import math
from typing import Literal, NamedTuple

LONGEST = 16 * 1024  # characters; a header line of a server has at most 8 KiB as a rule
_held: dict[str, None] = {}


def held_secrets() -> tuple[str, ...]:
    """Return every secret that this process has come to know, for a mask to hide."""
    return tuple(_held)


class Secret:
    """A text that does not show itself: only `reveal()` gives it out."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        _held[text] = None

    def reveal(self) -> str:
        """Return the text, for a request and nothing else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class Credential(NamedTuple):
    """Where a key or token is to be had; `obtain` goes and gets it.

    kind: what `value` is: the text itself, a file's name, or a program with arguments.
    setting: what a person has to mend when it cannot be had.
    key: the setting's name, as `api_key_file`.
    """

    kind: Literal["text", "file", "command"]
    value: Secret | str | tuple[str, ...]
    setting: str
    key: str


def parse_secret(text: str) -> str:
    """Return `text` without the space around it if it can stand in a header.

    Raises ValueError, with a message that does not hold it.
    """
    text = text.strip()
    if not text:
        raise ValueError("empty")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("not a key or token: it has a space, a control or a non-ASCII character")
    if len(text) > LONGEST:
        raise ValueError("not a key or token: too long")
    _held[text] = None
    return text


def mask(text: str) -> str:
    """Return what may be shown of a secret: `ck_live_…1234`, or its last four, or nothing."""
    start = text[:8] if text.startswith(("ck_live_", "ck_test_")) else ""
    end = text[-4:] if len(text) - len(start) >= 16 else ""
    return f"{start}…{end}"


def expires_at(token: str) -> float | None:
    """Return the `exp` of a JSON Web Token, in seconds since the epoch (RFC 7519, 4.1.4).

    None where the text is no such token or has no end. The signature is not checked:
    that is the server's to do, and only it has the key.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        # base64url without its padding (RFC 7515, 2); too much of it is ignored.
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
        end = float(claims["exp"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
    return end if math.isfinite(end) else None
