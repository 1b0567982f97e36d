"""The Typer app, with all commands."""

import os
from collections.abc import Iterable
from importlib import import_module
from typing import Annotated

import typer

from crontify_cli import __version__
from crontify_cli.cli.boundary import guarded
from crontify_cli.cli.help import App

_NAMES = (
    *("exec", "demo", "ping", "status", "runs", "show", "logs", "queue", "flush"),
    *("crontab", "systemd", "config", "init", "doctor", "metrics", "completion", "sandbox"),
)
COMMANDS = {name: name for name in _NAMES} | {"doctor": "doctor.command"}
"""The modules of the commands, in the order of the help; each has a function `register`."""


def make_app(names: Iterable[str] = COMMANDS) -> App:
    """Return the app with these commands; only their modules are imported."""
    app = App(
        name="crontify",
        help="Put `crontify exec MONITOR --` in front of a cron job and know when it fails.",
        no_args_is_help=True,
        epilog="In a crontab: 0 3 * * *  crontify exec backup -- python3 /srv/backup.py",
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for name in names:
        import_module(f"crontify_cli.cli.{COMMANDS[name]}").register(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        print(f"crontify {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Read this config file.",
            show_default="the user's, then the system's",
        ),
    ] = None,
) -> None:
    if config is not None:
        # In the environment it also reaches a `crontify` that runs inside the job.
        os.environ["CRONTIFY_CONFIG"] = os.path.abspath(config)


def run_app(args: list[str]) -> int:
    """Run the command line `args` and return the exit code; an error is one line on stderr.

    `help COMMAND` is the same as `COMMAND --help`.
    """
    if args[:1] == ["help"]:
        args = [*args[1:], "--help"]
    name = next((word for word in args if word in COMMANDS), "crontify")

    def run() -> None:
        # All commands are needed for the help, and to correct a wrong name.
        command = typer.main.get_group(make_app([name] if args[:1] == [name] else COMMANDS))
        # Calling the app itself would print errors in Typer's own format.
        with command.make_context("crontify", args) as context:
            command.invoke(context)

    return guarded(run, name)
