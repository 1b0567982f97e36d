"""How far the delivery of a report has come, and the words for it."""

import math
from typing import Literal, NamedTuple


class Trying(NamedTuple):
    """How far an attempt has come.

    host: of the server. awaits: what the attempt waits for, "" after it.
    problem: why the attempt has failed, "" if it has not; without secrets.
    """

    host: str
    awaits: Literal["connection", "answer", ""]
    problem: str = ""


def describe(trying: Trying | None, pause: float | None, *, rate_limited: bool) -> str:
    """Return in words what is waited for.

    trying: None before the first attempt. pause: seconds before the next attempt, None while
    one is made. rate_limited: whether the server asked for the pause.
    """
    if pause is not None:
        seconds = max(1, math.ceil(pause))
        if rate_limited:
            return f"rate limited; sending the report in {seconds} s"
        return f"trying again in {seconds} s: {why_undelivered(trying)}"
    if trying and trying.problem:
        return f"trying again: {trying.problem}"
    if trying is None or not trying.awaits:
        return "preparing the report"
    if trying.awaits == "connection":
        return f"connecting to {trying.host}"
    return f"waiting for an answer from {trying.host}"


def why_undelivered(trying: Trying | None) -> str:
    """Return why a report has not been delivered yet."""
    if trying is None:
        return "no attempt was made"
    if trying.problem:
        return trying.problem
    return f"no {'connection to' if trying.awaits == 'connection' else 'answer from'} {trying.host}"
