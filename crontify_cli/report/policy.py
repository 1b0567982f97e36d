"""What to do next, for an attempt and its answer: CONTRACT.md, "Answers", and nothing else.

Pure: no clock, no network. Budgets are the caller's.
"""

import random
from collections.abc import Callable
from typing import Literal, NamedTuple

from crontify_cli.model import Answer, PingKind

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0
"""Seconds between which the upper bound of a pause doubles with each attempt."""
RATE_LIMIT_PAUSE = 60.0
"""Seconds to wait where a 429 does not say how long."""
_TRY_LATER = (408, 425, 429)


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
    what = f"{kind} of {monitor_id}"
    if answer.fate == "unsent":
        return Next("retry", f"{what}: {answer.message}", _pause(attempts, jitter))
    if answer.fate == "unknown":
        message = f"{what}: sent, but not answered: {answer.message}"
        if kind == "start":  # a second one would close the first run as overlapped
            return Next("dropped", message)
        return Next("retry", message, _pause(attempts, jitter))
    status = answer.status or 0
    words = f": {answer.message}" if answer.message else ""
    if status in _TRY_LATER:
        named = answer.retry_after
        if status == 429:
            pause = RATE_LIMIT_PAUSE if named is None else named
            # Up to half a second more, so that those who wait do not all come at once.
            message = f"{what}: rate limit, to be tried again in {pause:.0f} s{words}"
            return Next("retry", message, pause + 0.5 * jitter(), rate_limited=True)
        pause = _pause(attempts, jitter) if named is None else named
        return Next("retry", f"{what}: HTTP {status}{words}", pause)
    if status >= 500:
        return Next("retry", f"{what}: HTTP {status}{words}", _pause(attempts, jitter))
    return Next("refused", f"{what} was refused: {_explain(status, monitor_id)}{words}")


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
