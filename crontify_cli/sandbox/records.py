"""The sandbox's data types: what it stores, what a ping did, and what `serve` shows."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from crontify_cli.model import Ping

RunStatus = Literal["running", "success", "failed", "overlapped", "missed", "hung"]
MonitorState = Literal["waiting", "active", "failing", "paused"]
"""waiting: never pinged. failing: the newest run that ended or should have is failed, missed or
hung. paused: pings are recorded, but there are no alerts."""
Operator = Literal["lt", "gt", "eq", "ne"]
AlertKind = Literal["failure", "silent_failure", "overlapped", "missed", "hung", "slow"]
ChannelKind = Literal["webhook", "slack", "discord", "email"]
DeliveryStatus = Literal["pending", "delivered", "abandoned"]
Millis = int
"""A point in time: milliseconds since 1970, UTC."""


class Account(NamedTuple):
    """The owner of an API key. `min_interval` is the plan's: milliseconds between two pings."""

    row: int
    name: str
    min_interval: Millis


class Rule(NamedTuple):
    """A success is a silent failure if its meta's `field` compares to `value` by `operator`."""

    field: str
    operator: Operator
    value: float


class AlertDraft(NamedTuple):
    """An alert that is not stored yet; `message` is one line."""

    kind: AlertKind
    message: str
    log_head: str | None = None


class PingResult(NamedTuple):
    """What a ping did: the run that it opened or closed, and the alerts that it triggered."""

    run_id: str
    status: RunStatus
    alerts: Sequence[AlertDraft]


class Refusal(Exception):  # noqa: N818 - an answer to the client, not an error of the sandbox
    """A request that is answered with a status other than 200; nothing has been written.

    `retry_after` is in whole seconds.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


class AcceptedPing(NamedTuple):
    """A ping that was answered with 200; `account` is the row of its owner."""

    at: Millis
    account: int
    ping: Ping
    result: PingResult


class RefusedRequest(NamedTuple):
    """A request that was answered with an error; `path` is relative to the base URL."""

    at: Millis
    method: str
    path: str
    status: int
    message: str


class Detection(NamedTuple):
    """A run found to be missed or hung, and the alerts about it; `account`: as for a ping."""

    at: Millis
    account: int
    monitor_id: str
    run_id: str
    status: RunStatus
    alerts: Sequence[AlertDraft]


class Attempt(NamedTuple):
    """An attempt to deliver an alert to a channel; `account`: as for a ping.

    error: None if the alert was accepted.
    """

    at: Millis
    account: int
    monitor_id: str
    channel_id: str
    alert_id: str
    status: DeliveryStatus
    error: str | None


Event = AcceptedPing | RefusedRequest | Detection
OnEvent = Callable[[Event], None]


def alerts_of(event: Event) -> Sequence[AlertDraft]:
    """Return the alerts that an event has caused."""
    if isinstance(event, AcceptedPing):
        return event.result.alerts
    return event.alerts if isinstance(event, Detection) else ()


class SmtpServer(NamedTuple):
    """Where e-mail is handed over: `smtp://USER:PASSWORD@HOST:PORT` or `smtps:`; the sender."""

    url: str
    sender: str
