"""The doctor's checks of the state directory: the journal, the queue of reports, disk space."""

import os
import time
from collections import defaultdict
from collections.abc import Iterator

from crontify_cli.cli.doctor.check import Check, Result
from crontify_cli.cli.doctor.mounts import network_type
from crontify_cli.cli.moments import brief
from crontify_cli.cli.output import count
from crontify_cli.cli.queue_notes import Note, notes
from crontify_cli.config import Settings
from crontify_cli.config.file import plain
from crontify_cli.delivery.journal import Journal, JournalError
from crontify_cli.delivery.journal_health import Health, examine
from crontify_cli.delivery.limits import limits
from crontify_cli.delivery.pace import Limit
from crontify_cli.delivery.waiting import waiting
from crontify_cli.places import foreign_home
from crontify_cli.state import Folder, StateError

_OUTAGE = 86400.0
"""Seconds a report has waited after which an outage counts as a failure."""
_NEARLY_FULL = 0.9
"""Fraction of the journal's limits above which queued reports are about to be dropped."""
_NEEDED, _LOW = 2 * 1024 * 1024, 64 * 1024 * 1024
"""Bytes that a running job needs with its journal entry; bytes that some runs with logs need."""
_FEW_FILES = 100
_NAMED = 5
"""How many monitors with the same rate limit are named."""


def check_state(state: str | None, settings: Settings) -> Iterator[Check]:
    """Yield the checks from `journal` to `disk`; state: None if there is no directory."""
    if state is None:
        found = "no place for a journal, since HOME is not set: a report that fails is lost"
        yield Check("journal", "failure", found, "set HOME or CRONTIFY_STATE_DIR")
        for name in ("queue", "rate_limit"):
            yield Check(name, "skipped", "not checked: there is no journal")
        yield Check("disk", "skipped", "not checked: there is no state directory")
        return
    if home := foreign_home():
        found = f"{plain(home)} belongs to another user; root's own state is in {plain(state)}"
        yield Check("journal", "ok", found)
    if problem := distrust(state):
        found, _, advice = problem.partition("; ")
        yield Check("journal", "failure", found, advice)
        for name in ("queue", "rate_limit", "disk"):
            yield Check(name, "skipped", "not checked: the state directory is not used")
        return
    health = examine(state)
    yield from _set_aside(state)
    yield from _shared(state)
    yield _journal(state, health)
    yield from _queue(state, health, settings)
    yield from _limits(state, health, settings)
    yield _disk(state)


def distrust(state: str) -> str:
    """Return why the state directory or a folder in it cannot be trusted, "" if they can."""
    try:
        with Folder(state) as folder:
            names = set(os.listdir(folder.fd))
        for name in names.intersection(("live", "logs", "locks", "errors", "crontabs")):
            Folder(state, name).close()
    except StateError as error:
        return error.message
    except OSError:
        pass  # the checks say so
    return ""


def _set_aside(state: str) -> Iterator[Check]:
    try:
        names = [name for name in sorted(os.listdir(state)) if ".corrupt-" in name]
    except OSError:
        return
    names = [name for name in names if not name.endswith(("-wal", "-shm"))]
    if names:
        found = f"{plain(os.path.join(state, names[-1]))} was corrupt and was set aside"
        advice = "try to recover its data with sqlite3 FILE .recover, then remove it"
        yield Check("journal", "warning", found, advice)


def _shared(state: str) -> Iterator[Check]:
    """Yield a warning if other machines may use the same directory."""
    if kind := network_type(_nearest(state)):
        found = f"{plain(state)} is on a network file system ({kind})"
        advice = (
            "set CRONTIFY_STATE_DIR to a local directory on each machine: without reliable"
            " locks a journal can be damaged and reports can be sent twice"
        )
        yield Check("journal", "warning", found, advice)


