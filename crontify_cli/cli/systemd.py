"""`crontify systemd`: lists timers, and wraps and unwraps the services that they start."""

from typing import Annotated

import typer

from crontify_cli.cli.help import App

systemd = App(
    name="systemd",
    help="List systemd's timers; wrap and unwrap the services that they start.",
    no_args_is_help=True,
    epilog="Example: crontify systemd wrap backup.timer --dry-run",
)

UnitNames = Annotated[
    list[str],
    typer.Argument(metavar="UNIT...", help="Services, or timers for the services that they start."),
]
User = Annotated[
    bool, typer.Option("--user", help="The units of your own manager, not of the system's.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the difference; write nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")]


def _monitor(text: str) -> str:
    from crontify_cli.systemd.dropin import check_monitor

    try:
        return check_monitor(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@systemd.command("list", epilog="Example: crontify systemd list --json")
def list_(
    units: Annotated[
        list[str] | None,
        typer.Argument(metavar="[UNIT]...", help="Timers or services.", show_default="all timers"),
    ] = None,
    user: User = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: a list of objects.")] = False,
) -> None:
    """Show each timer: when it elapses next, its monitor, and how the last run ended.

    In a pipe each timer is one tab-separated line: timer, next run (UTC), service, monitor,
    last outcome, last run (UTC), usual seconds. A dash stands for an empty value.
    """
    from crontify_cli.cli.systemd_list import show

    show(units or [], user=user, as_json=as_json)


@systemd.command(epilog="Example: crontify systemd wrap backup.service --name nightly-backup")
def wrap(
    units: UnitNames,
    user: User = False,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="MONITOR",
            parser=_monitor,
            help="The monitor; %i stands for the instance of a template.",
            show_default="the unit's name",
        ),
    ] = None,
    api_key_file: Annotated[
        str | None,
        typer.Option(
            "--api-key-file",
            metavar="FILE",
            help="File with the API key, which LoadCredential= gives to the service.",
            show_default="api_key_file in the config",
        ),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Put `crontify exec MONITOR --` in front of the commands of services.

    Writes a drop-in, UNIT.d/crontify.conf; the unit's own files stay as they are. A service
    that a wrapper would change is left as it is, with the reason.
    """
    from crontify_cli.cli import systemd_edit

    systemd_edit.wrap(
        units,
        systemd_edit.Choice(user, dry_run, yes),
        monitor=name or "",
        key_file=api_key_file,
    )


@systemd.command(epilog="Example: crontify systemd unwrap backup.service")
def unwrap(units: UnitNames, user: User = False, dry_run: DryRun = False, yes: Yes = False) -> None:
    """Remove the drop-ins that `wrap` has written."""
    from crontify_cli.cli import systemd_edit

    systemd_edit.unwrap(units, systemd_edit.Choice(user, dry_run, yes))


def register(app: typer.Typer) -> None:
    """Add `systemd` to the app."""
    app.add_typer(systemd)
