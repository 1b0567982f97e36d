"""Alerts in the database, and the queue of their deliveries to channels.

An alert and its deliveries are written in one transaction, so that no crash can lose one. The
deliveries of a channel are made one at a time, in the order of the alerts.
"""

import sqlite3
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from crontify_cli.sandbox.identity import new_id
from crontify_cli.sandbox.records import (
    AlertDraft,
    AlertKind,
    Attempt,
    ChannelKind,
    DeliveryStatus,
    Millis,
)

TIMEOUT = 30.0
"""Seconds for an attempt as a whole: a receiver that answers later is told again."""
KEEP_TRYING = 3 * 86_400_000
"""Milliseconds after which an alert that cannot be delivered is given up."""
_FIRST_PAUSE = 1_000
_LONGEST_PAUSE = 3_600_000


class Message(NamedTuple):
    """What is sent to a channel: an alert, or the message of a test."""

    id: str
    kind: AlertKind | Literal["test"]
    monitor_id: str
    run_id: str | None
    message: str
    log_head: str | None
    created_at: Millis


class Job(NamedTuple):
    """A delivery whose turn it is; `failures` is the number of attempts before."""

    row: int
    account: int
    channel: int
    channel_id: str
    kind: ChannelKind
    url: str
    created_at: Millis
    failures: int
    message: Message


class Result(NamedTuple):
    """The result of an attempt. `error` is None if it succeeded; times are in milliseconds.

    retry_after: the pause for which the receiver asked.
    """

    at: Millis
    duration: Millis
    http_status: int | None
    error: str | None
    retry_after: Millis = 0


def add_alert(
    connection: sqlite3.Connection, monitor: int, run: int, alert: AlertDraft, at: Millis
) -> None:
    """Store an alert about a run, and queue it for each channel of its monitor."""
    row = connection.execute(
        "INSERT INTO alerts (run, id, kind, message, log_head, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (run, new_id(at), *alert, at),
    ).lastrowid
    connection.execute(
        "INSERT INTO deliveries (channel, alert, created_at, next_attempt_at)"
        " SELECT row, ?, ?, ? FROM channels WHERE monitor = ? ORDER BY row",
        (row, at, at, monitor),
    )


_HEADS = """
SELECT d.row, m.account, c.row, c.id, c.kind, c.url, d.created_at,
    (SELECT count(*) FROM attempts WHERE delivery = d.row),
    a.id, a.kind, m.id, r.id, a.message, a.log_head, a.created_at, d.next_attempt_at
FROM deliveries d
JOIN channels c ON c.row = d.channel
JOIN alerts a ON a.row = d.alert
JOIN runs r ON r.row = a.run
JOIN monitors m ON m.row = c.monitor
WHERE d.row IN (SELECT min(row) FROM deliveries WHERE status = 'pending' GROUP BY channel)
"""


def has_pending(connection: sqlite3.Connection) -> bool:
    """Tell whether there is anything to deliver."""
    row = connection.execute("SELECT 1 FROM deliveries WHERE status = 'pending' LIMIT 1")
    return row.fetchone() is not None


def take_due(
    connection: sqlite3.Connection, now: Millis, lease: Millis, busy: Collection[int]
) -> tuple[Sequence[Job], Millis | None]:
    """Claim the oldest delivery of each channel if it is due, and return when the next one is.

    A claimed delivery is due again after `lease` unless it is settled before: another server
    with this database must not send it, too, and it must not be lost if this one dies.
    busy: the rows of the channels to leave out.
    """
    jobs, times = [], []
    for *head, following in connection.execute(_HEADS).fetchall():
        job = Job._make([*head[:8], Message(*head[8:])])
        if job.channel in busy:
            continue
        if following > now:
            times.append(following)
            continue
        connection.execute(
            "UPDATE deliveries SET next_attempt_at = ? WHERE row = ?", (now + lease, job.row)
        )
        jobs.append(job)
    return jobs, min(times, default=None)


def settle(connection: sqlite3.Connection, job: Job, result: Result) -> Attempt:
    """Record an attempt, and what follows from it: success, a pause, or giving up."""
    record_attempt(connection, job.row, result)
    status: DeliveryStatus = "pending"
    following = result.at + result.duration
    if result.error is None:
        status = "delivered"
    elif result.at - job.created_at > KEEP_TRYING:
        status = "abandoned"
    else:
        following += max(pause_after(job.failures + 1), min(result.retry_after, _LONGEST_PAUSE))
    connection.execute(
        "UPDATE deliveries SET status = ?, next_attempt_at = ? WHERE row = ?",
        (status, following, job.row),
    )
    return Attempt(
        result.at,
        job.account,
        job.message.monitor_id,
        job.channel_id,
        job.message.id,
        status,
        result.error,
    )


def record_attempt(connection: sqlite3.Connection, delivery: int, result: Result) -> None:
    """Store an attempt, unless its delivery has been deleted in the meantime."""
    connection.execute(
        "INSERT INTO attempts (delivery, at, duration, http_status, error)"
        " SELECT row, ?, ?, ?, ? FROM deliveries WHERE row = ?",
        (result.at, result.duration, result.http_status, result.error, delivery),
    )


def pause_after(failures: int) -> Millis:
    """Return the pause after that many failed attempts: 1 s, 2 s, 4 s, and so on up to 1 h."""
    return min(_FIRST_PAUSE << min(failures - 1, 20), _LONGEST_PAUSE)
