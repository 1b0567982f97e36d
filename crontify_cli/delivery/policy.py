"""What to do next, for an attempt and its answer: CONTRACT.md, "Answers", row by row.

Pure: no clock, no network, and chance comes in as an argument.
"""

import random
from collections.abc import Callable
from math import inf
from typing import Literal, NamedTuple

from crontify_cli.delivery.answers import ASKS_TO_WAIT
from crontify_cli.model import Answer, Ping

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 8.0
"""Seconds: pauses double from the first to the longest, each with full jitter."""

UNSENT_BUDGET = 3.0
"""Seconds in the foreground for a server that cannot be reached at all."""

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
    """What becomes of a ping.

    verdict:
        "delivered": the server has it.
        "retry": again after `pause`.
        "keep": not within the budget; a queued report is due again in `pause`.
        "give_up": the server will never take it; `message` says what to mend.
        "drop": a start that may have arrived. A second one would close the run
            as overlapped, so it is over and done.
    pause: seconds.
    message: for a person, in one line; empty when delivered.
    waits_for_rate_limit: `pause` comes out of the rate limit's budget.
    """

    verdict: Literal["delivered", "retry", "keep", "give_up", "drop"]
    pause: float = 0.0
    message: str = ""
    waits_for_rate_limit: bool = False


def decide(
    ping: Ping,
    attempts: int,
    answer: Answer,
    budget: Budget = UNLIMITED,
    *,
    jitter: Callable[[], float] = random.random,
) -> Next:
    """Return what to do after the `attempts`-th attempt (from 1) was answered so.

    jitter: returns numbers from 0 to 1.
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


def _wait_as_told(answer: Answer, budget: Budget, jitter: Callable[[], float]) -> Next:
    told = answer.retry_after
    # A little more, so that the jobs of one minute do not all come back in the same instant.
    pause = (RATE_LIMIT_PAUSE if told is None else max(told, 0.0)) + jitter() * 0.5
    verdict: Literal["retry", "keep"] = "retry" if pause <= budget.rate_limit else "keep"
    message = f"the server asks to wait ({answer.status}: {answer.message})"
    return Next(verdict, pause, message, waits_for_rate_limit=True)


def _again(attempts: int, answer: Answer, budget: Budget, jitter: Callable[[], float]) -> Next:
    # The exponent is held down: 2.0 ** 1100 is an OverflowError.
    ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempts - 1, 10))
    pause = max(ceiling * min(max(jitter(), 0.0), 1.0), answer.retry_after or 0.0)
    left = min(budget.report, budget.unsent) if answer.fate == "unsent" else budget.report
    message = f"{answer.status}: {answer.message}" if answer.status else answer.message
    return Next("retry" if pause <= left else "keep", pause, message)


def _what_to_mend(ping: Ping, answer: Answer) -> str:
    said = f"({answer.status}: {answer.message})"
    if answer.status == 401:
        return (
            f"the server does not accept the API key {said}: check api_key in the config,"
            " CRONTIFY_API_KEY or --api-key-file"
        )
    if answer.status == 404:
        return (
            f"no monitor {ping.monitor_id!r} in the API key's account {said}:"
            " check the monitor's id, or which key is used"
        )
    if 300 <= (answer.status or 0) < 400:
        return f"{answer.message}: check base_url"
    return f"the server rejected the {ping.kind} of monitor {ping.monitor_id!r} {said}"
