"""The options that the commands of the sandbox share, and opening its database for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crontify_cli.cli.arguments import parsed_by
from crontify_cli.cli.help import App
from crontify_cli.errors import CrontifyError
from crontify_cli.sandbox.database import chosen, default_path, open_database
from crontify_cli.sandbox.records import Account
from crontify_cli.values import parse_monitor

if TYPE_CHECKING:
    from crontify_cli.sandbox.store import Store

Db = Annotated[
    Path | None,
    typer.Option(
        "--db",
        help="Database file of the sandbox.",
        show_default="sandbox.db in the state directory",
        readable=False,  # our own error message says what to do
    ),
]


def _parse_account(name: str) -> str:
    if not name.strip() or not name.isprintable():  # surrogates, which are bytes, are neither
        raise ValueError(f"invalid account {name!r}: write a name of printable characters")
    return name


AccountName = Annotated[
    str,
    typer.Option(
        "--account",
        metavar="NAME",
        help="Account to use; created on first use.",
        parser=parsed_by(_parse_account),
    ),
]
MonitorId = Annotated[
    str, typer.Argument(parser=parsed_by(parse_monitor), metavar="MONITOR", help="Monitor id.")
]
OptionalMonitorId = Annotated[
    str | None,
    typer.Argument(parser=parsed_by(parse_monitor), metavar="[MONITOR]", show_default="all"),
]
Limit = Annotated[int, typer.Option(min=1, help="Maximum number of entries.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def group(purpose: str, example: str) -> App:
    """Return an empty group of commands."""
    return App(help=purpose, epilog=f"Example:  {example}", no_args_is_help=True)


@contextmanager
def opened(db: Path | None, *, create: bool) -> "Iterator[Store]":
    """Yield the store of the database, which is created if requested."""
    from crontify_cli.sandbox.store import Store

    with open_database(db or default_path(), create=create) as connection:
        yield Store(connection)


@contextmanager
def existing(
    db: Path | None, name: str, monitor_id: str | None = None
) -> "Iterator[tuple[Store, Account]]":
    """Yield store and account; raises CrontifyError if account or monitor do not exist."""
    with opened(db, create=False) as store:
        account = store.account(name)
        if not account:
            raise CrontifyError(
                f"the sandbox has no account {name};"
                f" create it with crontify sandbox key rotate{chosen(db, name)}"
            )
        if monitor_id is not None and not store.has_monitor(account, monitor_id):
            raise CrontifyError(
                f"the sandbox has no monitor {monitor_id};"
                f" add it with crontify sandbox monitor add {monitor_id}{chosen(db, name)}"
            )
        yield store, account
