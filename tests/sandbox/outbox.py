"""A sandbox's database in memory, whose alerts a test delivers."""

import contextlib
import sqlite3
from collections.abc import Iterator

from crontify_cli.sandbox.channels import add_channel
from crontify_cli.sandbox.records import Account
from crontify_cli.sandbox.schema import MIGRATIONS
from crontify_cli.sandbox.store import Store
from crontify_cli.sandbox.targets import parse_target


@contextlib.contextmanager
def outbox(**channels: str) -> Iterator[tuple[sqlite3.Connection, Account]]:
    """Yield a database in which each monitor has one channel, with that URL."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statements in MIGRATIONS:
            connection.executescript(statements)
        store = Store(connection)
        account = store.get_or_create_account("default")
        for monitor, url in channels.items():
            store.add_monitor(account, monitor)
            add_channel(connection, account, monitor, parse_target(url))
        yield connection, account
