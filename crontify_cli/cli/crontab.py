"""`crontify crontab`: lists, checks, wraps and unwraps the jobs of whole crontabs."""

from typing import Annotated

import typer

from crontify_cli.cli.help import App
from crontify_cli.errors import ExitCode

crontab = App(
    name="crontab",
    help="List, check, wrap and unwrap the jobs of whole crontabs.",
    no_args_is_help=True,
    epilog="Example: crontify crontab wrap --dry-run",
)

_DIALECTS = ("debian", "cronie", "busybox")

Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FILE]...", help="Crontab files.", show_default="your own crontab"),
]
User = Annotated[
    str | None, typer.Option("--user", metavar="USER", help="The crontab of this user.")
]
System = Annotated[
    bool,
    typer.Option(
        "--system",
        help="/etc/crontab and /etc/cron.d; with FILE: it has a user column, as they do.",
    ),
]


def _dialect(text: str) -> str:
    if text not in _DIALECTS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(_DIALECTS)}")
    return text


Cron = Annotated[
    str | None,
    typer.Option(
        "--cron",
        parser=_dialect,
        metavar="|".join(_DIALECTS),
        help="The daemon whose rules apply.",
        show_default="the one found here, else debian",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: a list of objects.")]
Match = Annotated[
    str | None, typer.Option("--match", metavar="TEXT", help="Only lines that contain TEXT.")
]
LineNumbers = Annotated[
    list[int] | None,
    typer.Option("--line", min=1, metavar="N", help="Only line N; may be repeated."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the difference; write nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")]


Names = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        metavar="N=MONITOR",
        help="The monitor for line N; may be repeated.",
    ),
]


@crontab.command("list", epilog="Example: crontify crontab list --system")
def list_(
    files: Files = None,
    user: User = None,
    system: System = False,
    cron: Cron = None,
    as_json: AsJson = False,
) -> None:
    """Show each job: when it runs next, its monitor, and how its last run ended.

    In a pipe each job is one tab-separated line: crontab, line, schedule, next run (UTC),
    user, command, monitor, last outcome, last run (UTC), usual seconds. A dash stands for an
    empty value. What looks like a password in a command is masked.
    """
    from crontify_cli.cli.crontab_list import show
    from crontify_cli.cli.crontab_open import open_crontabs

    show(open_crontabs(files, user, system, cron), as_json=as_json)


@crontab.command(epilog="Example: crontify crontab check /etc/cron.d/backup --system")
def check(
    files: Files = None,
    user: User = None,
    system: System = False,
    cron: Cron = None,
    as_json: AsJson = False,
) -> None:
    """Show where cron will do something else than a line seems to say.

    In a pipe each finding is one tab-separated line: crontab, line, level, code, message.
    The exit code is 1 if something would not run.
    """
    from crontify_cli.cli.crontab_check import show
    from crontify_cli.cli.crontab_open import open_crontabs

    if show(open_crontabs(files, user, system, cron), as_json=as_json):
        raise typer.Exit(ExitCode.FAILURE)


@crontab.command(epilog="Example: crontify crontab wrap --match backup --name 7=nightly-backup")
def wrap(
    files: Files = None,
    user: User = None,
    system: System = False,
    cron: Cron = None,
    match: Match = None,
    line: LineNumbers = None,
    name: Names = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Put `crontify exec MONITOR --` in front of the commands; change nothing else.

    Shows the difference and asks about each line. If a line is left as it is, the reason is
    printed. The earlier crontab is kept in the state directory.
    """
    from crontify_cli.cli import crontab_edit
    from crontify_cli.cli.crontab_open import open_crontabs

    try:
        names = dict(map(_name, name or ()))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--name'") from None
    choice = crontab_edit.Choice(match, tuple(line or ()), names, dry_run, yes)
    crontab_edit.wrap(open_crontabs(files, user, system, cron), choice)


@crontab.command(epilog="Example: crontify crontab unwrap --dry-run")
def unwrap(
    files: Files = None,
    user: User = None,
    system: System = False,
    cron: Cron = None,
    match: Match = None,
    line: LineNumbers = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Take `crontify exec` out of the lines that `wrap` has put it into.

    Their bytes are the original ones, even if the schedule or the options of exec have been
    edited since. With --line, lines that were wrapped by hand are unwrapped, too.
    """
    from crontify_cli.cli import crontab_edit
    from crontify_cli.cli.crontab_open import open_crontabs

    choice = crontab_edit.Choice(match, tuple(line or ()), {}, dry_run, yes)
    crontab_edit.unwrap(open_crontabs(files, user, system, cron), choice)


def _name(text: str) -> tuple[int, str]:
    """Return line and monitor of `N=MONITOR`; raises ValueError."""
    from crontify_cli.values import parse_argument_monitor

    number, equals, monitor = text.partition("=")
    if not equals or not number.isdecimal() or int(number) < 1:
        raise ValueError(f"{text!r} is not N=MONITOR")
    return int(number), parse_argument_monitor(monitor)


def register(app: typer.Typer) -> None:
    """Add `crontab` to the app."""
    app.add_typer(crontab)
