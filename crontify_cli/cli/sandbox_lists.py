"""The sandbox's lists: as a table on a terminal, as tab-separated lines, or as JSON."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from crontify_cli.cli import output
from crontify_cli.cli.moments import brief, local, local_short
from crontify_cli.cli.table import Column, draw_table, text
from crontify_cli.errors import one_line
from crontify_cli.sandbox.identity import timestamp
from crontify_cli.sandbox.live import pairs
from crontify_cli.sandbox.records import Millis, Rule
from crontify_cli.sandbox.rules import format_rule
from crontify_cli.sandbox.wire import Alert, Attempt, Channel, Monitor, Run
from crontify_cli.values import format_duration

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.text import Text

T = TypeVar("T")
Model = TypeVar("Model", bound="BaseModel")

_NARROWEST_WORDS = 16
_WORDS = 56
"""The last column has the words. Others are left out if that makes it wider, up to this width."""
_OTHERS = 26
"""The width of two short columns, which stay in a narrow window."""
_WIDE = 120
_STATUS_COLOURS = {
    "active": "green",
    "failing": "bold red",
    "paused": "yellow",
    "running": "cyan",
    "success": "green",
    "failed": "bold red",
    "overlapped": "yellow",
    "missed": "bold red",
    "hung": "bold red",
    "slow": "yellow",
    "failure": "bold red",
    "delivered": "green",
    "silent_failure": "yellow",
}


def show(
    things: Sequence[Model],
    fields: Callable[[Model], Iterable[object]],
    columns: Sequence[Column[Model]],
    *,
    as_json: bool,
) -> None:
    """Print the list: as the API's objects, with `fields` in a pipe, `columns` on a terminal."""

    def to_object(thing: Model) -> object:
        return thing.model_dump(by_alias=True)

    draw = partial(_print_table, columns)
    output.show_list(things, to_object, fields, draw, as_json=as_json)


def _print_table(columns: Sequence[Column[T]], things: Iterable[T]) -> None:
    console = output.console()
    least = min(_WORDS, max(_NARROWEST_WORDS, console.width - _OTHERS))
    shown = [*columns[:-1], columns[-1]._replace(least=least)]
    console.print(draw_table(list(things), shown, console.width))


def _column(name: str, rank: int, words: Callable[[T], str]) -> Column[T]:
    def cell(thing: T) -> "Text":
        word = one_line(words(thing))
        return text((word, _STATUS_COLOURS.get(word, "")))

    return Column(name, rank, cell)


def show_monitors(monitors: Sequence[Monitor], *, as_json: bool) -> None:
    """Print monitors with their settings, their rules and the status of their newest run."""

    def fields(monitor: Monitor) -> Sequence[object]:
        last_ping, tags = _utc(monitor.last_ping_at), ",".join(monitor.tags)
        settings = monitor.schedule, monitor.timezone, _grace(monitor), tags or None
        found = monitor.status, last_ping, _rules(monitor) or None, monitor.state
        return monitor.id, *found, *settings

    columns: Sequence[Column[Monitor]] = [
        _column("Monitor", 0, lambda monitor: monitor.id),
        _column("State", 2, lambda monitor: monitor.state),
        _column("Newest run", 4, lambda monitor: monitor.status or "-"),
        _column("Last ping", 5, lambda monitor: _local(monitor.last_ping_at)),
        _column("Schedule", 3, lambda monitor: monitor.schedule or "-"),
        _column("Grace", 6, _grace),
        _column("Tags", 7, lambda monitor: ", ".join(monitor.tags)),
        _column("Rules", 1, _rules),
    ]
    show(monitors, fields, columns, as_json=as_json)


