"""The channels of monitors in the database, with what was delivered to them."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from crontify_cli.sandbox.database import transaction
from crontify_cli.sandbox.identity import new_id, now
from crontify_cli.sandbox.outbox import Result, record_attempt
from crontify_cli.sandbox.records import Account
from crontify_cli.sandbox.targets import Target, shorten
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


def add_channel(
    connection: sqlite3.Connection, account: Account, monitor_id: str, target: Target
) -> str | None:
    """Add a channel to an existing monitor and return its id, None if it has that one already."""
    at = now()
    channel_id = new_id(at)
    added = connection.execute(
        "INSERT OR IGNORE INTO channels (monitor, id, kind, url, created_at)"
        " SELECT row, ?, ?, ?, ? FROM monitors WHERE account = ? AND id = ?",
        (channel_id, *target, at, account.row, monitor_id),
    )
    return channel_id if added.rowcount else None


def remove_channel(connection: sqlite3.Connection, account: Account, channel_id: str) -> bool:
    """Remove a channel with its deliveries; False if the account has no such channel."""
    return (
        connection.execute(
            "DELETE FROM channels WHERE id = ?"
            " AND monitor IN (SELECT row FROM monitors WHERE account = ?)",
            (channel_id, account.row),
        ).rowcount
        > 0
    )


class StoredChannel(NamedTuple):
    """A channel with its whole URL."""

    row: int
    monitor_id: str
    target: Target


def find_channel(
    connection: sqlite3.Connection, account: Account, channel_id: str
) -> StoredChannel | None:
    """Return one of the account's channels."""
    found = connection.execute(
        "SELECT c.row, m.id, c.kind, c.url FROM channels c JOIN monitors m ON m.row = c.monitor"
        " WHERE c.id = ? AND m.account = ?",
        (channel_id, account.row),
    ).fetchone()
    return StoredChannel(found[0], found[1], Target(*found[2:])) if found else None


def record_test(connection: sqlite3.Connection, channel: StoredChannel, result: Result) -> None:
    """Store the result of a test message; it is not tried again."""
    with transaction(connection):
        delivery = connection.execute(
            "INSERT INTO deliveries (channel, status, created_at, next_attempt_at)"
            " VALUES (?, ?, ?, ?)",
            (channel.row, "abandoned" if result.error else "delivered", result.at, result.at),
        ).lastrowid
        assert delivery
        record_attempt(connection, delivery, result)


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
