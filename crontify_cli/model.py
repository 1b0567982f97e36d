"""The tuples that travel between the rooms.

Not for use before the spawn: `typing.NamedTuple` alone costs as much as the
whole fast path.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

PingKind = Literal["start", "success", "fail"]
Meta = Mapping[str, int | float]


class Ping(NamedTuple):
    """One request to `POST /ping/:monitorId/{kind}`.

    `error_message` and `log_output` belong to a `fail` only; their lengths are
    already within CONTRACT.md's limits. An empty `meta` is left out of the body.
    """

    monitor_id: str
    kind: PingKind
    meta: Meta = MappingProxyType({})
    error_message: str | None = None
    log_output: str | None = None


class Answer(NamedTuple):
    """What came of one request: the facts, without a judgement what to do next.

    fate: "received" (2xx), "refused" (another status), "unsent" (the server
        never got it: no connection, DNS, TLS), "unknown" (sent, but no answer).
    status: the HTTP status, None where there was none.
    run_id: the server's run id from a 2xx, None where it gave none.
    message: the server's own words for a refusal, else the cause in one line;
        never holds a secret.
    retry_after: seconds to wait, from `Retry-After` (either form) or the number
        of seconds in the message; None where the answer says nothing.
    """

    fate: Literal["received", "refused", "unsent", "unknown"]
    status: int | None = None
    run_id: str | None = None
    message: str = ""
    retry_after: float | None = None
