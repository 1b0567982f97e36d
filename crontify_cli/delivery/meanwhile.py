"""Sends what becomes due while a wrapper only waits for its job.

A failure of an older run is held back while a newer one is open, for five minutes at most
(`lineup.LONGEST_HOLD`). If the open run is long, nobody else may come by to send it then.
"""

from typing import TYPE_CHECKING

from crontify_cli.delivery.told import Notices

if TYPE_CHECKING:
    from crontify_cli.delivery.session import Session

LOOK_AGAIN = 60.0
"""Seconds between two looks at the queue of the monitor."""


def send_due(session: "Session", notices: Notices) -> None:
    """Make one attempt for each report of the monitor that is due while our own run is open."""
    from crontify_cli.delivery.journal import JournalError
    from crontify_cli.delivery.sending import UNLIMITED, Delivery

    if session.outbox is None:
        return
    settings, monitor = session.prepared.settings, session.prepared.monitor
    delivery = Delivery(session.sender, UNLIMITED, _give_up, settings.report_timeout, defers=True)
    try:
        backlog = session.outbox.deliver(monitor.id, delivery, is_running=True)
    except JournalError as error:
        notices.trace(str(error))
        return
    if backlog.failure:
        notices.trace(backlog.failure.message)


def _give_up(seconds: float, *, rate_limited: bool) -> bool:
    """Wait for nothing: there will be another look."""
    return False
