"""The tuples that travel between the rooms.

Not for use before the spawn: `typing.NamedTuple` alone costs as much as the
whole fast path.
"""

import os
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from crontify_cli import processes

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


class Run(NamedTuple):
    """One `exec` as the journal begins it: what was known right after the spawn.

    id: 12 hexadecimal digits, ours. monitor: as it was typed. command: masked.
    wrapper, job: (pid, start time in clock ticks since boot). started_at: seconds
    since the epoch.
    """

    id: str
    monitor: str
    monitor_id: str
    base_url: str
    command: tuple[str, ...]
    wrapper: tuple[int, int]
    job: tuple[int, int]
    boot_id: str
    started_at: float


def new_run(
    run_id: str,
    monitor: str,
    command: Sequence[str],
    *,
    job: tuple[int, int] = (0, 0),
    started_at: float | None = None,
) -> Run:
    """Return a run of this process, as far as it is known without the settings.

    job: the job's pid and start time, as for `Run`. started_at: seconds since the epoch,
    by default now. `journal.completed` adds what the settings say.
    """
    me = os.getpid(), processes.start_time(os.getpid())
    started = time.time() if started_at is None else started_at
    boot = processes.boot_id()
    return Run(run_id, monitor, monitor, "", tuple(command), me, job, boot, started)


Outcome = Literal["success", "fail", "tolerated", "skipped", "lost"]
"""How a run ended. tolerated: failed, but reported as success (`--tolerate`). skipped: did
not start (`--overlap skip`). lost: its wrapper or its host died, reported as fail."""


class Ending(NamedTuple):
    """How a run ended.

    reason: in words, as in the report's message, without a telling line.
    exit_code: what `exec` returned, None for a lost run. duration: seconds.
    """

    outcome: Outcome
    reason: str
    exit_code: int | None
    ended_at: float
    duration: float | None
    meta: Meta = MappingProxyType({})
    excerpt: str | None = None
