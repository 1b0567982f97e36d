"""`crontify sandbox …`: the documented API on this machine."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from crontify_cli.cli.help import App
from crontify_cli.errors import CrontifyError
from crontify_cli.values import parse_duration, parse_monitor

if TYPE_CHECKING:
    from crontify_cli.sandbox.records import Account, Rule
    from crontify_cli.sandbox.store import Store

T = TypeVar("T")

_EPILOG = "Try it:  crontify sandbox serve   and in another window what it prints."
_NEEDS = ("fastapi", "uvicorn", "jwt")
# Without this `rule add backup rows lt -1` would be about an option -1.
_NEGATIVE_NUMBERS = {"ignore_unknown_options": True}

app = App(
    help="The documented API on this machine: try jobs without an account.",
    epilog=_EPILOG,
    no_args_is_help=True,
)
monitor_app = App(
    help="The sandbox's monitors.",
    epilog="Example:  crontify sandbox monitor add backup",
    no_args_is_help=True,
)
rule_app = App(
    help="Alert rules: when a success is a silent failure.",
    epilog="Example:  crontify sandbox rule add backup rows_processed eq 0",
    no_args_is_help=True,
)
key_app = App(
    help="The sandbox's API key.",
    epilog="Example:  crontify sandbox key rotate",
    no_args_is_help=True,
)
app.add_typer(monitor_app, name="monitor")
app.add_typer(rule_app, name="rule")
app.add_typer(key_app, name="key")


@app.callback()
def _needs_the_extra() -> None:
    if not all(map(importlib.util.find_spec, _NEEDS)):
        raise CrontifyError(
            "the sandbox needs FastAPI, uvicorn and PyJWT: pip install 'crontify-cli[sandbox]'"
        )


def _argument(parse: Callable[[str], T]) -> Callable[[str], T]:
    def parser(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    parser.__name__ = parse.__name__.removeprefix("parse_")  # help shows it as the type
    return parser


def _parse_plan(text: str) -> int:
    from crontify_cli.sandbox.rules import parse_plan

    return parse_plan(text)


Db = Annotated[
    Path | None,
    typer.Option(
        "--db",
        help="The sandbox's database.",
        show_default="sandbox.db in the state directory",
        readable=False,  # not looked at here: ours says what to do
    ),
]
AccountName = Annotated[
    str, typer.Option("--account", metavar="NAME", help="Whose; made when first named.")
]
MonitorId = Annotated[
    str, typer.Argument(parser=_argument(parse_monitor), metavar="MONITOR", help="Its id.")
]
OptionalMonitorId = Annotated[
    str | None,
    typer.Argument(parser=_argument(parse_monitor), metavar="[MONITOR]", show_default="all"),
]
Field = Annotated[str, typer.Argument(metavar="FIELD", help="A name in the meta.")]
Operator = Annotated[
    str, typer.Argument(metavar="lt|gt|eq|ne", help="Less, greater, equal, not equal.")
]
Number = Annotated[str, typer.Argument(metavar="NUMBER", help="Such as 0 or -1.5.")]
Limit = Annotated[int, typer.Option(min=1, help="How many.")]
RunStatus = Literal["running", "success", "failed", "overlapped"]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


@contextmanager
def _store(db: Path | None, *, make: bool) -> "Iterator[Store]":
    from crontify_cli.sandbox.database import opened
    from crontify_cli.sandbox.store import Store

    with opened(_path(db), make=make) as connection:
        yield Store(connection)


def _path(db: Path | None) -> Path:
    from crontify_cli.sandbox.database import default_path

    return db or default_path()


@app.command(epilog="Example:  crontify sandbox serve --port 8787 --plan free")
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8787,
    db: Db = None,
    account: AccountName = "default",
    plan: Annotated[
        int | None,
        typer.Option(
            parser=_argument(_parse_plan),
            metavar="free|pro|DURATION",
            help="The pause between two pings of a monitor: free is 60s, pro none."
            " It is kept until another is named.",
            show_default="pro",
        ),
    ] = None,
    as_json: AsJson = False,
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Serve the API until Ctrl-C, and show each ping as it arrives."""
    from crontify_cli.sandbox.serve import ServeOptions
    from crontify_cli.sandbox.serve import serve as run

    run(ServeOptions(host, port, _path(db), account, plan, as_json, until_stdin_closes))


@app.command(epilog="Example:  export CRONTIFY_TOKEN=$(crontify sandbox token --expires 1h)")
def token(
    db: Db = None,
    account: AccountName = "default",
    expires: Annotated[
        float | None,
        typer.Option(
            parser=_argument(parse_duration),
            metavar="DURATION",
            help="How long it is good for.",
            show_default="30d",
        ),
    ] = None,
) -> None:
    """Print a user token (JWT) for reading runs and logs."""
    from crontify_cli.sandbox.identity import DEFAULT_SECONDS, make_token, now

    seconds = DEFAULT_SECONDS if expires is None else expires
    with _store(db, make=True) as store:
        print(make_token(store.signing_secret(), store.made_account(account), now(), seconds))