def _journal(state: str, health: Health) -> Check:
    path = plain(health.path)
    if health.is_corrupt:
        advice = "the next run will set it aside and start a new one; queued reports are not sent"
        return Check("journal", "failure", f"{path}: {health.problem}", advice)
    if health.problem:
        advice = "until it can be used, a report that cannot be sent immediately is lost"
        return Check("journal", "failure", f"{path}: {health.problem}", advice)
    if health.exists:
        return Check("journal", "ok", f"{path}: {count(health.runs, 'run')}")
    parent = _nearest(state)
    if os.path.isdir(parent) and os.access(parent, os.W_OK | os.X_OK):
        return Check("journal", "ok", f"{path} does not exist yet; the first run will create it")
    reason = "is not writable" if os.path.isdir(parent) else "is not a directory"
    advice = "make it writable, or set CRONTIFY_STATE_DIR to another directory"
    return Check("journal", "failure", f"{plain(parent)} {reason}", advice)


def _nearest(path: str) -> str:
    """Return the path, or its nearest parent that exists."""
    while not os.path.lexists(path) and path != "/":
        path = os.path.dirname(path)
    return path


def _queue(state: str, health: Health, settings: Settings) -> Iterator[Check]:
    problem, journal = "the journal is unusable" if health.problem else "", None
    try:
        if health.exists and not problem:
            journal = Journal.open(state, create=False)
        every = waiting(state, journal, settings)
    except JournalError as error:
        problem = str(error)
        every = waiting(state, None, settings)
    if health.refused:
        reason = health.refusal or "no reason was given"
        found = f"the server refused {count(health.refused, 'report')}: {reason}"
        advice = "correct the cause, then run crontify flush --refused"
        yield Check("queue", "warning", found, advice)
    for note in notes(every, settings.base_url, time.time()):
        yield _judged(note, settings.keep_runs)
    if problem:
        yield Check("queue", "skipped", f"only records of runs were counted: {problem}")
    elif not (every or health.refused):
        yield Check("queue", "ok", "empty")


def _judged(note: Note, keep_runs: int) -> Check:
    """Return the check for the reports that wait for one server."""
    result: Result = "failure" if note.is_ours and note.waited >= _OUTAGE else "warning"
    advice = note.advice
    if note.is_ours and note.reports >= _NEARLY_FULL * keep_runs:
        result = "failure"
        advice = f"{advice}; reports above keep_runs ({keep_runs}) are dropped"
    return Check("queue", result, note.found, advice)


def _limits(state: str, health: Health, settings: Settings) -> Iterator[Check]:
    known: dict[str, Limit] = {}
    try:
        if not health.problem and health.exists:
            known = limits(Journal.open(state, create=False), settings.base_url)
    except JournalError as error:
        health = health._replace(problem=str(error))
    if health.problem:
        yield Check("rate_limit", "skipped", "not checked: the journal is unusable")
    elif not known:
        yield Check("rate_limit", "ok", "the server has not limited the rate of pings")
    by_interval: defaultdict[float, list[str]] = defaultdict(list)
    for monitor_id, limit in known.items():
        by_interval[limit.interval or 0.0].append(monitor_id)
    for interval, monitors in sorted(by_interval.items()):
        more = f" and {len(monitors) - _NAMED} more" if len(monitors) > _NAMED else ""
        found = f"{', '.join(monitors[:_NAMED])}{more}: one ping every {brief(interval)}"
        yield Check("rate_limit", "ok", f"{found}; a start that would delay an end is not sent")


def _disk(state: str) -> Check:
    path = _nearest(state)
    try:
        found = os.statvfs(path)
    except OSError as error:
        return Check("disk", "failure", f"{plain(path)}: {error.strerror or error}")
    files = found.f_favail if found.f_files else None  # some file systems do not count files
    return judge_disk(path, found.f_bavail * found.f_frsize, files)


def judge_disk(path: str, free: int, files: int | None) -> Check:
    """Return the check for so many free bytes and free inodes; files: None if not limited."""
    found = f"{_size(free)} free at {plain(path)}"
    few = files is not None and files < _FEW_FILES
    if files is not None and few:
        found += f", space for {count(files, 'more file')}"
    if free < _NEEDED or files == 0:
        advice = "free some disk space; jobs still run, but logs may be lost"
        return Check("disk", "failure", found, advice)
    if free < _LOW or few:
        return Check("disk", "warning", found, "free some disk space, or lower keep_log_mb")
    return Check("disk", "ok", found)


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB" if count < 1000 else f"{count:,.0f} TB"
