"""The rows of `crontify status`: for JSON, a pipe, and one screen of a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crontify_cli.cli.moments import ago, brief, local_short, rounded, utc
from crontify_cli.cli.output import count
from crontify_cli.cli.overview import Standing
from crontify_cli.cli.queue_notes import Note
from crontify_cli.cli.runs_rows import Entry, exit_code, usual_bar
from crontify_cli.cli.table import Column, View, cause, draw_table, text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_MOST = 8
"""Rows of a section, so that all sections fit a screen."""
_NARROWEST_MONITOR, _NARROWEST_MESSAGE = 12, 20


def as_json(each: Standing) -> dict[str, object]:
    """Return the JSON object; docs/output.md describes its keys."""
    last = each.last
    return {
        "monitor": each.monitor,
        "monitor_id": each.monitor_id,
        "last_run": last and last.row.id,
        "last_outcome": last and last.outcome,
        "last_started_at": last and utc(last.row.started_at),
        "exit_code": last and last.row.exit_code,
        "message": last and last.message,
        "failures_in_a_row": each.failures,
        "running": [run.row.id for run in each.running],
        "queued": each.queued,
        "usual_period": rounded(each.rhythm.usual) if each.rhythm else None,
        "next_run_at": None if each.due is None else utc(each.due),
        "overdue_since": utc(each.due) if each.overdue and each.due else None,
    }


def as_fields(each: Standing) -> tuple[object, ...]:
    """Return the columns of a line in a pipe, as `crontify status --help` lists them."""
    values = as_json(each)
    return (
        each.monitor,
        values["last_outcome"],
        values["last_started_at"],
        each.failures,
        len(each.running),
        each.queued,
        values["next_run_at"],
        values["overdue_since"],
    )


def screen(every: Sequence[Standing], queued: Sequence[Note], view: View) -> "list[RenderableType]":
    """Return one screen: a summary, and a section for each kind of news that there is."""
    failed = [each for each in every if each.has_failed]
    running = [run for each in every for run in each.running]
    overdue = [each for each in every if each.overdue]
    reports = sum(note.reports for note in queued)
    parts: list[RenderableType] = [_summary(len(every), failed, running, overdue, reports)]
    if failed:
        parts += [*_title("Failed", "bold red", failed), _failed(failed[:_MOST], view)]
    if overdue:
        parts += [*_title("Overdue", "yellow", overdue), _overdue(overdue[:_MOST], view)]
    if running:
        parts += [*_title("Running", "cyan", running), _running(running[:_MOST], view)]
    if queued:
        parts += [text(""), text(("Queued", "yellow"))]
        parts += [text(f"{note.found}\n  {note.advice}") for note in queued]
    by = "By the journal of this machine alone; 'crontify crontab list' compares with the crontab."
    return [*parts, text(""), text((by, "dim"))]


def _summary(
    monitors: int,
    failed: Sequence[Standing],
    running: Sequence[Entry],
    overdue: Sequence[Standing],
    reports: int,
) -> "Text":
    news = [
        (f"{len(failed)} failed", "bold red", failed),
        (f"{len(overdue)} overdue", "yellow", overdue),
        (f"{count(len(running), 'run')} going on", "cyan", running),
        (f"{count(reports, 'report')} queued", "yellow", reports),
    ]
    parts: list[str | tuple[str, str]] = [f"{count(monitors, 'monitor')}: "]
    for words, colour, is_news in news:
        if is_news:
            parts += [(words, colour), ", "]
    if len(parts) == 1:
        return text(parts[0], ("no failures, nothing overdue or queued", "green"))
    return text(*parts[:-1])


def _title(name: str, colour: str, rows: Sequence[object]) -> "list[Text]":
    more = f" (the first {_MOST} of {len(rows)})" if len(rows) > _MOST else ""
    return [text(""), text((name, colour), more)]


def _failed(rows: Sequence[Standing], view: View) -> "RenderableType":
    # Only those whose last run failed, so that there is one.
    lasts = [(each, each.last) for each in rows if each.last]
    columns: list[Column[tuple[Standing, Entry]]] = [
        Column("Monitor", 0, lambda row: text(row[0].monitor), least=_NARROWEST_MONITOR),
        Column("When", 2, lambda row: text(local_short(row[1].row.started_at, view.now))),
        Column("Run", 4, lambda row: text((row[1].row.id[:6], "dim"))),
        Column("Exit", 5, lambda row: exit_code(row[1]), right=True),
        Column("In a row", 3, lambda row: text(f"{row[0].failures:,}"), right=True),
        Column("Message", 1, lambda row: text((_cause(row[1]), "dim")), least=_NARROWEST_MESSAGE),
    ]
    return draw_table(lasts, columns, view.width)


def _cause(run: Entry) -> str:
    return cause(run.message or "", run.row.exit_code) or run.outcome


def _overdue(rows: Sequence[Standing], view: View) -> "RenderableType":
    def every(row: Standing) -> str:
        return brief(row.rhythm.usual) if row.rhythm else ""

    def due(row: Standing) -> str:
        return ago(view.now - row.due) if row.due else ""

    columns: list[Column[Standing]] = [
        Column("Monitor", 0, lambda row: text(row.monitor), least=_NARROWEST_MONITOR),
        Column("Last run", 2, lambda row: text(local_short(row.last_start, view.now))),
        Column("Usually every", 3, lambda row: text(every(row))),
        Column("Due", 1, lambda row: text(due(row))),
    ]
    return draw_table(rows, columns, view.width)


def _running(rows: Sequence[Entry], view: View) -> "RenderableType":
    columns: list[Column[Entry]] = [
        Column("Monitor", 0, lambda run: text(run.row.monitor), least=_NARROWEST_MONITOR),
        Column("Since", 2, lambda run: text(local_short(run.row.started_at, view.now))),
        Column("Run", 3, lambda run: text((run.row.id[:6], "dim"))),
        Column("So far", 1, lambda run: text(brief(run.duration or 0.0)), right=True),
        Column("/ usual", 4, lambda run: usual_bar(run, ascii_only=view.ascii_only)),
    ]
    return draw_table(rows, columns, view.width)
