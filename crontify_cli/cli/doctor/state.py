"""The doctor on what runs leave behind: the journal, the queue of reports, room on the disk."""

import os
import time
from collections.abc import Iterator

from crontify_cli.cli.doctor.check import Check, Result
from crontify_cli.cli.moments import brief
from crontify_cli.config import Settings
from crontify_cli.config.file import plain
from crontify_cli.delivery.journal_file import Health, examine
from crontify_cli.delivery.recovery import has_wrapper, live_runs

_LATE, _OLD = 3600.0, 86400.0
"""Seconds of waiting from which on a queue is no blip any more, and no passing outage."""
_NEARLY = 0.9
"""Of what the journal keeps: queued reports beyond that are about to be forgotten."""
_RECORD, _SCARCE = 2 * 1024 * 1024, 64 * 1024 * 1024
"""Bytes that one run needs while it goes on, with its journal entry; and some runs with logs."""
_FEW_FILES = 100


def check_state(state: str | None, settings: Settings) -> Iterator[Check]:
    """Yield the checks `journal`, `queue` and `disk`; state: None where there is no place."""
    if state is None:
        nowhere = "no HOME, so no place for a journal: an outcome that cannot be sent is lost"
        yield Check("journal", "failure", nowhere, "set HOME or CRONTIFY_STATE_DIR")
        yield Check("queue", "skipped", "there is no journal")
        yield Check("disk", "skipped", "there is no place to look at")
        return
    health = examine(state)
    yield from _journal(state, health)
    yield from _queue(state, health, settings)
    yield _disk(state)


def _journal(state: str, health: Health) -> Iterator[Check]:
    path = plain(health.path)
    yield from _set_aside(state)
    if not health.exists:
        problem = _cannot_make(state)
        if problem:
            mend = "make it yours to write, or name another: CRONTIFY_STATE_DIR"
            yield Check("journal", "failure", problem, mend)
        else:
            yield Check("journal", "ok", f"none yet: the first run makes {path}")
    elif health.is_corrupt:
        mend = "the next run sets it aside and begins a new one: what was queued is not sent"
        yield Check("journal", "failure", f"{path}: {health.problem}", mend)
    elif health.problem:
        mend = "while it cannot be used, reports are sent at once or not at all"
        yield Check("journal", "failure", f"{path}: {health.problem}", mend)
    else:
        yield Check("journal", "ok", f"{path}: {_count(health.runs, 'run')}")


def _set_aside(state: str) -> Iterator[Check]:
    try:
        names = [name for name in sorted(os.listdir(state)) if ".corrupt-" in name]
    except OSError:
        return
    names = [name for name in names if not name.endswith(("-wal", "-shm"))]
    if names:
        found = f"{plain(os.path.join(state, names[-1]))} was corrupt and set aside"
        mend = "sqlite3 FILE .recover may save what it held; then remove it"
        yield Check("journal", "warning", found, mend)


def _cannot_make(state: str) -> str:
    """Return why no file can be made there, "" if one can."""
    place = _nearest(state)
    if not os.path.isdir(place):
        return f"{plain(place)} is no directory"
    if not os.access(place, os.W_OK | os.X_OK):
        return f"{plain(place)} cannot be written"
    return ""


def _nearest(path: str) -> str:
    """Return the path, or what there is above it."""
    while not os.path.lexists(path) and path != "/":
        path = os.path.dirname(path)
    return path


def _queue(state: str, health: Health, settings: Settings) -> Iterator[Check]:
    dead = [live for live in live_runs(state) if not has_wrapper(live.path)]
    if dead:
        found = (
            f"{_count(len(dead), 'run')} died and {'is' if len(dead) == 1 else 'are'} not reported"
        )
        yield Check("queue", "warning", f"{found} yet", "crontify flush")
    if health.refused:
        found = (
            f"{_count(health.refused, 'report')} refused: {health.refusal or 'without a reason'}"
        )
        mend = "when that is mended: crontify flush --refused"
        yield Check("queue", "warning", found, mend)
    for backlog in health.queued:
        waited = time.time() - backlog.oldest
        found = (
            f"{_count(backlog.reports, 'report')} queued, the oldest for {brief(max(0.0, waited))}"
        )
        if backlog.base_url.rstrip("/") != settings.base_url:
            mend = f"base_url is {settings.base_url} now: crontify flush with the old one"
            yield Check("queue", "warning", f"{found}, for {backlog.base_url}", mend)
            continue
        found += f": {backlog.error}" if backlog.error else ""
        kept, days = settings.keep_runs, settings.keep_days
        if backlog.reports >= _NEARLY * kept or waited >= _NEARLY * days * 86400:
            mend = (
                f"crontify flush: what is beyond keep_runs ({kept}) or keep_days ({days}) is lost"
            )
            yield Check("queue", "failure", found, mend)
            continue
        worse: Result = "failure" if waited >= _OLD else "warning"
        yield Check("queue", worse, found, "crontify flush --verbose")
    if health.problem:
        yield Check("queue", "skipped", "it is in the journal")
    elif not (dead or health.queued or health.refused):
        yield Check("queue", "ok", "empty")


def _disk(state: str) -> Check:
    place = _nearest(state)
    try:
        found = os.statvfs(place)
    except OSError as error:
        return Check("disk", "failure", f"{plain(place)}: {error.strerror or error}")
    files = found.f_favail if found.f_files else None  # some file systems do not count them
    return judge_disk(place, found.f_bavail * found.f_frsize, files)


def judge_disk(place: str, free: int, files: int | None) -> Check:
    """Return what so many free bytes mean; files: how many more fit, None for no limit."""
    words = f"{_size(free)} free at {plain(place)}"
    if files is not None and files < _FEW_FILES:
        words += f", for {_count(files, 'more file')}"
    if free < _RECORD or files == 0:
        return Check("disk", "failure", words, "make room: jobs still run, their logs may be lost")
    if free < _SCARCE or (files is not None and files < _FEW_FILES):
        return Check("disk", "warning", words, "make room, or lower keep_log_mb")
    return Check("disk", "ok", words)


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB" if count < 1000 else f"{count:,.0f} TB"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
