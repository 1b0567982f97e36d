"""The Typer app, with all commands."""

import os
from typing import Annotated

import typer

from crontify_cli import __version__
from crontify_cli.cli import completion, demo, flush, init, logs, ping, runs, sandbox
from crontify_cli.cli import config as config_command
from crontify_cli.cli import exec as exec_command
from crontify_cli.cli.boundary import guarded
from crontify_cli.cli.doctor import command as doctor
from crontify_cli.cli.help import App

app = App(
    name="crontify",
    help="Put `crontify exec MONITOR --` in front of a cron job and know when it fails.",
    no_args_is_help=True,
    epilog="In a crontab: 0 3 * * *  crontify exec backup -- python3 /srv/backup.py",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"crontify {__version__}")
        raise typer.Exit


@app.callback()
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


for each in (exec_command, demo, ping, flush, runs, logs, config_command, init, doctor, completion):
    each.register(app)
app.add_typer(sandbox.app, name="sandbox")


def run_app(args: list[str]) -> int:
    """Run the command line `args` and return the exit code; an error is one line on stderr.

    `help COMMAND` is the same as `COMMAND --help`.
    """
    if args[:1] == ["help"]:
        args = [*args[1:], "--help"]
    command = typer.main.get_group(app)

    def run() -> None:
        # Calling the app itself would print errors in Typer's own format.
        with command.make_context("crontify", args) as context:
            command.invoke(context)

    return guarded(run, next((word for word in args if word in command.commands), "crontify"))
