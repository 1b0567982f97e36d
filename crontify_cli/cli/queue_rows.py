"""The rows of `crontify queue`: for JSON, a pipe and a table."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.cli.moments import brief, local, local_short, utc
from crontify_cli.cli.queue_notes import is_same, notes
from crontify_cli.cli.runs_rows import COLOURS
from crontify_cli.cli.table import Column, View, draw_table, text
from crontify_cli.delivery.waiting import Waiting

if TYPE_CHECKING:
    from rich.console import RenderableType

_NARROWEST_MONITOR, _NARROWEST_ERROR = 12, 24


class Row(NamedTuple):
    """A report that waits, and when it will be tried again.

    next_attempt: "now" if a process is sending it, "after_run" when the open run of its monitor
        has ended, "next_run" with the next run of a monitor, "other_server" if only a command
        that names the other server sends it.
    next_run_at: when that next run should start by the usual rhythm, in seconds since the epoch;
        None if the journal does not tell.
    """

    waiting: Waiting
    outcome: str
    next_attempt: str
    next_run_at: float | None


def row(waiting: Waiting, base_url: str, next_run_at: float | None) -> Row:
    """Return the row of a report; base_url: of the server in the settings."""
    outcome = "failed" if waiting.outcome == "fail" else waiting.outcome
    if waiting.held_by == "process":
        return Row(waiting, outcome, "now", None)
    if not is_same(waiting.base_url, base_url):
        return Row(waiting, outcome, "other_server", None)
    if waiting.held_by == "run":
        return Row(waiting, outcome, "after_run", None)
    return Row(waiting, outcome, "next_run", next_run_at)


def as_json(each: Row) -> dict[str, object]:
    """Return the JSON object; docs/output.md describes its keys."""
    report = each.waiting
    return {
        "run": report.run,
        "monitor": report.monitor,
        "monitor_id": report.monitor_id,
        "outcome": each.outcome,
        "base_url": report.base_url,
        "since": utc(report.since),
        "attempts": report.attempts,
        "last_attempt": None if report.tried_at is None else utc(report.tried_at),
        "error": report.error,
        "next_attempt": each.next_attempt,
        "next_run_at": None if each.next_run_at is None else utc(each.next_run_at),
        "in_journal": not report.is_recorded,
    }


def as_fields(each: Row) -> tuple[object, ...]:
    """Return the columns of a line in a pipe, as `crontify queue --help` lists them."""
    report = each.waiting
    next_run_at = None if each.next_run_at is None else utc(each.next_run_at)
    return (
        *(utc(report.since), report.run, report.monitor, each.outcome, report.attempts),
        *(report.base_url, each.next_attempt, next_run_at, report.error),
    )


def table(rows: Sequence[Row], base_url: str, view: View) -> "list[RenderableType]":
    """Return the table of `rows`, in their order, and what to do about them."""
    wide = view.width >= 120
    several = any(not is_same(each.waiting.base_url, base_url) for each in rows)

    def since(each: Row) -> str:
        at = each.waiting.since
        return local(at) if wide else local_short(at, view.now)

    columns: list[Column[Row]] = [
        Column("Since", 3, lambda each: text(since(each))),
        Column("Run", 1, lambda each: text((each.waiting.run[: 12 if wide else 6], "dim"))),
        Column("Monitor", 0, lambda each: text(each.waiting.monitor), least=_NARROWEST_MONITOR),
        Column("Outcome", 5, lambda each: text((each.outcome, COLOURS.get(each.outcome, "")))),
        Column("Tries", 7, lambda each: text(str(each.waiting.attempts)), right=True),
        Column("Next try", 4, lambda each: text((next_try(each, view.now), "cyan"))),
        Column("Server", 6, lambda each: text(each.waiting.base_url if several else ""), least=20),
        Column("Why", 2, lambda each: text((_why(each), "dim")), least=_NARROWEST_ERROR),
    ]
    lines = [
        f"{note.found}\n  {note.sends}, 'crontify queue discard' gives {note.them} up"
        for note in notes([each.waiting for each in rows], base_url, view.now)
    ]
    return [draw_table(rows, columns, view.width), *map(text, ["", *lines])]


def _why(each: Row) -> str:
    """Return the last error without `fail of MONITOR: `, since these have columns."""
    return re.sub(r"^(success|fail) of \S+: ", "", each.waiting.error or "")


def next_try(each: Row, now: float) -> str:
    """Return in words when a report will be sent again."""
    if each.next_attempt != "next_run":
        return {"now": "now", "after_run": "after its run", "other_server": "by hand"}[
            each.next_attempt
        ]
    if each.next_run_at is None:
        return "next run"
    return f"next run, in {brief(each.next_run_at - now)}"
