"""Runs detection again and again, and stores what it finds."""

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from crontify_cli.errors import say
from crontify_cli.sandbox.database import describe_error, exclusive
from crontify_cli.sandbox.detection import Finding, MonitorFacts, Watch, detect, next_watch
from crontify_cli.sandbox.identity import new_id, now
from crontify_cli.sandbox.outbox import add_alert
from crontify_cli.sandbox.records import AlertDraft, Detection, Millis
from crontify_cli.sandbox.schedule import UnknownZoneError

_FACTS = """
SELECT m.account, m.row, m.id, r.row, r.id,
    m.schedule, m.timezone, m.grace, m.last_ping_at, m.watched_from, m.missed_at,
    r.status, r.started_at
FROM monitors m LEFT JOIN runs r ON r.monitor = m.row AND r.finished_at IS NULL
WHERE NOT m.paused AND m.last_ping_at IS NOT NULL
"""


async def keep_detecting(
    connection: sqlite3.Connection,
    path: Path,
    interval: Millis,
    on_detection: Callable[[Detection], None],
) -> None:
    """Run detection every `interval` until cancelled; `path` is the database's."""
    said: Collection[str] = ()
    while True:
        await asyncio.sleep(interval / 1000)
        detections: Sequence[Detection] = ()
        try:
            async with exclusive(connection):
                detections, problems = run_detection(connection, now(), interval)
        except sqlite3.Error as error:
            problems = [f"detection is not working: {describe_error(error, path)}"]
        for problem in problems:
            if problem not in said:
                say(f"warning: {problem}")
        said = problems
        for detection in detections:
            on_detection(detection)


class Round(NamedTuple):
    """What one round of detection has found, and why some monitors could not be judged."""

    detections: Sequence[Detection]
    problems: Sequence[str]


def run_detection(connection: sqlite3.Connection, at: Millis, interval: Millis) -> Round:
    """Detect and store what is missed or hung `at` that time; within a transaction."""
    row = connection.execute("SELECT seen_at, watching_since FROM detection").fetchone()
    watch = next_watch(row and Watch(*row), at, interval)
    connection.execute("DELETE FROM detection")
    connection.execute("INSERT INTO detection VALUES (?, ?)", watch)
    detections, problems = [], []
    for row in connection.execute(_FACTS).fetchall():
        monitor, facts = _Monitor(*row[:5]), MonitorFacts(*row[5:])
        try:
            for finding in detect(facts, watch.since, at):
                detections.append(_store(connection, monitor, finding, at))
        except UnknownZoneError:
            problems.append(
                f"missed runs of monitor {monitor.id} are not detected: this machine does not"
                f" know its time zone {facts.timezone}; install it, or set another one with:"
                f" crontify sandbox monitor set {monitor.id} --timezone ZONE"
            )
    return Round(detections, problems)


class _Monitor(NamedTuple):
    """A monitor and its open run, if it has one."""

    account: int
    row: int
    id: str
    open_run: int | None
    open_run_id: str | None


def _store(
    connection: sqlite3.Connection, monitor: _Monitor, finding: Finding, at: Millis
) -> Detection:
    if finding.kind == "hung":
        run, run_id = monitor.open_run, monitor.open_run_id
        assert run
        assert run_id
        connection.execute("UPDATE runs SET status = 'hung' WHERE row = ?", (run,))
    else:
        run, run_id = _create_missed_run(connection, monitor.row, finding, at)
    # One alert tells that a monitor is silent; each missed run is only recorded.
    alerts = [] if finding.repeated else [AlertDraft(finding.kind, finding.message)]
    for alert in alerts:
        add_alert(connection, monitor.row, run, alert, at)
    return Detection(at, monitor.account, monitor.id, run_id, finding.kind, alerts)


def _create_missed_run(
    connection: sqlite3.Connection, monitor: int, finding: Finding, at: Millis
) -> tuple[int, str]:
    run_id = new_id(at)
    row = connection.execute(
        "INSERT INTO runs (monitor, id, status, finished_at, error_message)"
        " VALUES (?, ?, 'missed', ?, ?)",
        (monitor, run_id, at, finding.message),
    ).lastrowid
    connection.execute("UPDATE monitors SET missed_at = ? WHERE row = ?", (finding.due_at, monitor))
    assert row
    return row, run_id
