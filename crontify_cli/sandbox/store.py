"""Accounts, monitors, rules, runs and alerts in SQLite: all but the taking of pings."""

import hmac
import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from crontify_cli.sandbox.database import transaction
from crontify_cli.sandbox.identity import hash_key, new_key, now
from crontify_cli.sandbox.records import (
    Account,
    Alert,
    Millis,
    Monitor,
    Rule,
    Run,
    RunStatus,
)
from crontify_cli.sandbox.rules import MAX_RULES

MONITOR = """
SELECT m.row, m.id, m.created_at, m.last_ping_at,
    (SELECT status FROM runs WHERE monitor = m.row ORDER BY row DESC LIMIT 1)
FROM monitors m WHERE m.account = ?
"""
RUN = """
SELECT r.row, r.id, m.id, r.status, r.started_at, r.finished_at, r.meta, r.error_message,
    EXISTS (SELECT 1 FROM logs WHERE run = r.row)
FROM runs r JOIN monitors m ON m.row = r.monitor WHERE m.account = ?
"""
ALERT = """
SELECT a.id, m.id, r.id, a.kind, a.message, a.log_head, a.created_at
FROM alerts a JOIN runs r ON r.row = a.run JOIN monitors m ON m.row = r.monitor
WHERE m.account = ?
"""
_Row = tuple[Any, ...]  # sqlite3's own type of a row


