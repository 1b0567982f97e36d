"""Shows each job of crontabs: when it runs, and what the journal knows of its monitor."""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo
from functools import lru_cache

from crontify_cli.cli import output
from crontify_cli.cli.crontab_open import Opened
from crontify_cli.cli.crontab_table import Row, draw
from crontify_cli.cli.moments import utc
from crontify_cli.cli.past import Past
from crontify_cli.crontab import edit, wrap
from crontify_cli.crontab.lines import Line
from crontify_cli.crontab.schedule import next_due
from crontify_cli.errors import one_line

_GRACE = 300.0
"""Seconds after which a job that has not started counts as overdue."""
_SECRET = re.compile(
    r"(?i)((?:^|[\s'\"])(?:-{1,2}|export\s+)?(?=[\w-]*(?:pass|pwd|secret|token|key))[\w-]++"
    r"(?:=|\s+(?=[^-\s])))('[^']*'|\"[^\"]*\"|[^\s'\"]+)"
)
# Both take linear time: root may list the crontabs of users who wish it harm.
_IN_URL = re.compile(r"(\b\w+://[^\s/:@'\"]*:)[^\s/@'\"]+@")


def show(crontabs: Sequence[Opened], *, as_json: bool) -> None:
    """Print the jobs."""
    now = time.time()

    def print_table(rows: Iterable[Row]) -> None:
        draw(list(rows), now, several=len(crontabs) > 1)

    output.show_list(_rows(crontabs, now), _object, _fields, print_table, as_json=as_json)


def _rows(crontabs: Sequence[Opened], now: float) -> Iterator[Row]:
    past = Past()
    for opened in crontabs:
        for line in opened.lines:
            if line.job:
                yield _row(opened, line, past, now)


def _row(opened: Opened, line: Line, past: Past, now: float) -> Row:
    job, dialect = line.job, opened.dialect
    assert job
    monitor = wrap.monitor_of(line, dialect)
    schedule = job.schedule.decode("latin-1")
    when = job.when if not line.problem else None
    zone = _zone(job.settings.get(b"CRON_TZ", b"")) if dialect == "cronie" else None
    last = past.of(monitor) if monitor else None
    overdue = None
    if last and when:
        due = _next(when, last.started_at // 60 * 60, zone)
        overdue = due if due is not None and due + _GRACE < now else None
    return Row(
        opened.place.label,
        line.number,
        schedule,
        when,
        _next(when, now // 60 * 60, zone) if when else None,
        job.user.decode("utf-8", "replace") if job.user is not None else opened.place.user,
        _shown(line.command),
        monitor,
        "crontify" if monitor else _other_wrapper(line, opened),
        last.outcome if last else None,
        last.started_at if last else None,
        last.usual if last else None,
        overdue,
        line.problem,
    )


def _other_wrapper(line: Line, opened: Opened) -> str | None:
    if not any(name in line.text for name in edit.WRAPPERS):
        return None
    shape = wrap.read_command(line, opened.dialect).shape
    return (edit.other_wrapper(shape.commands) if shape else "") or None


_next = lru_cache(maxsize=8192)(next_due)


@lru_cache
def _zone(name: bytes) -> tzinfo | None:
    if not name:
        return None
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name.decode())
    except (KeyError, ValueError, OSError):
        return None  # cronie then uses the system's as well


def _shown(command: bytes) -> str:
    text = one_line(command.decode("utf-8", "backslashreplace")).strip()
    return _IN_URL.sub(r"\1***@", _SECRET.sub(r"\1***", text))


def _object(row: Row) -> dict[str, object]:
    return {
        "crontab": row.crontab,
        "line": row.line,
        "schedule": row.schedule,
        "schedule_words": row.words,
        "next_run": None if row.next_run is None else utc(row.next_run),
        "user": row.user,
        "command": row.command,
        "monitor": row.monitor,
        "wrapper": row.wrapper,
        "last_outcome": row.outcome,
        "last_run": None if row.last_run is None else utc(row.last_run),
        "usual_duration": None if row.usual is None else round(row.usual, 3),
        "overdue_since": None if row.overdue is None else utc(row.overdue),
        "problem": row.problem or None,
    }


def _fields(row: Row) -> tuple[object, ...]:
    return (
        row.crontab,
        row.line,
        row.schedule,
        None if row.next_run is None else utc(row.next_run),
        row.user,
        row.command,
        row.monitor,
        row.outcome,
        None if row.last_run is None else utc(row.last_run),
        None if row.usual is None else f"{row.usual:.3f}",
    )
