"""`crontify exec` for Typer: help and errors, built from the fast path's own table.

Only reached when the fast scanner has handed the command line over.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from crontify_cli.cli.help import Command
from crontify_cli.job import options as table
from crontify_cli.values import parse_monitor

EPILOG = "In a crontab:  0 3 * * *  crontify exec backup -- python3 /srv/backup.py"


class ExecCommand(Command):
    """Finds where the command begins as the fast path does, then parses as ever."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ours, rest = table.split(args)
        return super().parse_args(ctx, [*ours, "--", *rest])


def _parser(option: table.Option) -> Callable[[str], object]:
    def parse(text: str) -> object:
        assert option.convert
        try:
            return option.convert(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    parse.__name__ = option.metavar
    return parse


def _monitor(text: str) -> str:
    try:
        return parse_monitor(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _parameter(option: table.Option) -> inspect.Parameter:
    info: dict[str, Any] = {"help": option.help, "rich_help_panel": option.panel}
    default: Any = None
    if option.convert:
        info |= {"parser": _parser(option), "metavar": option.metavar}
        info["show_default"] = option.default or False
    annotation: Any = str if option.convert else bool
    if option.repeat:
        annotation, default = list[annotation], []
    elif not option.convert:
        default, info["show_default"] = False, False
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[annotation, typer.Option(*option.flags, **info)],
    )


def _exec(*, monitor: str, command: list[str], **values: Any) -> int:
    """Report a job's start, run it, and report how it ended.

    The job's output passes through; its exit code is ours. Options stand before or
    after MONITOR; the first other word after MONITOR, or --, begins the command.
    """
    options = table.ExecOptions(monitor, list(command))
    for option in table.OPTIONS:
        for value in values[option.name] if option.repeat else [values[option.name]]:
            if value is not None and value is not False:  # 0 is a value
                table.fill(options, option, value)
    if problem := table.finish(options):
        raise typer.BadParameter(problem, param_hint="COMMAND")
    from crontify_cli.cli.person import show_wait
    from crontify_cli.job.wrapper import run

    raise typer.Exit(run(options, show_wait))


def register(app: typer.Typer) -> None:
    """Add `exec` to the app."""
    words = [
        inspect.Parameter(
            "monitor",
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Annotated[
                str,
                typer.Argument(
                    help="An alias from the config, or an id.", parser=_monitor, metavar="MONITOR"
                ),
            ],
        ),
        inspect.Parameter(
            "command",
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Annotated[
                list[str], typer.Argument(help="The job and its arguments.", metavar="COMMAND...")
            ],
        ),
    ]
    parameters = [*words, *map(_parameter, table.OPTIONS)]
    _exec.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    _exec.__annotations__ = {p.name: p.annotation for p in parameters}
    app.command("exec", cls=ExecCommand, epilog=EPILOG)(_exec)