@key_app.command(epilog="Example:  export CRONTIFY_API_KEY=$(crontify sandbox key rotate)")
def rotate(db: Db = None, account: AccountName = "default") -> None:
    """Print a new API key; the one before it is refused from now on."""
    with _store(db, make=True) as store:
        print(store.rotate_key(store.made_account(account)))


@monitor_app.command(epilog="Example:  crontify sandbox monitor add backup")
def add(monitor_id: MonitorId, db: Db = None, account: AccountName = "default") -> None:
    """Make a monitor, so that its pings are taken."""
    with _store(db, make=True) as store:
        made = store.add_monitor(store.made_account(account), monitor_id)
    print(f"monitor {monitor_id} {'added' if made else 'was there already'}")


@monitor_app.command("list", epilog="Example:  crontify sandbox monitor list --json")
def list_monitors(db: Db = None, account: AccountName = "default", as_json: AsJson = False) -> None:
    """List the monitors, with their rules and how their newest run stands.

    In a pipe a tab-separated line each: monitor, status, last ping (UTC), rules.
    """
    from crontify_cli.cli.sandbox_lists import show_monitors

    with _store(db, make=False) as store:
        monitors = store.monitors(_holder_of(store, account))
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
    """Make a success a silent failure when its meta has FIELD and it stands so to NUMBER."""
    from crontify_cli.sandbox.rules import MAX_RULES, say

    rule = _rule(field, operator, number)
    with _store(db, make=False) as store:
        holder = _holder_of(store, account, monitor_id)
        if not store.add_rule(holder, monitor_id, rule):
            raise CrontifyError(
                f"monitor {monitor_id} has {MAX_RULES} rules, the most it may have: remove one"
                " with crontify sandbox rule remove"
            )
    print(f"monitor {monitor_id} has the rule {say(rule)}")


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
    """Remove an alert rule, named as it was added."""
    from crontify_cli.sandbox.rules import say

    rule = _rule(field, operator, number)
    with _store(db, make=False) as store:
        holder = _holder_of(store, account, monitor_id)
        if not store.remove_rule(holder, monitor_id, rule):
            raise CrontifyError(
                f"monitor {monitor_id} has no rule {say(rule)}: see crontify sandbox monitor list"
            )
    print(f"monitor {monitor_id} has no longer the rule {say(rule)}")


@app.command(epilog="Example:  crontify sandbox runs backup --status failed")
def runs(
    monitor_id: OptionalMonitorId = None,
    status: Annotated[
        RunStatus | None, typer.Option(help="Only runs that stand so.", show_default=False)
    ] = None,
    limit: Limit = 20,
    db: Db = None,
    account: AccountName = "default",
    as_json: AsJson = False,
) -> None:
    """Show the runs, the newest first.

    In a pipe a tab-separated line each: started and ended (UTC), monitor, status,
    seconds, run, log, meta, message. A dash stands for what there is not.
    """
    from crontify_cli.cli.sandbox_lists import show_runs

    with _store(db, make=False) as store:
        holder = _holder_of(store, account, monitor_id)
        found = store.runs(holder, monitor_id, status=status, limit=limit)
    show_runs(found, as_json=as_json)


@app.command(epilog="Example:  crontify sandbox alerts backup --json")
def alerts(
    monitor_id: OptionalMonitorId = None,
    limit: Limit = 20,
    db: Db = None,
    account: AccountName = "default",
    as_json: AsJson = False,
) -> None:
    """Show the alerts that Crontify would have sent, the newest first.

    In a pipe a tab-separated line each: time (UTC), monitor, alert, run, message;
    the head of the log is in --json.
    """
    from crontify_cli.cli.sandbox_lists import show_alerts

    with _store(db, make=False) as store:
        holder = _holder_of(store, account, monitor_id)
        found = store.alerts(holder, monitor_id, limit=limit)
    show_alerts(found, as_json=as_json)


@app.command(epilog="Example:  crontify sandbox reset --all")
def reset(
    db: Db = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Monitors, rules, keys and tokens too.")
    ] = False,
) -> None:
    """Forget every run, log and alert; monitors, rules and keys stay."""
    with _store(db, make=False) as store:
        if everything:
            store.forget_all()
        else:
            store.forget_runs()
    print("forgot everything" if everything else "forgot every run, log and alert")


def _rule(field: str, operator: str, number: str) -> "Rule":
    from crontify_cli.sandbox.rules import parse_rule

    try:
        return parse_rule(field, operator, number)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _holder_of(store: "Store", name: str, monitor_id: str | None = None) -> "Account":
    """Return the account, once it is sure that the monitor, if any is named, is its own."""
    account = store.account(name)
    if not account:
        raise CrontifyError(
            f"no account {name} in the sandbox: make it with"
            f" crontify sandbox key rotate --account {name}"
        )
    if monitor_id is not None and not store.monitor(account, monitor_id):
        raise CrontifyError(
            f"no monitor {monitor_id} in the sandbox: make it with"
            f" crontify sandbox monitor add {monitor_id}"
        )
    return account
