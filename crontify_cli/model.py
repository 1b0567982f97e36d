"""The data types that the packages exchange: Ping, Answer, Run and Ending.

Not loaded before the job starts: importing `typing.NamedTuple` takes as long as all the
rest of that path.
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

    Only a `fail` has `error_message` and `log_output`, already cut to the limits of
    CONTRACT.md. An empty `meta` is left out of the request's body.
    """

    monitor_id: str
    kind: PingKind
    meta: Meta = MappingProxyType({})
    error_message: str | None = None
    log_output: str | None = None


class Answer(NamedTuple):
    """The result of one request. What to do next is decided elsewhere, in `delivery/policy`.

    fate: "received" (a 2xx from the API), "refused" (a status that is not 2xx), "unsent"
        (the server never got it: DNS, connection or TLS failed), "unknown" (sent, but not
        answered, or answered 2xx by something that is not the API or did not accept it).
    status: the HTTP status, or None.
    run_id: the server's id of the run from a 2xx answer, or None.
    message: the server's message of a refusal, or the cause in one line; without secrets.
    retry_after: seconds to wait, from `Retry-After` (both forms) or from the message;
        None if the answer names no time.
    is_api: False if something else than the API has answered, such as a web page.
    key_setting: where the API key was configured, "" if unknown.
    """

    fate: Literal["received", "refused", "unsent", "unknown"]
    status: int | None = None
    run_id: str | None = None
    message: str = ""
    retry_after: float | None = None
    is_api: bool = True
    key_setting: str = ""

    @property
    def is_missing(self) -> bool:
        """Whether the request was sent, and no answer came."""
        return self.fate == "unknown" and self.status is None


class Run(NamedTuple):
    """One run of `exec`, with what is known right after the job was started.

    id: our own, 12 hexadecimal digits. monitor: as given on the command line. command:
    with secrets masked. wrapper, job: (pid, start time in clock ticks since boot).
    started_at: seconds since the epoch.
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
"""tolerated: failed, but reported as a success (`--tolerate`). skipped: not started
(`--overlap skip`). lost: the wrapper or the machine died; reported as a failure."""


class Ending(NamedTuple):
    """How a run ended.

    reason: in words, as in the report's message, but without a line of the output.
    exit_code: the exit code of `exec`, None for a lost run. duration: seconds.
    """

    outcome: Outcome
    reason: str
    exit_code: int | None
    ended_at: float
    duration: float | None
    meta: Meta = MappingProxyType({})
    excerpt: str | None = None
