"""`crontify sandbox …`: the documented API on this machine."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from crontify_cli.durations import parse_duration
from crontify_cli.errors import CrontifyError
from crontify_cli.values import parse_monitor

if TYPE_CHECKING:
    from crontify_cli.sandbox.store import Store

T = TypeVar("T")

_EPILOG = "Try it:  crontify sandbox serve   and in another window what it prints."
_NEEDS = ("fastapi", "uvicorn", "jwt")

app = typer.Typer(
    help="The documented API on this machine: try jobs without an account.",
    epilog=_EPILOG,
    no_args_is_help=True,
)
monitor_app = typer.Typer(help="The sandbox's monitors.", no_args_is_help=True)
rule_app = typer.Typer(
    help="Alert rules: when a success is a silent failure.", no_args_is_help=True
)
key_app = typer.Typer(help="The sandbox's API key.", no_args_is_help=True)
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

    return parser


def _parse_plan(text: str) -> int:
    from crontify_cli.sandbox.rules import parse_plan

    return parse_plan(text)


Db = Annotated[
    Path | None,
    typer.Option(
        "--db", help="The sandbox's database.", show_default="sandbox.db in the state directory"
    ),
]
AccountName = Annotated[
    str, typer.Option("--account", metavar="NAME", help="Whose; made when first named.")
]
MonitorId = Annotated[str, typer.Argument(parser=_argument(parse_monitor), metavar="MONITOR")]
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


@app.command()
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


@app.command()
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
    from crontify_cli.sandbox.identity import now
    from crontify_cli.sandbox.tokens import DEFAULT_SECONDS, make_token

    seconds = DEFAULT_SECONDS if expires is None else expires
    with _store(db, make=True) as store:
        print(make_token(store.signing_secret(), store.account(account), now(), seconds))


@key_app.command()
def rotate(db: Db = None, account: AccountName = "default") -> None:
    """Print a new API key; the one before it is refused from now on."""
    with _store(db, make=True) as store:
        print(store.rotate_key(store.account(account)))


@monitor_app.command()
def add(monitor_id: MonitorId, db: Db = None, account: AccountName = "default") -> None:
    """Make a monitor, so that its pings are taken."""
    with _store(db, make=True) as store:
        made = store.add_monitor(store.account(account), monitor_id)
    print(f"monitor {monitor_id} {'added' if made else 'was there already'}")
