"""Reading what the API answered, in whatever shape it comes: CONTRACT.md, "Answers".

The bytes are a stranger's: anything may stand in them.
"""

import json
import math
import re
from typing import Literal

from crontify_cli.report.excerpt import LONGEST_LINE, Mask, one_line, unmasked

ASKS_TO_WAIT = (408, 425, 429)
"""The statuses with which a server asks for the same again, later."""

_LONGEST_WAIT = 86_400.0
_LONGEST_TEXT = 200


def run_id(body: bytes) -> str | None:
    """Return the `runId` of a ping's answer, None if it has none that could be one."""
    found = _unwrapped(body).get("runId")
    if not isinstance(found, str) or not 0 < len(found) <= 200 or not found.isprintable():
        return None
    return found


def is_page(body: bytes) -> bool:
    """Tell whether a body is a web page (or XML), which the API never answers with."""
    return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def doubt(body: bytes) -> Literal["", "page", "other", "unsuccessful"]:
    """Return why a 2xx with this body does not mean that the API accepted a ping, "" if it does.

    The API answers with a JSON object without `"success": false`, or with nothing.
    """
    if not body.strip():
        return ""
    if is_page(body):
        return "page"
    whole = _json(body)
    if not isinstance(whole, dict):
        return "other"
    return "unsuccessful" if whole.get("success") is False else ""


def log(body: bytes) -> tuple[bool, str | None]:
    """Return whether a run has a log, and the log: `{"hasLog", "content"}`, wrapped or bare.

    Raises ValueError if the answer is neither.
    """
    found = _unwrapped(body)
    has_log, content = found.get("hasLog"), found.get("content")
    if has_log is False:
        return False, None
    if has_log is not True or not isinstance(content, str):
        raise ValueError("the answer is not the log that the API documents")
    return True, content.encode("utf-8", "replace").decode()  # JSON can escape half a pair


def server_words(status: int, body: bytes, mask: Mask = unmasked) -> str:
    """Return in one line what the server says about its refusal.

    Its `message` (a string or a list), `error`, or `error.message`; else the first 200
    characters of the text; else the status's own name.
    """
    whole = _json(body)
    words = _words(whole) if isinstance(whole, dict) else ""
    most = LONGEST_LINE if words else _LONGEST_TEXT
    text = words or body[:4096].decode("utf-8", "replace")
    return one_line(text, most, mask) or _phrase(status)


def _words(whole: dict[object, object]) -> str:
    error = whole.get("error")
    inner = error.get("message") if isinstance(error, dict) else error
    for words in (whole.get("message"), inner):
        if isinstance(words, list):
            words = "; ".join(word for word in words if isinstance(word, str))
        if isinstance(words, str) and words.strip():
            return words
    return ""


def _phrase(status: int) -> str:
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no reason given"


def fields(body: bytes) -> dict[str, object]:
    """Return the object that an answer is, empty where it is none."""
    found = _json(body)
    return found if isinstance(found, dict) else {}


def _unwrapped(body: bytes) -> dict[object, object]:
    whole = _json(body)
    if not isinstance(whole, dict):
        return {}
    data = whole.get("data")
    return data if isinstance(data, dict) else whole


def _json(body: bytes) -> object:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found


def retry_after(
    status: int, field: str | None, date: str | None, words: str, now: float
) -> float | None:
    """Return how many seconds the server asks to wait, 0 to 86,400; None if it does not say.

    field: `Retry-After`, seconds or an HTTP date (RFC 9110, 10.2.3).
    date: the answer's own `Date`, by which a date in the field is read; without one
        by our clock.
    words: the server's message, in which the seed promises a number of seconds; only
        where the status asks to wait: a 504 may speak of seconds too.
    now: our clock, seconds since the epoch.
    """
    seconds = _in_field(field.strip(), date, now) if field else None
    if seconds is None and status in ASKS_TO_WAIT:
        seconds = _in_words(words.lower())
    return None if seconds is None else min(max(seconds, 0.0), _LONGEST_WAIT)


def _in_field(field: str, date: str | None, now: float) -> float | None:
    if re.fullmatch(r"\d{1,20}(?:\.\d{1,20})?", field, re.ASCII):
        return float(field)
    until = moment(field)
    if until is None:
        return None
    said_at = moment(date) if date else None
    # Whole seconds: by our finer clock up to one of them is missing.
    return until + 1 - now if said_at is None else until - said_at


def moment(date: str) -> float | None:
    """Return the moment that an HTTP date names, in seconds since the epoch; None for none."""
    if not date:
        return None
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


_AMOUNT = (
    r"(?a)(\d{1,6}(?:\.\d{1,6})?) ?"
    r"(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?)(?![a-z])"
)
_ASKED = r"(?a)\b(?:wait|again|retry|retry-after|another|next)\b[^\d]{0,40}(?=\d)"
_JOINT = r"(?:,? and |, | )?"
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def _in_words(words: str) -> float | None:
    """Return the seconds in "wait 42 seconds", "again in 1 minute 30s", "retry after 42".

    Where no word says which of several is meant, the longest: waiting too long is
    never refused again.
    """
    words = words[: 2 * LONGEST_LINE]
    if asked := re.search(_ASKED, words):
        wanted = words[asked.end() :]
        bare = re.match(r"(?a)\d{1,6}", wanted)
        if re.match(_AMOUNT, wanted):
            return _amount(wanted)
        if bare:
            return float(bare[0])
    return max(
        (_amount(words[found.start() :]) for found in re.finditer(_AMOUNT, words)), default=None
    )


def _amount(words: str) -> float:
    """Return the seconds that `words` begin with, and smaller ones after them: `1m and 30s`."""
    seconds, smaller = 0.0, math.inf
    while (found := re.match(_AMOUNT, words)) and _unit(found) < smaller:
        smaller = _unit(found)
        seconds += float(found[1]) * smaller
        words = re.sub(_JOINT, "", words[found.end() :], count=1)
    return seconds


def _unit(found: re.Match[str]) -> float:
    return 0.001 if found[2].startswith(("ms", "mil")) else _SECONDS[found[2][0]]
