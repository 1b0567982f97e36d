"""Queries and changes of the sandbox's database, except for recording pings."""

import hmac
import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from crontify_cli.sandbox.database import transaction
from crontify_cli.sandbox.identity import hash_key, new_key, now
from crontify_cli.sandbox.records import Account, Millis, Rule, RunStatus
from crontify_cli.sandbox.rules import MAX_RULES, state_of
from crontify_cli.sandbox.wire import Alert, Monitor, Run, RunSummary, rule_data

MONITOR = """
SELECT m.row, m.id, m.created_at, m.last_ping_at, m.paused, m.schedule, m.timezone, m.grace, m.tags,
    (SELECT status FROM runs WHERE monitor = m.row AND status NOT IN ('running', 'overlapped')
        ORDER BY row DESC LIMIT 1)
FROM monitors m WHERE m.account = ?
"""
LAST_RUNS = """
SELECT id, status, started_at, finished_at, is_anomaly
FROM runs WHERE monitor = ? ORDER BY row DESC LIMIT 30
"""
RUN = """
SELECT r.row, r.id, m.id, r.status, r.started_at, r.finished_at, r.meta, r.error_message,
    r.is_anomaly, EXISTS (SELECT 1 FROM logs WHERE run = r.row)
FROM runs r JOIN monitors m ON m.row = r.monitor WHERE m.account = ?
"""
ALERT = """
SELECT a.id, m.id, r.id, a.kind, a.message, a.log_head, a.created_at
FROM alerts a JOIN runs r ON r.row = a.run JOIN monitors m ON m.row = r.monitor
WHERE m.account = ?
"""
_Row = tuple[Any, ...]  # sqlite3's own type of a row


