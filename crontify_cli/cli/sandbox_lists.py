"""How the sandbox's lists look: a table for a person, tab-separated lines, or the API's objects."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from crontify_cli.errors import one_line
from crontify_cli.sandbox.records import Alert, Millis, Monitor, Run

if TYPE_CHECKING:
    from pydantic import BaseModel

T = TypeVar("T")

_NARROWEST_WORDS = 16
"""The width of the last column, which has the words, below which another column is left out."""
_STATUS_COLOURS = {
    "running": "cyan",
    "success": "green",
    "failed": "bold red",
    "overlapped": "yellow",
    "failure": "bold red",
    "silent_failure": "yellow",
}


class Column(NamedTuple, Generic[T]):
    """A cell of each line. With the largest rank it goes first where the window is too narrow."""

    name: str
    rank: int
    cell: Callable[[T], str]


def show(
    things: Sequence[T],
    *,
    as_json: bool,
    wire: "Callable[[T], BaseModel]",
    fields: Callable[[T], Iterable[object]],
    columns: Sequence[Column[T]],
) -> None:
    """Print the list: `wire` for machines, `fields` in a pipe, `columns` on a terminal."""
    from crontify_cli.cli import output

    output.show_list(
        things,
        lambda thing: wire(thing).model_dump(by_alias=True),
        fields,
        lambda shown: _print_table(shown, columns),
        as_json=as_json,
    )


def _print_table(things: Sequence[T], columns: Sequence[Column[T]]) -> None:
    from rich.text import Text

    from crontify_cli.cli import output, table

    def cells(column: Column[T]) -> list[Text]:
        words = [one_line(column.cell(thing)) for thing in things]
        return [Text(word, _STATUS_COLOURS.get(word, "")) for word in words]

    drawn = [table.Column(column.name, column.rank, cells(column)) for column in columns]
    drawn[-1] = drawn[-1]._replace(least=_NARROWEST_WORDS)
    console = output.console()
    console.print(table.draw_table(drawn, console.width))


def show_monitors(monitors: Sequence[Monitor], *, as_json: bool) -> None:
    """Print monitors, with their rules and how their newest run stands."""
    from crontify_cli.sandbox.wire import monitor_data

    show(
        monitors,
        as_json=as_json,
        wire=monitor_data,
        fields=lambda monitor: (
            monitor.id,
            monitor.last_status,
            _utc(monitor.last_ping_at),
            _rules(monitor) or None,
        ),
        columns=[
            Column("Monitor", 0, lambda monitor: monitor.id),
            Column("Newest run", 2, lambda monitor: monitor.last_status or "-"),
            Column("Last ping", 3, lambda monitor: _local(monitor.last_ping_at)),
            Column("Rules", 1, _rules),
        ],
    )


def show_runs(runs: Sequence[Run], *, as_json: bool) -> None:
    """Print runs, in the order given."""
    from crontify_cli.cli.moments import brief
    from crontify_cli.sandbox.wire import run_data

    show(
        runs,
        as_json=as_json,
        wire=run_data,
        fields=lambda run: (
            _utc(run.started_at),
            _utc(run.finished_at),
            run.monitor_id,
            run.status,
            None if run.duration is None else run.duration / 1000,
            run.id,
            "log" if run.has_log else None,
            _meta(run) or None,
            run.error_message,
        ),
        columns=[
            Column("Time", 3, lambda run: _local(run.finished_at or run.started_at)),
            Column("Monitor", 0, lambda run: run.monitor_id),
            Column("Status", 1, lambda run: run.status),
            Column(
                "Took", 4, lambda run: "" if run.duration is None else brief(run.duration / 1e3)
            ),
            Column("Log", 6, lambda run: "yes" if run.has_log else ""),
            Column("Run", 5, lambda run: run.id),
            Column("Message, meta", 2, lambda run: " ".join(_words(run))),
        ],
    )


def show_alerts(alerts: Sequence[Alert], *, as_json: bool) -> None:
    """Print alerts, in the order given."""
    from crontify_cli.sandbox.wire import alert_data

    show(
        alerts,
        as_json=as_json,
        wire=alert_data,
        fields=lambda alert: (
            _utc(alert.created_at),
            alert.monitor_id,
            alert.kind,
            alert.run_id,
            alert.message,
        ),
        columns=[
            Column("Time", 3, lambda alert: _local(alert.created_at)),
            Column("Monitor", 0, lambda alert: alert.monitor_id),
            Column("Alert", 1, lambda alert: alert.kind),
            Column("Run", 4, lambda alert: alert.run_id),
            Column("Message", 2, lambda alert: alert.message),
        ],
    )


def _words(run: Run) -> Iterable[str]:
    if run.error_message:
        yield run.error_message
    yield _meta(run)


def _meta(run: Run) -> str:
    from crontify_cli.sandbox.live import pairs

    return " ".join(pairs(run.meta or {}))


def _rules(monitor: Monitor) -> str:
    from crontify_cli.sandbox.rules import say

    return ", ".join(map(say, monitor.rules))


def _utc(at: Millis | None) -> str | None:
    from crontify_cli.sandbox.identity import timestamp

    return None if at is None else timestamp(at)


def _local(at: Millis | None) -> str:
    from crontify_cli.cli.moments import local

    return "-" if at is None else local(at / 1000)
