"""`crontify sandbox`: its commands and their options."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crontify_cli.cli.arguments import parsed_by, parsed_option
from crontify_cli.cli.help import App
from crontify_cli.errors import CrontifyError
from crontify_cli.sandbox.database import default_path, open_database
from crontify_cli.sandbox.records import Account, RunStatus
from crontify_cli.sandbox.rules import MAX_RULES, format_rule, parse_plan, parse_rule
from crontify_cli.values import parse_duration, parse_monitor

if TYPE_CHECKING:
    from crontify_cli.sandbox.store import Store

_REQUIRED = ("fastapi", "uvicorn", "jwt")
# Without this, the -1 of `rule add backup rows lt -1` would be taken for an option.
_NEGATIVE_NUMBERS = {"ignore_unknown_options": True}

sandbox = App(
    name="sandbox",
    help="Run the documented API on this machine, without an account.",
    epilog="Run crontify sandbox serve, and paste what it prints into another terminal.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add `sandbox` to the app."""
    app.add_typer(sandbox)


def _group(name: str, purpose: str, example: str) -> App:
    group = App(help=purpose, epilog=f"Example:  {example}", no_args_is_help=True)
    sandbox.add_typer(group, name=name)
    return group


monitor_app = _group(
    "monitor", "Add and list the sandbox's monitors.", "crontify sandbox monitor add backup"
)
rule_app = _group(
    "rule",
    "Add and remove alert rules, which turn a success into a silent failure.",
    "crontify sandbox rule add backup rows_processed eq 0",
)
key_app = _group("key", "Replace the sandbox's API key.", "crontify sandbox key rotate")


@sandbox.callback()
def _check_dependencies() -> None:
    if not all(map(importlib.util.find_spec, _REQUIRED)):
        raise CrontifyError(
            "the sandbox cannot run: FastAPI, uvicorn or PyJWT is not installed;"
            " pip install 'crontify-cli[sandbox]'"
        )


