"""How a report that was queued says that it is late, and which others it includes."""

import time

from crontify_cli.delivery.delays import plausible, since_end
from crontify_cli.delivery.journal_rows import Queued
from crontify_cli.model import Ping
from crontify_cli.report.compose import error_message
from crontify_cli.values import format_duration


def age(queued: Queued, now: float) -> float | None:
    """Return how many seconds ago the run of a report ended; None if no clock tells.

    now: seconds since the epoch.
    """
    return since_end(
        queued.ended_at,
        now,
        boot_id=queued.boot_id,
        started=queued.started,
        duration=queued.duration,
    )


def mark_late(queued: Queued, now: float) -> Ping:
    """Return the ping of a delayed report, with the delay in its metadata and its message.

    The delay is left out if no clock tells it. now: seconds since the epoch.
    """
    delay = age(queued, now)
    ping, words = queued.ping, "late"
    if delay is not None:
        late = round(delay)
        words = f"{format_duration(late)} late"
        ping = ping._replace(meta={**ping.meta, "late_seconds": late})
    if ping.kind != "fail":
        return ping
    note = f"(reported {words}) "
    if failures := queued.included.failures:
        ping = ping._replace(meta={**ping.meta, "late_failures": failures + 1})
        note = f"(reported {words}) {failures + 1} failures{_since(queued, now)}, the last: "
    return ping._replace(error_message=error_message(note + (ping.error_message or ""), ""))


def _since(queued: Queued, now: float) -> str:
    """Return when the first of several failures was, in words; nothing if no clock tells."""
    since = queued.included.since
    if since is None or plausible(now - since) is None:
        return ""
    return time.strftime(" since %Y-%m-%d %H:%M UTC", time.gmtime(since))
