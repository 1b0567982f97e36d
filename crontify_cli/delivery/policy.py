"""What to do next after an attempt and its answer: CONTRACT.md, "Answers", row by row.

Pure: no clock and no network, and random numbers are passed in.
"""

import re
from collections.abc import Callable
from math import inf
from typing import Literal, NamedTuple

from crontify_cli.delivery.answers import ASKS_TO_WAIT
from crontify_cli.delivery.pace import RATE_LIMIT_PAUSE
from crontify_cli.model import Answer, Ping

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 8.0
"""Seconds: pauses double from the first to the longest, each with full jitter."""

FIRST_TOLD_PAUSE = 1.0
LONGEST_TOLD_PAUSE = 60.0
"""The same for an answer that asks us to wait: what it tells is a minimum."""

UNSENT_PATIENCE = 3.0
"""Seconds in the foreground for a server that cannot be reached at all."""


class Remaining(NamedTuple):
    """Seconds that may still be spent waiting in the foreground.

    report: for anything but a rate limit (`report_timeout`).
    rate_limit: for a rate limit (`rate_limit_wait`).
    unsent: for a server that cannot be reached; at most `report`.
    """

    report: float = inf
    rate_limit: float = inf
    unsent: float = inf


UNLIMITED = Remaining()


class Decision(NamedTuple):
    """What becomes of a ping.

    verdict:
        "delivered": the server has it.
        "retry": send it again after `pause`.
        "keep": there is no time left; a queued report is due again in `pause`.
        "give_up": the server will never accept it; `message` says what to correct.
        "drop": a start that may have arrived. A second one would close the run
            as overlapped, so it is not sent again.
    pause: seconds.
    message: one line for a person; empty when delivered.
    waits_for_rate_limit: whether `pause` counts against `Remaining.rate_limit`.
    """

    verdict: Literal["delivered", "retry", "keep", "give_up", "drop"]
    pause: float = 0.0
    message: str = ""
    waits_for_rate_limit: bool = False


def _random() -> float:
    from random import random  # not loaded before a failure: it loads OpenSSL's hashes

    return random()  # noqa: S311 - a pause is no secret


def decide(
    ping: Ping,
    attempts: int,
    answer: Answer,
    left: Remaining = UNLIMITED,
    *,
    jitter: Callable[[], float] = _random,
) -> Decision:
    """Return what to do after attempt number `attempts` (from 1) was answered with `answer`.

    jitter: returns numbers from 0 to 1.
    """
    if answer.fate == "received":
        return Decision("delivered")
    if answer.fate == "unknown" and answer.status:  # answered, but not accepted
        verdict: Literal["drop", "keep"] = "drop" if ping.kind == "start" else "keep"
        return Decision(verdict, answer.retry_after or 0.0, answer.message)
    if answer.fate == "unknown" and ping.kind == "start":
        message = f"{answer.message}; the start may have arrived, so it is not sent again"
        return Decision("drop", message=message)
    if answer.fate == "refused" and answer.status in ASKS_TO_WAIT:
        return _wait_as_told(attempts, answer, left, jitter)
    if answer.fate == "refused" and (answer.status or 0) < 500:
        return Decision("give_up", message=_what_to_correct(ping, answer))
    return _again(attempts, answer, left, jitter)


def is_about_monitor(answer: Answer) -> bool:
    """Tell whether a 404 is about the monitor, and not about the address of the request."""
    words = answer.message
    if re.search(r"(?i)\bcannot (get|post)\b|\bno such (address|endpoint|route)\b", words):
        return False
    return answer.is_api and bool(re.search(r"(?i)\bmonitor\b", words))


def is_about_log(answer: Answer) -> bool:
    """Tell whether a failure may be accepted without its log: it is too large, or rejected."""
    is_named = "logOutput" in answer.message
    return answer.status == 413 or (answer.status in (400, 422) and is_named)


def blames_settings(answer: Answer) -> bool:
    """Tell whether the answer may be another one once the settings are corrected.

    These are the base URL, the API key, the monitor's id, the proxy and the headers.
    """
    status = answer.status or 0
    is_refusal = status in (401, 404, 407) or 300 <= status < 400
    return not answer.is_api or (answer.fate == "refused" and is_refusal)


def _wait_as_told(
    attempts: int, answer: Answer, left: Remaining, jitter: Callable[[], float]
) -> Decision:
    told = RATE_LIMIT_PAUSE if answer.retry_after is None else answer.retry_after
    own = _ceiling(attempts, FIRST_TOLD_PAUSE, LONGEST_TOLD_PAUSE)
    # A little more, so that the jobs of one minute do not all come back in the same instant.
    pause = max(told, own) + jitter() * 0.5
    verdict: Literal["retry", "keep"] = "retry" if pause <= left.rate_limit else "keep"
    message = f"the server asks to wait ({answer.status}: {answer.message})"
    return Decision(verdict, pause, message, waits_for_rate_limit=True)


def _again(attempts: int, answer: Answer, left: Remaining, jitter: Callable[[], float]) -> Decision:
    own = _ceiling(attempts, FIRST_PAUSE, LONGEST_PAUSE) * min(max(jitter(), 0.0), 1.0)
    pause = max(own, answer.retry_after or 0.0)
    seconds = min(left.report, left.unsent) if answer.fate == "unsent" else left.report
    message = f"{answer.status}: {answer.message}" if answer.status else answer.message
    return Decision("retry" if pause <= seconds else "keep", pause, message)


def _ceiling(attempts: int, first: float, longest: float) -> float:
    # The exponent is limited, since 2.0 ** 1100 is an OverflowError.
    return min(longest, first * 2.0 ** min(attempts - 1, 10))


def _what_to_correct(ping: Ping, answer: Answer) -> str:
    said = f"({answer.status}: {answer.message})"
    if answer.status == 401 and answer.is_api:
        setting = answer.key_setting or "api_key in the config, CRONTIFY_API_KEY or --api-key-file"
        return f"the server rejects the API key {said}: check {setting}"
    if not answer.is_api or (answer.status == 404 and not is_about_monitor(answer)):
        return (
            f"the address of the API may be wrong {said}: check base_url first, then the id of"
            f" monitor {ping.monitor_id!r} and which key is used"
        )
    if answer.status == 404:
        return (
            f"no monitor {ping.monitor_id!r} in the API key's account {said}:"
            " check the monitor's id, or which key is used"
        )
    if 300 <= (answer.status or 0) < 400:
        return f"{answer.message}: check base_url"
    return f"the server rejected the {ping.kind} of monitor {ping.monitor_id!r} {said}"
