"""Runs, alerts and monitors as tables for a terminal."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from crontify_cli.durations import format_duration
from crontify_cli.sandbox.live import plain
from crontify_cli.sandbox.records import Alert, Millis, Run

RUN_COLUMNS = ("monitor", "run", "status", "ended", "duration", "meta", "message", "log")
ALERT_COLUMNS = ("monitor", "run", "alert", "at", "message")
_WIDE = 10_000  # columns; what is piped on must not be folded


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print the rows on stdout, each cell as it is: no markup, nothing that steers a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDE)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console.print(table)


def run_row(run: Run) -> Sequence[str]:
    """Return the cells of RUN_COLUMNS."""
    return (
        run.monitor_id,
        run.id,
        run.status,
        clock(run.finished_at),
        "-" if run.duration is None else format_duration(run.duration / 1000),
        " ".join(f"{name}={number}" for name, number in (run.meta or {}).items()),
        run.error_message or "",
        "yes" if run.has_log else "",
    )


def alert_row(alert: Alert) -> Sequence[str]:
    """Return the cells of ALERT_COLUMNS."""
    return alert.monitor_id, alert.run_id, alert.kind, clock(alert.created_at), alert.message


def clock(at: Millis | None) -> str:
    """Return the local time as people read it, `-` for none."""
    return "-" if at is None else datetime.fromtimestamp(at / 1000).strftime("%Y-%m-%d %H:%M:%S")