def show_runs(runs: Sequence[Run], *, of_one_monitor: bool, as_json: bool) -> None:
    """Print runs, in the order given; of_one_monitor: a narrow table need not name it."""

    def fields(run: Run) -> Sequence[object]:
        times = _utc(run.started_at), _utc(run.finished_at)
        seconds = None if run.duration_ms is None else run.duration_ms / 1000
        log = "log" if run.has_log else None
        details = run.id, log, _meta(run) or None, run.error_message
        return *times, run.monitor_id, run.status, seconds, *details

    columns: Sequence[Column[Run]] = [
        _column("Time", 3, lambda run: _local(run.finished_at or run.started_at)),
        _column("Monitor", 7 if of_one_monitor else 0, lambda run: run.monitor_id),
        _column("Status", 2, lambda run: run.status),
        _column("Took", 4, _took),
        _column("Log", 6, lambda run: "yes" if run.has_log else ""),
        _column("Run", 5, lambda run: run.id),
        _column("Message, meta", 1, _message_and_meta),
    ]
    show(runs, fields, columns, as_json=as_json)


def show_alerts(alerts: Sequence[Alert], *, of_one_monitor: bool, as_json: bool) -> None:
    """Print alerts, as `show_runs` prints runs."""

    def fields(alert: Alert) -> Sequence[object]:
        return _utc(alert.created_at), alert.monitor_id, alert.kind, alert.run_id, alert.message

    columns: Sequence[Column[Alert]] = [
        _column("Time", 3, lambda alert: _local(alert.created_at)),
        _column("Monitor", 5 if of_one_monitor else 0, lambda alert: alert.monitor_id),
        _column("Alert", 2, lambda alert: alert.kind),
        _column("Run", 4, lambda alert: alert.run_id),
        _column("Message", 1, lambda alert: _cause(alert.message)),
    ]
    show(alerts, fields, columns, as_json=as_json)


def show_channels(channels: Sequence[Channel], *, as_json: bool) -> None:
    """Print channels with the result of the latest attempt to deliver something."""

    def fields(channel: Channel) -> Sequence[object]:
        attempt = _last_attempt(channel)
        times = _utc(attempt.at) if attempt else None
        found = channel.id, channel.monitor_id, channel.kind, channel.target, channel.pending
        return *found, times, _attempt_result(channel) or None

    columns: Sequence[Column[Channel]] = [
        _column("Channel", 1, lambda channel: channel.id),
        _column("Monitor", 0, lambda channel: channel.monitor_id),
        _column("Type", 3, lambda channel: channel.kind),
        _column("Target", 4, lambda channel: channel.target),
        _column("Pending", 5, lambda channel: str(channel.pending)),
        _column("Latest attempt", 2, _attempt_result),
    ]
    show(channels, fields, columns, as_json=as_json)


def _last_attempt(channel: Channel) -> Attempt | None:
    attempts = [attempt for each in channel.deliveries for attempt in each.attempts]
    return max(attempts, key=lambda attempt: attempt.at, default=None)


def _attempt_result(channel: Channel) -> str:
    attempt = _last_attempt(channel)
    return (attempt.error or "delivered") if attempt else ""


def _rules(monitor: Monitor) -> str:
    rules = [Rule(each.field, each.operator, float(each.value)) for each in monitor.rules]
    return ", ".join(map(format_rule, rules))


def _grace(monitor: Monitor) -> str:
    return format_duration(monitor.grace_ms / 1000)


def _took(run: Run) -> str:
    return "" if run.duration_ms is None else brief(run.duration_ms / 1000)


def _message_and_meta(run: Run) -> str:
    return f"{_cause(run.error_message or '')} {_meta(run)}".strip()


def _cause(message: str) -> str:
    """Return the message without `exited with code N: `, which leaves no room for the cause."""
    reason, colon, words = message.partition(": ")
    return words if colon and reason.startswith("exited with code ") else message


def _meta(run: Run) -> str:
    return " ".join(pairs(run.meta or {}))


def _utc(at: Millis | None) -> str | None:
    return None if at is None else timestamp(at)


def _local(at: Millis | None) -> str:
    if at is None:
        return "-"
    wide = output.console().width >= _WIDE
    return local(at / 1000) if wide else local_short(at / 1000, time.time())