Db = Annotated[
    Path | None,
    typer.Option(
        "--db",
        help="Database file of the sandbox.",
        show_default="sandbox.db in the state directory",
        readable=False,  # our own error message says what to do
    ),
]
AccountName = Annotated[
    str, typer.Option("--account", metavar="NAME", help="Account to use; created on first use.")
]
MonitorId = Annotated[
    str, typer.Argument(parser=parsed_by(parse_monitor), metavar="MONITOR", help="Monitor id.")
]
OptionalMonitorId = Annotated[
    str | None,
    typer.Argument(parser=parsed_by(parse_monitor), metavar="[MONITOR]", show_default="all"),
]
Field = Annotated[str, typer.Argument(metavar="FIELD", help="Name of a number in the meta.")]
Operator = Annotated[
    str, typer.Argument(metavar="lt|gt|eq|ne", help="Less than, greater than, equal, not equal.")
]
Number = Annotated[
    str, typer.Argument(metavar="NUMBER", help="Number to compare with, such as 0 or -1.5.")
]
Limit = Annotated[int, typer.Option(min=1, help="Maximum number of entries.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@sandbox.command("serve", epilog="Example:  crontify sandbox serve --port 8787 --plan free")
def serve_(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 selects a free one.")
    ] = 8787,
    db: Db = None,
    account: AccountName = "default",
    plan: Annotated[
        int | None,
        parsed_option(
            parse_plan,
            "free|pro|DURATION",
            "Minimum interval between two pings of a monitor: free is 60s, pro is none."
            " The setting is stored.",
            "pro",
        ),
    ] = None,
    as_json: AsJson = False,
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Serve the API until Ctrl-C is pressed, and show each ping."""
    from crontify_cli.sandbox.serve import serve

    serve(host, port, db, account, plan, as_json=as_json, until_stdin_closes=until_stdin_closes)


@sandbox.command(epilog="Example:  export CRONTIFY_TOKEN=$(crontify sandbox token --expires 1h)")
def token(
    db: Db = None,
    account: AccountName = "default",
    expires: Annotated[
        float | None,
        parsed_option(parse_duration, "DURATION", "How long the token is valid.", "30d"),
    ] = None,
) -> None:
    """Print a user token (JWT), which gives access to runs and logs."""
    from crontify_cli.sandbox.identity import DEFAULT_SECONDS, make_token, now

    seconds = DEFAULT_SECONDS if expires is None else expires
    with _store(db, create=True) as store:
        owner = store.get_or_create_account(account)
        print(make_token(store.signing_secret(), owner, now(), seconds))


@key_app.command(epilog="Example:  export CRONTIFY_API_KEY=$(crontify sandbox key rotate)")
def rotate(db: Db = None, account: AccountName = "default") -> None:
    """Create and print a new API key; the previous key stops working."""
    with _store(db, create=True) as store:
        print(store.rotate_key(store.get_or_create_account(account)))


@monitor_app.command(epilog="Example:  crontify sandbox monitor add backup")
def add(monitor_id: MonitorId, db: Db = None, account: AccountName = "default") -> None:
    """Add a monitor; the sandbox accepts pings only for monitors that exist."""
    with _store(db, create=True) as store:
        added = store.add_monitor(store.get_or_create_account(account), monitor_id)
    print(f"monitor {monitor_id} {'added' if added else 'already exists'}")


@monitor_app.command("list", epilog="Example:  crontify sandbox monitor list --json")
def list_monitors(db: Db = None, account: AccountName = "default", as_json: AsJson = False) -> None:
    """List the monitors with their alert rules and the status of their newest run.

    In a pipe, prints tab-separated lines: monitor, status, last ping (UTC), rules.
    """
    from crontify_cli.cli.sandbox_lists import show_monitors

    with _existing(db, account) as (store, owner):
        monitors = store.monitors(owner)
    show_monitors(monitors, as_json=as_json)


@rule_app.command(
    "add",
    context_settings=_NEGATIVE_NUMBERS,
    epilog="Example:  crontify sandbox rule add backup rows_processed eq 0",
)
def add_rule(
    monitor_id: MonitorId,
    field: Field,
    operator: Operator,
    number: Number,
    db: Db = None,
    account: AccountName = "default",
) -> None:
    """Add an alert rule: a success whose FIELD matches is a silent failure."""
    rule = parsed_by(partial(parse_rule, field, operator))(number)
    with _existing(db, account, monitor_id) as (store, owner):
        if not store.add_rule(owner, monitor_id, rule):
            raise CrontifyError(
                f"rule not added: monitor {monitor_id} already has the maximum of {MAX_RULES}"
                " rules; remove one with crontify sandbox rule remove"
            )
    print(f"rule added to monitor {monitor_id}: {format_rule(rule)}")


@rule_app.command(
    "remove",
    context_settings=_NEGATIVE_NUMBERS,
    epilog="Example:  crontify sandbox rule remove backup rows_processed eq 0",
)
def remove_rule(
    monitor_id: MonitorId,
    field: Field,
    operator: Operator,
    number: Number,
    db: Db = None,
    account: AccountName = "default",
) -> None:
    """Remove an alert rule, given as it was added."""
    rule = parsed_by(partial(parse_rule, field, operator))(number)
    with _existing(db, account, monitor_id) as (store, owner):
        if not store.remove_rule(owner, monitor_id, rule):
            raise CrontifyError(
                f"monitor {monitor_id} has no rule {format_rule(rule)};"
                " crontify sandbox monitor list shows the rules"
            )
    print(f"rule removed from monitor {monitor_id}: {format_rule(rule)}")


@sandbox.command(epilog="Example:  crontify sandbox runs backup --status failed")
def runs(
    monitor_id: OptionalMonitorId = None,
    status: Annotated[
        RunStatus | None, typer.Option(help="Only runs with this status.", show_default=False)
    ] = None,
    limit: Limit = 20,
    db: Db = None,
    account: AccountName = "default",
    as_json: AsJson = False,
) -> None:
    """List the runs, newest first.

    In a pipe, prints tab-separated lines: start and end (UTC), monitor, status,
    seconds, run, log, meta, message. A dash marks a missing value.
    """
    from crontify_cli.cli.sandbox_lists import show_runs

    with _existing(db, account, monitor_id) as (store, owner):
        found = store.runs(owner, monitor_id, status=status, limit=limit)
    show_runs(found, as_json=as_json)


@sandbox.command(epilog="Example:  crontify sandbox alerts backup --json")
def alerts(
    monitor_id: OptionalMonitorId = None,
    limit: Limit = 20,
    db: Db = None,
    account: AccountName = "default",
    as_json: AsJson = False,
) -> None:
    """List the alerts that Crontify would have sent, newest first.

    In a pipe, prints tab-separated lines: time (UTC), monitor, alert, run, message.
    With --json the beginning of the log is included.
    """
    from crontify_cli.cli.sandbox_lists import show_alerts

    with _existing(db, account, monitor_id) as (store, owner):
        found = store.alerts(owner, monitor_id, limit=limit)
    show_alerts(found, as_json=as_json)


@sandbox.command(epilog="Example:  crontify sandbox reset --all")
def reset(
    db: Db = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also delete monitors, rules, keys and tokens.")
    ] = False,
) -> None:
    """Delete all runs, logs and alerts; monitors, rules and keys stay."""
    with _store(db, create=False) as store:
        if everything:
            store.delete_all()
        else:
            store.delete_runs()
    print("deleted everything" if everything else "deleted all runs, logs and alerts")


@contextmanager
def _store(db: Path | None, *, create: bool) -> "Iterator[Store]":
    from crontify_cli.sandbox.store import Store

    with open_database(db or default_path(), create=create) as connection:
        yield Store(connection)


@contextmanager
def _existing(
    db: Path | None, name: str, monitor_id: str | None = None
) -> "Iterator[tuple[Store, Account]]":
    """Yield store and account; raises CrontifyError if account or monitor do not exist."""
    with _store(db, create=False) as store:
        account = store.account(name)
        if not account:
            raise CrontifyError(
                f"the sandbox has no account {name};"
                f" create it with crontify sandbox key rotate --account {name}"
            )
        if monitor_id is not None and not store.has_monitor(account, monitor_id):
            raise CrontifyError(
                f"the sandbox has no monitor {monitor_id};"
                f" add it with crontify sandbox monitor add {monitor_id}"
            )
        yield store, account
