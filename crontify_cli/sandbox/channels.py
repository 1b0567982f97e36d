"""The channels of monitors in the database, with what was delivered to them."""

import sqlite3
from collections.abc import Sequence

from crontify_cli.sandbox.records import Account
from crontify_cli.sandbox.targets import shorten
from crontify_cli.sandbox.wire import Attempt, Channel, Delivery

_CHANNEL = """
SELECT c.row, c.id, m.id, c.kind, c.url, c.created_at,
    (SELECT count(*) FROM deliveries WHERE channel = c.row AND status = 'pending')
FROM channels c JOIN monitors m ON m.row = c.monitor WHERE m.account = ?
"""
_DELIVERIES = """
SELECT d.row, a.id, a.kind, d.status, d.created_at, d.next_attempt_at
FROM deliveries d LEFT JOIN alerts a ON a.row = d.alert
WHERE d.channel = ? ORDER BY d.row DESC LIMIT 10
"""
_ATTEMPTS = """
SELECT at, duration, http_status, error FROM attempts WHERE delivery = ?
ORDER BY row DESC LIMIT 10
"""


def channels_of(
    connection: sqlite3.Connection, account: Account, monitor_id: str | None = None
) -> Sequence[Channel]:
    """Return the channels of one monitor or of all, in the order of their creation."""
    term, values = ("", ()) if monitor_id is None else ("AND m.id = ? ", (monitor_id,))
    rows = connection.execute(f"{_CHANNEL}{term}ORDER BY c.row", (account.row, *values)).fetchall()
    return [
        Channel(
            id=channel_id,
            monitor_id=monitor,
            kind=kind,
            target=shorten(url),
            created_at=created,
            pending=pending,
            deliveries=_deliveries(connection, row),
        )
        for row, channel_id, monitor, kind, url, created, pending in rows
    ]


def _deliveries(connection: sqlite3.Connection, channel: int) -> Sequence[Delivery]:
    return [
        Delivery(
            alert_id=alert,
            kind=kind,
            status=status,
            created_at=created,
            next_attempt_at=following if status == "pending" else None,
            attempts=_attempts(connection, row),
        )
        for row, alert, kind, status, created, following in connection.execute(
            _DELIVERIES, (channel,)
        ).fetchall()
    ]


def _attempts(connection: sqlite3.Connection, delivery: int) -> Sequence[Attempt]:
    return [
        Attempt(at=at, duration_ms=duration, http_status=status, error=error)
        for at, duration, status, error in connection.execute(_ATTEMPTS, (delivery,))
    ]
