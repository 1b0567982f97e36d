"""Changes of monitors in the database: their settings, pausing and removing them."""

import json
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from crontify_cli.sandbox.identity import now
from crontify_cli.sandbox.records import Account, Millis
from crontify_cli.values import parse_duration

_MAX_TAG = 50


class MonitorChanges(NamedTuple):
    """New settings of a monitor; None leaves one as it is.

    schedule: "" removes it. tags: replaces all tags; empty strings are left out.
    """

    schedule: str | None = None
    grace: Millis | None = None
    timezone: str | None = None
    tags: Sequence[str] | None = None


def change_monitor(
    connection: sqlite3.Connection, account: Account, monitor_id: str, changes: MonitorChanges
) -> None:
    """Apply the changes. With a new schedule, the time without a ping counts from now on."""
    schedule, grace, timezone, tags = changes
    owned = (account.row, monitor_id)
    if tags is not None:
        unique = json.dumps(list(dict.fromkeys(filter(None, tags))))
        connection.execute(
            "UPDATE monitors SET tags = ? WHERE account = ? AND id = ?", (unique, *owned)
        )
    if changes._replace(tags=None) != MonitorChanges():
        connection.execute(
            "UPDATE monitors SET schedule = nullif(coalesce(?, schedule), ''),"
            " grace = coalesce(?, grace), timezone = coalesce(?, timezone),"
            " watched_from = ?, missed_at = NULL WHERE account = ? AND id = ?",
            (schedule, grace, timezone, now(), *owned),
        )


def set_paused(
    connection: sqlite3.Connection, account: Account, monitor_id: str, *, paused: bool
) -> None:
    """Pause or resume a monitor; after that, the time without a ping counts from now on."""
    connection.execute(
        "UPDATE monitors SET paused = ?, watched_from = ?, missed_at = NULL"
        " WHERE account = ? AND id = ? AND paused != ?",
        (paused, now(), account.row, monitor_id, paused),
    )


def remove_monitor(connection: sqlite3.Connection, account: Account, monitor_id: str) -> None:
    """Delete a monitor and all that belongs to it."""
    connection.execute(
        "DELETE FROM monitors WHERE account = ? AND id = ?", (account.row, monitor_id)
    )


def parse_grace(text: str) -> Millis:
    """Return a duration of at least a second in milliseconds; raises ValueError."""
    seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError(f"the grace period must be at least 1s, not {text!r}")
    return round(seconds * 1000)


def parse_tag(text: str) -> str:
    """Return a tag, which is printable and without commas and spaces; raises ValueError."""
    if not text.isprintable() or "," in text or " " in text or not 0 < len(text) <= _MAX_TAG:
        raise ValueError(
            f"not a tag: {text!r}; use at most {_MAX_TAG} characters without commas and spaces"
        )
    return text
