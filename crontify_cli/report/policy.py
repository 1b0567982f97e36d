"""What to do next, for an attempt and its answer: CONTRACT.md, "Answers", and nothing else.

Pure: no clock, no network. Budgets are the caller's.
"""

import random
from collections.abc import Callable
from typing import Literal, NamedTuple

from crontify_cli.model import Answer, Ping
from crontify_cli.report.answers import ASKS_TO_WAIT

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 8.0
"""Seconds: pauses double from the first to the longest, each with full jitter."""

UNSENT_BUDGET = 3.0
"""Seconds in the foreground for a server that cannot be reached at all."""

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0
"""Seconds between which the upper bound of a pause doubles with each attempt."""
RATE_LIMIT_PAUSE = 60.0
"""Seconds where a 429 does not say how long: the free plan's interval."""


class Budget(NamedTuple):
    """Seconds that may still be spent waiting in the foreground.

    report: for anything but a rate limit (`report_timeout`).
    rate_limit: for a rate limit (`rate_limit_wait`).
    unsent: for a server that cannot be reached; at most `report`.
    """

    report: float = inf
    rate_limit: float = inf
    unsent: float = inf


UNLIMITED = Budget()


class Next(NamedTuple):
    """verdict: "delivered"; "retry" after `pause` seconds; "refused" for good; "dropped", since
    another attempt would do harm. rate_limited: the server named the pause. message: one
    line for a person, empty when delivered."""

    verdict: Literal["delivered", "retry", "refused", "dropped"]
    message: str = ""
    pause: float = 0.0
    rate_limited: bool = False


def decide(
    kind: PingKind,
    monitor_id: str,
    attempts: int,
    answer: Answer,
    jitter: Callable[[], float] = random.random,
) -> Next:
    """Return what follows from the answer to attempt number `attempts` (from 1).

    jitter: a number from 0 to 1; pauses are spread over their whole range by it.
    """
    if answer.fate == "received":
        return Next("delivered")
    if answer.fate == "unknown" and ping.kind == "start":
        return Next("drop", message=f"{answer.message}; the start may have arrived: not sent again")
    if answer.fate == "refused" and answer.status in ASKS_TO_WAIT:
        return _wait_as_told(answer, budget, jitter)
    if answer.fate == "refused" and (answer.status or 0) < 500:
        return Next("give_up", message=_what_to_mend(ping, answer))
    return _again(attempts, answer, budget, jitter)


def _pause(attempts: int, jitter: Callable[[], float]) -> float:
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempts - 1, 16)) * jitter()


def _explain(status: int, monitor_id: str) -> str:
    if status == 401:
        return "HTTP 401, the API key is missing or invalid (mend api_key or api_key_file)"
    if status == 404:
        return f"HTTP 404, no monitor {monitor_id} in this key's account (check its id)"
    if 300 <= status < 400:
        return f"HTTP {status}, the address is wrong (mend base_url)"
    return f"HTTP {status}"
