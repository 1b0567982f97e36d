"""Recording pings: what each one reads and writes, and one commit for those of a moment.

All database work runs in the event loop's thread. A separate thread would be slower:
every statement releases the interpreter lock, and a busy loop returns it up to 5 ms later.
"""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from crontify_cli.model import Ping
from crontify_cli.sandbox.database import describe_error, rollback
from crontify_cli.sandbox.detection import HISTORY, is_slow, slow_message
from crontify_cli.sandbox.identity import new_id
from crontify_cli.sandbox.outbox import add_alert
from crontify_cli.sandbox.records import (
    Account,
    AlertDraft,
    Millis,
    PingResult,
    Refusal,
    RunStatus,
)
from crontify_cli.sandbox.rules import OVERLAP_ALERT, alerts_for, seconds_to_wait, transition
from crontify_cli.sandbox.store import rules_of


class Recorder:
    """Records pings that arrive together in one transaction, which is committed once for all."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._waiting: list[asyncio.Future[None]] = []

    async def record(self, account: Account, ping: Ping, at: Millis) -> PingResult:
        """Record a ping that arrived `at`, and return what it did once that is committed.

        Raises Refusal as `record_ping` does, and Refusal (503) if the database cannot be
        written: all pings of this commit are rolled back, and all their requests are refused.
        """
        loop = asyncio.get_running_loop()
        try:
            if not self._connection.in_transaction:
                self._connection.execute("BEGIN IMMEDIATE")
                # The loop runs this after the requests that are already scheduled.
                loop.call_soon(self._commit)
            result = record_ping(self._connection, account, ping, at)
        except Refusal:
            raise
        except sqlite3.Error as error:
            refusal = self._refusal(error)
            self._fail(refusal)
            raise refusal from error
        except BaseException:  # an internal error: half of a ping must not be committed
            self._fail(Refusal(503, "The ping was not recorded: another request failed; try again"))
            raise
        done = loop.create_future()
        self._waiting.append(done)
        await done
        return result

    def _commit(self) -> None:
        if not self._connection.in_transaction:
            return
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(self._refusal(error))
            return
        for done in self._take_waiting():
            done.set_result(None)

    def _fail(self, refusal: Refusal) -> None:
        try:
            rollback(self._connection)
        finally:
            for done in self._take_waiting():
                done.set_exception(refusal)

    def _take_waiting(self) -> list[asyncio.Future[None]]:
        waiting, self._waiting = self._waiting, []
        # The future of a client that has disconnected is already cancelled.
        return [done for done in waiting if not done.done()]

    def _refusal(self, error: sqlite3.Error) -> Refusal:
        return Refusal(503, describe_error(error, self._path))


def record_ping(
    connection: sqlite3.Connection, account: Account, ping: Ping, at: Millis
) -> PingResult:
    """Record the ping that arrived `at`, and return what it did.

    Raises Refusal, before anything is written, if the monitor does not belong to the
    account (404) or is pinged more often than the plan allows (429).
    """
    monitor = _find_monitor(connection, account, ping, at)
    open_run = connection.execute(
        "SELECT row, id, status, started_at FROM runs WHERE monitor = ? AND finished_at IS NULL",
        (monitor.row,),
    ).fetchone()
    open_becomes, created = transition(ping.kind, open_run and open_run[2])
    connection.execute(
        "UPDATE monitors SET last_ping_at = ?, missed_at = NULL WHERE row = ?", (at, monitor.row)
    )
    alerts: list[tuple[int, AlertDraft]] = []
    if created and open_becomes:
        _close_run(connection, open_run[0], open_becomes, at, None)
        if open_becomes == "overlapped":
            alerts.append((open_run[0], OVERLAP_ALERT))
    if created:
        row, run_id = _create_run(connection, monitor.row, created, at, ping)
    else:
        row, run_id, _, started_at = open_run
        assert open_becomes
        _close_run(connection, row, open_becomes, at, ping)
    if ping.log_output:
        connection.execute("INSERT INTO logs VALUES (?, ?)", (row, ping.log_output))
    rules = rules_of(connection, monitor.row) if ping.kind == "success" else ()
    alerts += [(row, alert) for alert in alerts_for(ping, rules)]
    if ping.kind == "success" and not created:
        slow = _check_duration(connection, monitor.row, row, at - started_at)
        alerts += [(row, alert) for alert in slow]
    if monitor.paused:
        alerts = []
    for run, alert in alerts:
        add_alert(connection, monitor.row, run, alert, at)
    status = created or open_becomes
    assert status
    return PingResult(run_id, status, [alert for _, alert in alerts])


class _Monitor(NamedTuple):
    row: int
    paused: bool


def _find_monitor(
    connection: sqlite3.Connection, account: Account, ping: Ping, at: Millis
) -> _Monitor:
    found = connection.execute(
        "SELECT row, paused, last_ping_at FROM monitors WHERE account = ? AND id = ?",
        (account.row, ping.monitor_id),
    ).fetchone()
    if not found:
        raise unknown_monitor()
    monitor, paused, last_ping_at = found
    if wait := seconds_to_wait(last_ping_at, at, account.min_interval):
        raise Refusal(
            429,
            f"Rate limit exceeded: wait {wait} seconds before the next ping of this monitor"
            " (your plan's minimum ping interval)",
            retry_after=wait,
        )
    return _Monitor(monitor, bool(paused))


def _check_duration(
    connection: sqlite3.Connection, monitor: int, run: int, duration: Millis
) -> Sequence[AlertDraft]:
    """Flag a success that was slow, and return the alert about it."""
    history = [
        duration
        for (duration,) in connection.execute(
            # Only among the latest runs: others would be read in vain if few have a duration.
            "SELECT finished_at - started_at FROM (SELECT status, started_at, finished_at, row"
            " FROM runs WHERE monitor = ? AND row < ? ORDER BY row DESC LIMIT ?)"
            " WHERE status = 'success' AND started_at IS NOT NULL ORDER BY row DESC LIMIT ?",
            (monitor, run, 5 * HISTORY, HISTORY),
        )
    ]
    if not is_slow(duration, history):
        return []
    connection.execute("UPDATE runs SET is_anomaly = 1 WHERE row = ?", (run,))
    return [AlertDraft("slow", slow_message(duration, history))]


def unknown_monitor() -> Refusal:
    """Return the documented 404, the same if the monitor belongs to another account."""
    return Refusal(404, "Monitor not found or does not belong to this account")


def _create_run(
    connection: sqlite3.Connection, monitor: int, status: RunStatus, at: Millis, ping: Ping
) -> tuple[int, str]:
    run_id = new_id(at)
    started, finished = (at, None) if status == "running" else (None, at)
    row = connection.execute(
        "INSERT INTO runs (monitor, id, status, started_at, finished_at, meta, error_message)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (monitor, run_id, status, started, finished, _meta(ping), ping.error_message),
    ).lastrowid
    assert row
    return row, run_id


def _close_run(
    connection: sqlite3.Connection, row: int, status: RunStatus, at: Millis, ping: Ping | None
) -> None:
    connection.execute(
        "UPDATE runs SET status = ?, finished_at = ?, meta = ?, error_message = ? WHERE row = ?",
        (status, at, _meta(ping) if ping else None, ping and ping.error_message, row),
    )


def _meta(ping: Ping) -> str | None:
    return json.dumps(ping.meta) if ping.meta else None
