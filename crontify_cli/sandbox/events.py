"""What `serve` has to show: pings taken and requests refused."""

from collections.abc import Callable
from typing import NamedTuple

from crontify_cli.model import Ping
from crontify_cli.sandbox.records import Millis, Receipt


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