class Store:
    """The sandbox's data, accessed through one connection.

    Every method may raise sqlite3.Error, which `crontify_cli.sandbox.database.open_database`
    turns into a CrontifyError.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def account(self, name: str) -> Account | None:
        """Return the account with that name."""
        return self._account("name", name)

    def get_or_create_account(self, name: str) -> Account:
        """Return the account with that name; a new one has no key yet."""
        self._change("INSERT OR IGNORE INTO accounts (name) VALUES (?)", name)
        account = self.account(name)
        assert account
        return account

    def account_by_row(self, row: int) -> Account | None:
        """Return the account that a token was issued for."""
        return self._account("row", row)

    def account_by_key(self, key: str) -> Account | None:
        """Return the owner of the key; every stored hash is compared, in constant time."""
        wanted, owner = hash_key(key), None
        for *account, kept in self.connection.execute(
            "SELECT row, name, min_interval, key_hash FROM accounts WHERE key_hash IS NOT NULL"
        ):
            if hmac.compare_digest(wanted, kept):
                owner = Account(*account)
        return owner

    def has_key(self, account: Account) -> bool:
        """Tell whether a key has ever been created for the account."""
        row = self._one("SELECT key_hash IS NOT NULL FROM accounts WHERE row = ?", account.row)
        return bool(row and row[0])

    def rotate_key(self, account: Account) -> str:
        """Replace the account's key and return the new one; only its hash is stored."""
        key = new_key()
        self._change("UPDATE accounts SET key_hash = ? WHERE row = ?", hash_key(key), account.row)
        return key

    def set_plan(self, account: Account, min_interval: Millis) -> None:
        """Set the minimum interval between two pings of one of the account's monitors."""
        self._change(
            "UPDATE accounts SET min_interval = ? WHERE row = ?", min_interval, account.row
        )

    def signing_secret(self) -> bytes:
        """Return the 32 bytes with which this database's tokens are signed."""
        row = self._one("SELECT secret FROM signing")
        assert row
        return bytes(row[0])

    def add_monitor(self, account: Account, monitor_id: str) -> bool:
        """Create the monitor; False if it already exists."""
        sql = "INSERT OR IGNORE INTO monitors (account, id, created_at) VALUES (?, ?, ?)"
        return self._change(sql, account.row, monitor_id, now())

    def monitors(self, account: Account) -> Sequence[Monitor]:
        """Return the account's monitors in the order of their creation."""
        rows = self.connection.execute(MONITOR + "ORDER BY m.row", (account.row,)).fetchall()
        return [self._monitor(row) for row in rows]

    def monitor(self, account: Account, monitor_id: str) -> Monitor | None:
        """Return one of the account's monitors."""
        row = self._one(MONITOR + "AND m.id = ?", account.row, monitor_id)
        return self._monitor(row) if row else None

    def has_monitor(self, account: Account, monitor_id: str) -> bool:
        """Tell whether the account has that monitor."""
        sql = "SELECT 1 FROM monitors WHERE account = ? AND id = ?"
        return self._one(sql, account.row, monitor_id) is not None

    def add_rule(self, account: Account, monitor_id: str, rule: Rule) -> bool:
        """Add the rule to an existing monitor; False if it already has MAX_RULES other rules."""
        with transaction(self.connection):
            monitor = self._monitor_row(account, monitor_id)
            rules = rules_of(self.connection, monitor)
            if rule in rules:
                return True
            if len(rules) >= MAX_RULES:
                return False
            sql = "INSERT INTO rules (monitor, field, operator, value) VALUES (?, ?, ?, ?)"
            return self._change(sql, monitor, *rule)

    def remove_rule(self, account: Account, monitor_id: str, rule: Rule) -> bool:
        """Remove the rule from an existing monitor; False if it has no such rule."""
        return self._change(
            "DELETE FROM rules WHERE monitor = ? AND field = ? AND operator = ? AND value = ?",
            self._monitor_row(account, monitor_id),
            *rule,
        )

    def runs(
        self,
        account: Account,
        monitor_id: str | None = None,
        *,
        status: RunStatus | None = None,
        before: int | None = None,
        limit: int,
    ) -> Sequence[Run]:
        """Return at most `limit` runs, newest first, of one monitor or of all.

        `before` is the row of a run: only older runs are returned.
        """
        filters = {"m.id = ?": monitor_id, "r.status = ?": status, "r.row < ?": before}
        terms, values = _conditions(filters)
        sql = f"{RUN}{terms}ORDER BY r.row DESC LIMIT ?"
        rows = self.connection.execute(sql, (account.row, *values, limit))
        return [_run(row) for row in rows]

    def run(self, account: Account, monitor_id: str, run_id: str) -> Run | None:
        """Return one run of one of the account's monitors."""
        row = self._one(RUN + "AND m.id = ? AND r.id = ?", account.row, monitor_id, run_id)
        return _run(row) if row else None

    def log(self, run: Run) -> str | None:
        """Return the log of the run, None if it has none."""
        row = self._one("SELECT content FROM logs WHERE run = ?", run.row)
        return str(row[0]) if row else None

    def alerts(
        self,
        account: Account,
        monitor_id: str | None = None,
        *,
        run_id: str | None = None,
        before: int | None = None,
        limit: int,
    ) -> Sequence[Alert]:
        """Return at most `limit` alerts, newest first, of a run, of a monitor, or of all.

        `before` is the row of an alert: only older alerts are returned.
        """
        filters = {"m.id = ?": monitor_id, "r.id = ?": run_id, "a.row < ?": before}
        terms, values = _conditions(filters)
        sql = f"{ALERT}{terms}ORDER BY a.row DESC LIMIT ?"
        rows = self.connection.execute(sql, (account.row, *values, limit))
        return [Alert(**dict(zip(Alert.model_fields, row, strict=True))) for row in rows]

    def alert_row(self, account: Account, monitor_id: str | None, alert_id: str) -> int | None:
        """Return the row of one of the account's, or the monitor's, alerts."""
        terms, values = _conditions({"m.id = ?": monitor_id, "a.id = ?": alert_id})
        sql = f"SELECT a.row FROM ({ALERT}{terms}) found JOIN alerts a ON a.id = ?"
        row = self._one(sql, account.row, *values, alert_id)
        return int(row[0]) if row else None

    def delete_runs(self) -> None:
        """Delete all runs, logs, alerts and ping times; monitors, rules and keys stay."""
        with transaction(self.connection):
            self._change("DELETE FROM runs")
            self._change("UPDATE monitors SET last_ping_at = NULL, missed_at = NULL")

    def delete_all(self) -> None:
        """Delete everything and invalidate all tokens."""
        with transaction(self.connection):
            self._change("DELETE FROM accounts")
            self._change("UPDATE signing SET secret = ?", os.urandom(32))

    def _account(self, column: str, value: object) -> Account | None:
        row = self._one(f"SELECT row, name, min_interval FROM accounts WHERE {column} = ?", value)
        return Account(*row) if row else None

    def _one(self, sql: str, *values: object) -> _Row | None:
        row: _Row | None = self.connection.execute(sql, values).fetchone()
        return row

    def _change(self, sql: str, *values: object) -> bool:
        """Run a statement and tell whether it changed anything."""
        return self.connection.execute(sql, values).rowcount > 0

    def _monitor_row(self, account: Account, monitor_id: str) -> int:
        sql = "SELECT row FROM monitors WHERE account = ? AND id = ?"
        row = self._one(sql, account.row, monitor_id)
        assert row
        return int(row[0])

    def _monitor(self, row: _Row) -> Monitor:
        number, monitor_id, created, last_ping, paused, schedule, timezone, grace, tags, ended = row
        summaries = [
            RunSummary(
                id=run_id,
                status=status,
                started_at=started,
                finished_at=finished,
                is_duration_anomaly=anomaly,
            )
            for run_id, status, started, finished, anomaly in self.connection.execute(
                LAST_RUNS, (number,)
            )
        ]
        return Monitor(
            id=monitor_id,
            created_at=created,
            last_ping_at=last_ping,
            state=state_of(paused=paused, last_ping_at=last_ping, last_ended=ended),
            status=summaries[0].status if summaries else None,
            schedule=schedule,
            timezone=timezone,
            grace_ms=grace,
            tags=json.loads(tags),
            rules=list(map(rule_data, rules_of(self.connection, number))),
            last_runs=summaries,
        )


def _conditions(filters: Mapping[str, object]) -> tuple[str, Sequence[object]]:
    """Return the SQL of the terms that have a value, and their values."""
    wanted = {term: value for term, value in filters.items() if value is not None}
    return "".join(f"AND {term} " for term in wanted), list(wanted.values())


def rules_of(connection: sqlite3.Connection, monitor: int) -> Sequence[Rule]:
    """Return the rules of the monitor in that row, in the order of their creation."""
    sql = "SELECT field, operator, value FROM rules WHERE monitor = ? ORDER BY row"
    return [Rule(*row) for row in connection.execute(sql, (monitor,))]


def _run(row: _Row) -> Run:
    number, run_id, monitor_id, status, started, finished, meta, message, anomaly, has_log = row
    return Run(
        row=number,
        id=run_id,
        monitor_id=monitor_id,
        status=status,
        started_at=started,
        finished_at=finished,
        meta=json.loads(meta) if meta else None,
        error_message=message,
        is_duration_anomaly=anomaly,
        has_log=has_log,
    )
