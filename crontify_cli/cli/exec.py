"""`crontify exec` for Typer: its help and its usage errors, built from the fast path's table.

Only command lines that the fast scanner does not understand get here.
"""

import inspect
from typing import Annotated, Any

import typer

from crontify_cli.cli.arguments import Monitor, parsed_by
from crontify_cli.cli.help import Command
from crontify_cli.errors import ExitCode
from crontify_cli.job import options as table

EPILOG = "In a crontab:  0 3 * * *  crontify exec backup -- python3 /srv/backup.py"


class ExecCommand(Command):
    """Finds the beginning of the job's command as the fast path does, then parses as usual."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ours, rest = table.split(args)
        return super().parse_args(ctx, [*ours, "--", *rest])


def _parameter(panel: str, option: table.Option) -> inspect.Parameter:
    info: dict[str, Any] = {"help": option.help, "rich_help_panel": panel}
    default: Any = None
    if option.convert:
        info |= {"parser": parsed_by(option.convert), "metavar": option.metavar}
        info["show_default"] = option.default or False
    annotation: Any = str if option.convert else bool
    if option.repeat:
        annotation, default = list[annotation], []
    elif option.counts:
        annotation, default = int, 0
        info |= {"count": True, "show_default": False}
    elif not option.convert:
        default, info["show_default"] = False, False
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[annotation, typer.Option(*option.flags, **info)],
    )


def _exec(*, monitor: str, command: list[str], **values: Any) -> int:
    """Run a job, and report its start and how it ended.

    The job's output is passed through, and crontify exits with the job's exit code.
    Options may be given before or after MONITOR. The command begins after --, or at
    the first other word after MONITOR.
    """
    options = table.ExecOptions(monitor, list(command))
    for option in table.OPTIONS:
        for value in values[option.name] if option.repeat else [values[option.name]]:
            if value is not None and value is not False:  # 0 is a value
                table.fill(options, option, value)
    if problem := table.finish(options):
        raise typer.BadParameter(problem, param_hint="COMMAND")
    if options.dry_run:
        from crontify_cli.cli.dry_run import show

        show(options)
        return ExitCode.OK
    from crontify_cli.job.wrapper import run

    raise typer.Exit(run(options))


def register(app: typer.Typer) -> None:
    """Add `exec` to the app."""
    command = Annotated[
        list[str], typer.Argument(help="The job and its arguments.", metavar="COMMAND...")
    ]
    keyword_only = inspect.Parameter.KEYWORD_ONLY
    words = [
        inspect.Parameter("monitor", keyword_only, annotation=Monitor),
        inspect.Parameter("command", keyword_only, annotation=command),
    ]
    options = [
        _parameter(panel, option) for panel, options in table.PANELS.items() for option in options
    ]
    parameters = [*words, *options]
    _exec.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    _exec.__annotations__ = {p.name: p.annotation for p in parameters}
    app.command("exec", cls=ExecCommand, epilog=EPILOG)(_exec)
