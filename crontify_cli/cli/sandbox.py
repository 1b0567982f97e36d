"""`crontify sandbox`: its commands and their options."""

import importlib.util
import sys
from typing import Annotated

import typer

from crontify_cli.cli.arguments import parsed_option
from crontify_cli.cli.help import App
from crontify_cli.cli.person import typed_program
from crontify_cli.cli.sandbox_channel import channel_app, smtp_server
from crontify_cli.cli.sandbox_monitor import monitor_app, rule_app
from crontify_cli.cli.sandbox_open import (
    AccountName,
    AsJson,
    Db,
    Limit,
    OptionalMonitorId,
    existing,
    group,
    opened,
)
from crontify_cli.errors import CrontifyError
from crontify_cli.sandbox.records import RunStatus
from crontify_cli.sandbox.rules import DETECT_EVERY, parse_interval, parse_plan
from crontify_cli.values import parse_duration

_REQUIRED = ("fastapi", "uvicorn", "jwt")

sandbox = App(
    name="sandbox",
    help="Run the documented API on this machine, without an account.",
    epilog="Run crontify sandbox serve, and paste what it prints into another terminal.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add `sandbox` to the app."""
    app.add_typer(sandbox)


key_app = group("Replace the sandbox's API key.", "crontify sandbox key rotate")
sandbox.add_typer(monitor_app, name="monitor")
sandbox.add_typer(rule_app, name="rule")
sandbox.add_typer(channel_app, name="channel")
sandbox.add_typer(key_app, name="key")


@sandbox.callback()
def _check_dependencies() -> None:
    if not all(map(importlib.util.find_spec, _REQUIRED)):
        raise CrontifyError(
            "the sandbox cannot run: FastAPI, uvicorn or PyJWT is not installed;"
            f" run {sys.executable} -m pip install fastapi uvicorn PyJWT"
        )


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
    detect_every: Annotated[
        float | None,
        parsed_option(
            parse_interval, "DURATION", "How often to look for missed and hung runs.", "1m"
        ),
    ] = None,
    as_json: AsJson = False,
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Serve the API until Ctrl-C is pressed, and show each ping."""
    from crontify_cli.sandbox.serve import serve

    serve(
        host,
        port,
        db,
        account,
        plan,
        detect_every or DETECT_EVERY,
        smtp_server(),
        program=typed_program(),
        as_json=as_json,
        until_stdin_closes=until_stdin_closes,
    )


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
    with opened(db, create=True) as store:
        owner = store.get_or_create_account(account)
        print(make_token(store.signing_secret(), owner, now(), seconds))


@key_app.command(epilog="Example:  export CRONTIFY_API_KEY=$(crontify sandbox key rotate)")
def rotate(db: Db = None, account: AccountName = "default") -> None:
    """Create and print a new API key; the previous key stops working."""
    with opened(db, create=True) as store:
        print(store.rotate_key(store.get_or_create_account(account)))


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

    with existing(db, account, monitor_id) as (store, owner):
        found = store.runs(owner, monitor_id, status=status, limit=limit)
    show_runs(found, of_one_monitor=monitor_id is not None, as_json=as_json)


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

    with existing(db, account, monitor_id) as (store, owner):
        found = store.alerts(owner, monitor_id, limit=limit)
    show_alerts(found, of_one_monitor=monitor_id is not None, as_json=as_json)


@sandbox.command(epilog="Example:  crontify sandbox reset --all")
def reset(
    db: Db = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also delete monitors, rules, keys and tokens.")
    ] = False,
) -> None:
    """Delete all runs, logs and alerts; monitors, rules and keys stay."""
    with opened(db, create=False) as store:
        if everything:
            store.delete_all()
        else:
            store.delete_runs()
    print("deleted everything" if everything else "deleted all runs, logs and alerts")
