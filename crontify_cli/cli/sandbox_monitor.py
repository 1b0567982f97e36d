"""`crontify sandbox monitor` and `rule`: what is watched, and what is expected of it."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from crontify_cli.cli.arguments import parsed_by, parsed_option
from crontify_cli.cli.sandbox_open import (
    AccountName,
    AsJson,
    Db,
    MonitorId,
    existing,
    group,
    opened,
)
from crontify_cli.errors import CrontifyError, ExitCode
from crontify_cli.sandbox.database import chosen
from crontify_cli.sandbox.monitors import (
    MonitorChanges,
    change_monitor,
    parse_grace,
    parse_tag,
    remove_monitor,
    set_paused,
)
from crontify_cli.sandbox.rules import MAX_RULES, format_rule, parse_rule
from crontify_cli.sandbox.schedule import parse_schedule, parse_timezone

# Without this, the -1 of `rule add backup rows lt -1` would be taken for an option.
_NEGATIVE_NUMBERS = {"ignore_unknown_options": True}

monitor_app = group(
    "Add, change and list the sandbox's monitors.", "crontify sandbox monitor add backup"
)
rule_app = group(
    "Add and remove alert rules, which turn a success into a silent failure.",
    "crontify sandbox rule add backup rows_processed eq 0",
)


Field = Annotated[str, typer.Argument(metavar="FIELD", help="Name of a number in the meta.")]
Operator = Annotated[
    str, typer.Argument(metavar="lt|gt|eq|ne", help="Less than, greater than, equal, not equal.")
]
Number = Annotated[
    str, typer.Argument(metavar="NUMBER", help="Number to compare with, such as 0 or -1.5.")
]


def _removable(parse: Callable[[str], str]) -> Callable[[str], str]:
    """Return a parser that also accepts an empty value, which removes the setting."""
    return lambda text: parse(text) if text else ""


Schedule = Annotated[
    str | None,
    parsed_option(
        _removable(parse_schedule),
        "CRON",
        "Cron expression of the job, such as '0 3 * * *'. Without one, no run is missed.",
    ),
]
Grace = Annotated[
    int | None,
    parsed_option(
        parse_grace,
        "DURATION",
        "How late a ping may be; 5m for a new monitor. A run is hung after twice as long.",
    ),
]
Timezone = Annotated[
    str | None,
    parsed_option(parse_timezone, "ZONE", "Time zone of the schedule; UTC for a new monitor."),
]
Tags = Annotated[
    list[str] | None,
    parsed_option(_removable(parse_tag), "TAG", "Tag of the monitor; can be repeated."),
]


@monitor_app.command(epilog="Example:  crontify sandbox monitor add backup --schedule '0 3 * * *'")
def add(
    monitor_id: MonitorId,
    schedule: Schedule = None,
    grace: Grace = None,
    timezone: Timezone = None,
    tag: Tags = None,
    db: Db = None,
    account: AccountName = "default",
) -> None:
    """Add a monitor; the sandbox accepts pings only for monitors that exist."""
    changes = MonitorChanges(schedule, grace, timezone, tag)
    with opened(db, create=True) as store:
        owner = store.get_or_create_account(account)
        added = store.add_monitor(owner, monitor_id)
        if added:
            change_monitor(store.connection, owner, monitor_id, changes)
        elif changes != MonitorChanges():
            raise CrontifyError(
                f"monitor {monitor_id} already exists;"
                f" change it with crontify sandbox monitor set {monitor_id}{chosen(db, account)}"
            )
    print(f"monitor {monitor_id} {'added' if added else 'already exists'}")


@monitor_app.command(
    "set", epilog="Example:  crontify sandbox monitor set backup --grace 10m --tag nightly"
)
def set_(
    monitor_id: MonitorId,
    schedule: Schedule = None,
    grace: Grace = None,
    timezone: Timezone = None,
    tag: Tags = None,
    db: Db = None,
    account: AccountName = "default",
) -> None:
    """Change a monitor; an empty CRON or TAG removes the schedule or all tags."""
    changes = MonitorChanges(schedule, grace, timezone, tag)
    if changes == MonitorChanges():
        raise CrontifyError(
            "nothing to change: give --schedule, --grace, --timezone or --tag", ExitCode.USAGE
        )
    with existing(db, account, monitor_id) as (store, owner):
        change_monitor(store.connection, owner, monitor_id, changes)
    print(f"monitor {monitor_id} changed")


@monitor_app.command(epilog="Example:  crontify sandbox monitor pause backup")
def pause(monitor_id: MonitorId, db: Db = None, account: AccountName = "default") -> None:
    """Pause a monitor: its pings are recorded, but there are no alerts."""
    with existing(db, account, monitor_id) as (store, owner):
        set_paused(store.connection, owner, monitor_id, paused=True)
    print(f"monitor {monitor_id} paused")


@monitor_app.command(epilog="Example:  crontify sandbox monitor resume backup")
def resume(monitor_id: MonitorId, db: Db = None, account: AccountName = "default") -> None:
    """Resume a paused monitor; its next ping is expected as if it had just been pinged."""
    with existing(db, account, monitor_id) as (store, owner):
        set_paused(store.connection, owner, monitor_id, paused=False)
    print(f"monitor {monitor_id} resumed")


@monitor_app.command(epilog="Example:  crontify sandbox monitor remove backup")
def remove(monitor_id: MonitorId, db: Db = None, account: AccountName = "default") -> None:
    """Remove a monitor with its rules, channels, runs, logs and alerts."""
    with existing(db, account, monitor_id) as (store, owner):
        remove_monitor(store.connection, owner, monitor_id)
    print(f"monitor {monitor_id} removed")


@monitor_app.command("list", epilog="Example:  crontify sandbox monitor list --json")
def list_monitors(db: Db = None, account: AccountName = "default", as_json: AsJson = False) -> None:
    """List the monitors with their settings, alert rules, and the status of their newest run.

    In a pipe, prints tab-separated lines: monitor, status, last ping (UTC), rules,
    state, schedule, time zone, grace, tags.
    """
    from crontify_cli.cli.sandbox_lists import show_monitors

    with existing(db, account) as (store, owner):
        monitors = store.monitors(owner)
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
    """Add an alert rule: a success whose FIELD matches is a silent failure."""
    rule = parsed_by(partial(parse_rule, field, operator))(number)
    with existing(db, account, monitor_id) as (store, owner):
        if not store.add_rule(owner, monitor_id, rule):
            raise CrontifyError(
                f"rule not added: monitor {monitor_id} already has the maximum of {MAX_RULES}"
                " rules; remove one with crontify sandbox rule remove"
            )
    print(f"rule added to monitor {monitor_id}: {format_rule(rule)}")


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
    """Remove an alert rule, given as it was added."""
    rule = parsed_by(partial(parse_rule, field, operator))(number)
    with existing(db, account, monitor_id) as (store, owner):
        if not store.remove_rule(owner, monitor_id, rule):
            raise CrontifyError(
                f"monitor {monitor_id} has no rule {format_rule(rule)};"
                " crontify sandbox monitor list shows the rules"
            )
    print(f"rule removed from monitor {monitor_id}: {format_rule(rule)}")
