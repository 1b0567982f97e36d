"""What the sandbox keeps and tells: accounts, monitors, rules, runs, alerts, refusals."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from crontify_cli.model import Meta, Ping

RunStatus = Literal["running", "success", "failed", "overlapped"]
Operator = Literal["lt", "gt", "eq", "ne"]
AlertKind = Literal["failure", "silent_failure", "overlapped"]
Millis = int
"""A time: milliseconds since 1970, UTC."""


class Account(NamedTuple):
    """Whoever holds a key. `min_interval` is the plan: milliseconds from ping to ping."""

    row: int
    name: str
    min_interval: Millis


class Rule(NamedTuple):
    """A success whose meta has `field` and stands so to `value` is a silent failure."""

    field: str
    operator: Operator
    value: float


class Monitor(NamedTuple):
    """A monitor as lists show it; the run is its newest."""

    id: str
    created_at: Millis
    last_ping_at: Millis | None
    last_status: RunStatus | None
    rules: Sequence[Rule]


class Run(NamedTuple):
    """A run as lists show it: everything but the log, which is kept apart.

    `started_at` is None for a success or fail that came without a start.
    """

    row: int
    id: str
    monitor_id: str
    status: RunStatus
    started_at: Millis | None
    finished_at: Millis | None
    meta: Meta | None
    error_message: str | None
    has_log: bool

    @property
    def duration(self) -> Millis | None:
        """From start to end; None where one of them is not known."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0, self.finished_at - self.started_at)


class AlertDraft(NamedTuple):
    """An alert before it has a place: what happened, in one line."""

    kind: AlertKind
    message: str
    log_head: str | None = None


class Alert(NamedTuple):
    """What Crontify would have mailed, with the head of the run's log."""

    id: str
    monitor_id: str
    run_id: str
    kind: AlertKind
    message: str
    log_head: str | None
    created_at: Millis


class Receipt(NamedTuple):
    """What a ping did: the run that it opened or closed, and the alerts that it set off."""

    run_id: str
    status: RunStatus
    alerts: Sequence[AlertDraft]


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """A request that is answered with another status than 200.

    `retry_after` is in whole seconds. Nothing was written when it is raised.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


class Taken(NamedTuple):
    """A ping that was answered 200."""

    at: Millis
    ping: Ping
    receipt: Receipt


class Refused(NamedTuple):
    """A request that was answered otherwise; `path` is without the base."""

    at: Millis
    method: str
    path: str
    status: int
    message: str


Show = Callable[[Taken | Refused], None]
