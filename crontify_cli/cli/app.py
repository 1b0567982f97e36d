"""The Typer app, with all commands."""

import os
from collections.abc import Iterable
from importlib import import_module
from typing import Annotated

import typer

from crontify_cli import __version__
from crontify_cli.cli.boundary import guarded
from crontify_cli.cli.help import App

DESCRIPTIONS = {
    "exec": "Run a job, and report its start and how it ended.",
    "demo": "Try everything on this machine, in a few seconds.",
    "ping": "Report a job that runs without `exec`.",
    "status": "Show what runs, failed last, is queued, or is overdue.",
    "runs": "List the runs on this machine, the newest first.",
    "show": "Show one run: its outcome, duration, numbers, message and log.",
    "logs": "Show the log of a run, by default of the last run that failed.",
    "queue": "List, retry or discard the reports that wait to be delivered.",
    "flush": "Deliver queued reports, and report runs that died.",
    "crontab": "List, check, wrap and unwrap the jobs of whole crontabs.",
    "systemd": "List systemd's timers; wrap and unwrap the services that they start.",
    "config": "Show, check and change the settings.",
    "init": "Answer three questions to get a config file and a crontab line.",
    "doctor": "Check whether jobs on this machine can be reported.",
    "metrics": "Print metrics of runs and queue in Prometheus's text format.",
    "completion": "Print the completion script for a shell.",
    "sandbox": "Run the documented API on this machine, without an account.",
}
"""One line for each command, in the order of the help: to list them, none has to be loaded."""
COMMANDS = {name: name for name in DESCRIPTIONS} | {"doctor": "doctor.command"}
"""The modules of the commands; each has a function `register`."""


def make_app(names: Iterable[str] = COMMANDS) -> App:
    """Return the app with these commands; only their modules are imported."""
    app = _bare_app()
    for name in names:
        import_module(f"crontify_cli.cli.{COMMANDS[name]}").register(app)
    return app


def make_index() -> App:
    """Return the app for its own help, with commands that have a description and do nothing."""
    app = _bare_app()
    for name, description in DESCRIPTIONS.items():
        app.command(name, short_help=description)(lambda: None)
    return app


def _bare_app() -> App:
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
        if args in ([], ["-h"], ["--help"]):
            app = make_index()
        else:  # all commands are needed to correct a wrong name
            app = make_app([name] if args[:1] == [name] else COMMANDS)
        command = typer.main.get_group(app)
        # Calling the app itself would print errors in Typer's own format.
        with command.make_context("crontify", args) as context:
            command.invoke(context)

    return guarded(run, name)