class Store:
    """What the sandbox keeps, over one connection.

    Every method may raise sqlite3.Error; `crontify_cli.sandbox.database.opened`
    makes a message of it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def account(self, name: str) -> Account | None:
        """Return the account of that name."""
        found = self.connection.execute(_ACCOUNT + "WHERE name = ?", (name,)).fetchone()
        return Account(*found) if found else None

    def made_account(self, name: str) -> Account:
        """Return the account of that name, made now, without a key, if there is none."""
        self.connection.execute("INSERT OR IGNORE INTO accounts (name) VALUES (?)", (name,))
        account = self.account(name)
        assert account
        return account

    def account_by_row(self, row: int) -> Account | None:
        """Return the account that a token names."""
        found = self.connection.execute(_ACCOUNT + "WHERE row = ?", (row,)).fetchone()
        return Account(*found) if found else None

    def account_by_key(self, key: str) -> Account | None:
        """Return the account whose key this is; every kept hash is compared, in constant time."""
        wanted, holder = hash_key(key), None
        for *account, kept in self.connection.execute(
            "SELECT row, name, min_interval, key_hash FROM accounts WHERE key_hash IS NOT NULL"
        ):
            if hmac.compare_digest(wanted, kept):
                holder = Account(*account)
        return holder

    def has_key(self, account: Account) -> bool:
        """Tell whether a key was ever made for the account."""
        (kept,) = self.connection.execute(
            "SELECT key_hash IS NOT NULL FROM accounts WHERE row = ?", (account.row,)
        ).fetchone()
        return bool(kept)

    def rotate_key(self, account: Account) -> str:
        """Give the account a new key, the old one ends, and return it: only its hash is kept."""
        key = new_key()
        self.connection.execute(
            "UPDATE accounts SET key_hash = ? WHERE row = ?", (hash_key(key), account.row)
        )
        return key

    def set_plan(self, account: Account, min_interval: Millis) -> None:
        """Keep the pause that the account's plan asks for between two pings of a monitor."""
        self.connection.execute(
            "UPDATE accounts SET min_interval = ? WHERE row = ?", (min_interval, account.row)
        )

    def signing_secret(self) -> bytes:
        """Return the 32 bytes that sign this database's tokens."""
        (secret,) = self.connection.execute("SELECT secret FROM signing").fetchone()
        return bytes(secret)

    def add_monitor(self, account: Account, monitor_id: str) -> bool:
        """Make the monitor; False if it was there."""
        return bool(
            self.connection.execute(
                "INSERT OR IGNORE INTO monitors (account, id, created_at) VALUES (?, ?, ?)",
                (account.row, monitor_id, now()),
            ).rowcount
        )

    def monitors(self, account: Account) -> Sequence[Monitor]:
        """Return the account's monitors, in the order of their making."""
        rows = self.connection.execute(MONITOR + "ORDER BY m.row", (account.row,)).fetchall()
        return [self._monitor(row) for row in rows]

    def monitor(self, account: Account, monitor_id: str) -> Monitor | None:
        """Return one of the account's monitors."""
        row = self.connection.execute(
            MONITOR + "AND m.id = ?", (account.row, monitor_id)
        ).fetchone()
        return self._monitor(row) if row else None

    def _monitor(self, row: _Row) -> Monitor:
        number, monitor_id, created_at, last_ping_at, status = row
        rules = rules_of(self.connection, number)
        return Monitor(monitor_id, created_at, last_ping_at, status, rules)

    def add_rule(self, account: Account, monitor_id: str, rule: Rule) -> bool:
        """Add the rule to the monitor, which exists; False if it has MAX_RULES others."""
        with transaction(self.connection):
            (monitor,) = self._monitor_row(account, monitor_id)
            rules = rules_of(self.connection, monitor)
            if rule in rules:
                return True
            if len(rules) >= MAX_RULES:
                return False
            self.connection.execute(
                "INSERT INTO rules (monitor, field, operator, value) VALUES (?, ?, ?, ?)",
                (monitor, *rule),
            )
        return True

    def remove_rule(self, account: Account, monitor_id: str, rule: Rule) -> bool:
        """Take the rule from the monitor, which exists; False if it has no such rule."""
        (monitor,) = self._monitor_row(account, monitor_id)
        return bool(
            self.connection.execute(
                "DELETE FROM rules WHERE monitor = ? AND field = ? AND operator = ? AND value = ?",
                (monitor, *rule),
            ).rowcount
        )

    def _monitor_row(self, account: Account, monitor_id: str) -> tuple[int]:
        row: tuple[int] = self.connection.execute(
            "SELECT row FROM monitors WHERE account = ? AND id = ?", (account.row, monitor_id)
        ).fetchone()
        return row

    def runs(
        self,
        account: Account,
        monitor_id: str | None = None,
        *,
        status: RunStatus | None = None,
        before: int | None = None,
        limit: int,
    ) -> Sequence[Run]:
        """Return at most `limit` runs, the newest first, of one monitor or of all.

        `before` is the row of a run: only older ones are returned.
        """
        wanted: list[tuple[str, object]] = []
        if monitor_id is not None:
            wanted.append(("m.id = ?", monitor_id))
        if status is not None:
            wanted.append(("r.status = ?", status))
        if before is not None:
            wanted.append(("r.row < ?", before))
        rows = self.connection.execute(
            RUN + "".join(f"AND {term} " for term, _ in wanted) + "ORDER BY r.row DESC LIMIT ?",
            (account.row, *(value for _, value in wanted), limit),
        )
        return [_run(row) for row in rows]

    def run(self, account: Account, monitor_id: str, run_id: str) -> Run | None:
        """Return one run of one of the account's monitors."""
        row = self.connection.execute(
            RUN + "AND m.id = ? AND r.id = ?", (account.row, monitor_id, run_id)
        ).fetchone()
        return _run(row) if row else None

    def log(self, run: Run) -> str | None:
        """Return the log of the run, None if it has none."""
        row = self.connection.execute(
            "SELECT content FROM logs WHERE run = ?", (run.row,)
        ).fetchone()
        return str(row[0]) if row else None

    def alerts(
        self, account: Account, monitor_id: str | None = None, *, limit: int
    ) -> Sequence[Alert]:
        """Return at most `limit` alerts, the newest first, of one monitor or of all."""
        term = "" if monitor_id is None else "AND m.id = ? "
        values = () if monitor_id is None else (monitor_id,)
        rows = self.connection.execute(
            ALERT + term + "ORDER BY a.row DESC LIMIT ?", (account.row, *values, limit)
        )
        return [Alert(*row) for row in rows]

    def forget_runs(self) -> None:
        """Forget every run, log, alert and ping; monitors, rules and keys stay."""
        with transaction(self.connection):
            self.connection.execute("DELETE FROM runs")
            self.connection.execute("UPDATE monitors SET last_ping_at = NULL")

    def forget_all(self) -> None:
        """Forget everything, keys and tokens too."""
        with transaction(self.connection):
            self.connection.execute("DELETE FROM accounts")
            self.connection.execute("UPDATE signing SET secret = ?", (os.urandom(32),))


_ACCOUNT = "SELECT row, name, min_interval FROM accounts "


def rules_of(connection: sqlite3.Connection, monitor: int) -> Sequence[Rule]:
    """Return the rules of the monitor in that row, in the order of their making."""
    return [
        Rule(*row)
        for row in connection.execute(
            "SELECT field, operator, value FROM rules WHERE monitor = ? ORDER BY row", (monitor,)
        )
    ]


def _run(row: _Row) -> Run:
    number, run_id, monitor_id, status, started, finished, meta, error, has_log = row
    numbers: Mapping[str, int | float] | None = json.loads(meta) if meta else None
    return Run(number, run_id, monitor_id, status, started, finished, numbers, error, bool(has_log))
