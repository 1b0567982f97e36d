"""Taking one ping: what it reads and writes, within a transaction that is already open."""

import json
import sqlite3

from crontify_cli.model import Ping
from crontify_cli.sandbox.identity import new_id
from crontify_cli.sandbox.records import Account, AlertDraft, Millis, Receipt, Refusal, RunStatus
from crontify_cli.sandbox.rules import OVERLAP_ALERT, alerts_of, seconds_to_wait, step
from crontify_cli.sandbox.store import rules_of


def take_ping(connection: sqlite3.Connection, account: Account, ping: Ping, at: Millis) -> Receipt:
    """Record the ping that arrived `at`, and return what it did.

    Raises Refusal, before anything is written, for a monitor that is not the
    account's (404) or is pinged more often than the plan allows (429).
    """
    monitor = _admitted(connection, account, ping, at)
    open_run = connection.execute(
        "SELECT row, id FROM runs WHERE monitor = ? AND status = 'running'", (monitor,)
    ).fetchone()
    open_becomes, made = step(ping.kind, is_open=open_run is not None)
    rules = rules_of(connection, monitor) if ping.kind == "success" else ()
    alerts = alerts_of(ping, rules)
    connection.execute("UPDATE monitors SET last_ping_at = ? WHERE row = ?", (at, monitor))
    if open_becomes == "overlapped":
        _close(connection, open_run[0], "overlapped", at, None)
        _alert(connection, open_run[0], OVERLAP_ALERT, at)
        alerts = [*alerts, OVERLAP_ALERT]
    if made:
        row, run_id = _make(connection, monitor, made, at, ping)
    else:
        row, run_id = open_run
        assert open_becomes
        _close(connection, row, open_becomes, at, ping)
    if ping.log_output:
        connection.execute("INSERT INTO logs VALUES (?, ?)", (row, ping.log_output))
    for alert in alerts:
        if alert is not OVERLAP_ALERT:  # that one is about the older run
            _alert(connection, row, alert, at)
    status = made or open_becomes
    assert status
    return Receipt(run_id, status, alerts)


def _admitted(connection: sqlite3.Connection, account: Account, ping: Ping, at: Millis) -> int:
    found = connection.execute(
        "SELECT row, last_ping_at FROM monitors WHERE account = ? AND id = ?",
        (account.row, ping.monitor_id),
    ).fetchone()
    if not found:
        raise unknown_monitor()
    monitor, last_ping_at = found
    if wait := seconds_to_wait(last_ping_at, at, account.min_interval):
        raise Refusal(
            429,
            f"Rate limit exceeded: wait {wait} seconds before the next ping of this monitor"
            " (your plan's minimum ping interval)",
            retry_after=wait,
        )
    return int(monitor)


def unknown_monitor() -> Refusal:
    """Return the seed's 404, the same for a monitor of another account."""
    return Refusal(404, "Monitor not found or does not belong to this account")


def _make(
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


def _close(
    connection: sqlite3.Connection, row: int, status: RunStatus, at: Millis, ping: Ping | None
) -> None:
    connection.execute(
        "UPDATE runs SET status = ?, finished_at = ?, meta = ?, error_message = ? WHERE row = ?",
        (status, at, _meta(ping) if ping else None, ping and ping.error_message, row),
    )


def _alert(connection: sqlite3.Connection, run: int, alert: AlertDraft, at: Millis) -> None:
    connection.execute(
        "INSERT INTO alerts (run, id, kind, message, log_head, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (run, new_id(at), *alert, at),
    )


def _meta(ping: Ping) -> str | None:
    return json.dumps(ping.meta) if ping.meta else None
