"""What `crontify show` writes about a run: labels and values, one per line, never cut."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from crontify_cli.cli.moments import ago, brief, local
from crontify_cli.cli.output import count, is_ascii
from crontify_cli.cli.queue_notes import flush_command, is_same
from crontify_cli.cli.runs_rows import COLOURS, REPORT_COLOURS, Entry
from crontify_cli.cli.table import bar, text
from crontify_cli.delivery.waiting import Waiting
from crontify_cli.errors import one_line

if TYPE_CHECKING:
    from rich.text import Text

_INDENT = "    "
_LABEL = len("Remote run:") + 2
_BAR = 16
_STARTS = {
    "acknowledged": "acknowledged by the server",
    "unknown": "sent, but not answered",
    "dropped": "not sent",
    "refused": "refused by the server",
}
_REPORTS = {
    "superseded": "superseded: a newer run of the monitor was reported instead",
    "refused": "refused by the server",
    "discarded": "discarded with 'crontify queue discard'",
}


def next_command(report: Waiting | None, base_url: str) -> str:
    """Return the command that sends a report now, "" if it does not wait."""
    if report is None:
        return ""
    ours = is_same(report.base_url, base_url)
    return "crontify flush" if ours else flush_command(report.base_url)


def run_lines(
    run: Entry, command: str, log_end: str | None, log_lines: int | None, now: float
) -> "Iterator[Text]":
    """Yield the lines.

    command: sends the report, "" if it does not wait. log_end: the last lines of the log, None
    without a log; log_lines: how many it has. now: seconds since the epoch.
    """
    row = run.row
    yield text((f"run {row.id}", "yellow"))
    same = row.monitor_id in ("", row.monitor)
    yield _line("Monitor", row.monitor if same else f"{row.monitor} ({row.monitor_id})")
    code = "" if row.exit_code is None else f", exit code {row.exit_code}"
    yield _line("Outcome", (run.outcome, COLOURS.get(run.outcome, "")), code)
    yield _line("Started", f"{local(row.started_at)} ({ago(now - row.started_at)})")
    if row.ended_at is not None:
        yield _line("Ended", local(row.ended_at))
    if run.duration is not None:
        yield _line("Took" if row.ended_at else "So far", *_duration(run))
    yield _line("Command", one_line(shlex.join(row.command)))
    if row.remote_run_id:
        yield _line("Remote run", row.remote_run_id)
    if row.start_state:
        colour = "bold red" if row.start_state == "refused" else ""
        yield _line("Start", (_STARTS.get(row.start_state, row.start_state), colour))
    yield from _report(run, command)
    if run.message and run.outcome != "success":
        yield text("")
        yield from (text(f"{_INDENT}{line}") for line in run.message.splitlines())
    if row.meta:
        yield text("")
        width = max(map(len, row.meta))
        yield from (text(f"{_INDENT}{key:<{width}}  {row.meta[key]:>12,}") for key in row.meta)
    yield from _log(run, log_end, log_lines)


def _line(label: str, *parts: str | tuple[str, str]) -> "Text":
    return text(f"{label + ':':<{_LABEL}}", *parts)


def _duration(run: Entry) -> "list[str | tuple[str, str]]":
    """Return the duration, and how it compares with the usual one."""
    assert run.duration is not None
    took: list[str | tuple[str, str]] = [brief(run.duration)]
    if run.usual is None or run.outcome == "skipped":
        return took
    within, beyond, missing = bar(run.duration, run.usual, _BAR, ascii_only=is_ascii())
    return [
        *took,
        "  ",
        (within, "green"),
        (beyond, "yellow"),
        (missing, "dim"),
        f"  usually {brief(run.usual)}",
    ]


def _report(run: Entry, command: str) -> "Iterator[Text]":
    """Yield what became of the final report, the last error, and what to do."""
    row = run.row
    state = run.report or ("queued" if command else None)
    if state is None:
        return
    server = f" for {row.base_url}" if row.base_url else ""
    to = server.replace(" for ", " to ", 1)
    words = {
        "queued": f"queued{server}, {_attempts(row.attempts)}",
        "delivered": f"delivered{to}",
        "late": f"delivered{to}, {brief(run.late or 0.0)} late",
        "folded": f"included in the report of run {row.folded_into or '(forgotten)'}",
        **_REPORTS,
    }
    yield _line("Report", (words.get(state, state), REPORT_COLOURS.get(state, "")))
    blank = " " * _LABEL
    if row.last_error:
        yield text(f"{blank}{one_line(row.last_error)}")
    if command:
        is_ours = command == "crontify flush"
        yield text(f"{blank}'{command}' sends it{', or the next run' if is_ours else ''}")
    if state == "refused":
        yield text(f"{blank}'crontify queue retry {row.id}' sends it again")


def _attempts(attempts: int) -> str:
    return count(attempts, "attempt") if attempts else "not sent yet"


def _log(run: Entry, end: str | None, lines: int | None) -> "Iterator[Text]":
    if not end or not lines:
        return
    shown = end.split("\n")
    shown = shown[:-1] if end.endswith("\n") else shown
    yield text("")
    more = f"the last {len(shown)} of {lines:,} lines; 'crontify logs {run.row.id}' shows all"
    yield text(("Log" if len(shown) >= lines else f"Log: {more}", "bold"))
    yield from (text(f"{_INDENT}{line}") for line in shown)
