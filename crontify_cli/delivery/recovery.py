"""Finds runs whose wrapper could not report them, and queues the reports from their records.

A run's record (`crontify_cli.record`) is locked as long as its wrapper lives. Whoever
gets the lock of a dead one holds the right to report it; the journal holds the rest
of "exactly once": a run ends there but one time. A report says what the record knows,
and no more: a wrapper counts as killed only where nothing else is known.
"""

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from crontify_cli import processes, record
from crontify_cli.config import MonitorSettings
from crontify_cli.delivery.journal import Journal
from crontify_cli.model import Ending, Outcome, Run
from crontify_cli.report.compose import Output, compose
from crontify_cli.report.locallog import write_log
from crontify_cli.report.meta import read_meta_file
from crontify_cli.report.patterns import redaction
from crontify_cli.report.verdict import Facts, judge, read_rules

FORGET_AFTER = 86400.0
"""Seconds after which a run counts as dead whose job cannot be seen from here."""
FORGET_FOREIGN_AFTER = 7 * 86400.0
"""The same for a run of another machine, of which nothing can be seen at all."""
FOREIGN_END = 600.0
"""Seconds that another machine has to report a run of its own that has ended."""
_MAKING = 60.0
"""Seconds that a wrapper may take between making a record and locking it."""

_NOT_ITSELF = "its own process could not report it"
_UNKNOWN = "the job's outcome is unknown"


class Live(NamedTuple):
    """A record in the folder of live runs, by its name."""

    run: str
    monitor: str
    path: str


class Target(NamedTuple):
    """Where a monitor's reports go, and what its settings say of them."""

    base_url: str
    monitor: MonitorSettings


def live_runs(state: str) -> list[Live]:
    """Return the runs that have a record, whether their wrapper lives or not."""
    folder = record.live_dir(state)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    found = []
    for name in names:
        run, hyphen, monitor = name.removesuffix(record.SUFFIX).partition("-")
        if name.endswith(record.SUFFIX) and hyphen:
            found.append(Live(run, monitor, os.path.join(folder, name)))
    return found


def has_wrapper(path: str) -> bool:
    """Tell whether the wrapper that writes this record lives.

    Never to be asked of our own record: closing it would end our lock on it.
    """
    with _opened(path) as fd:
        return fd is not None and record.is_written(fd)


def goes_on(live: Live) -> bool:
    """Tell whether a run's wrapper lives, or its job without it: the server has it as open."""
    with _opened(live.path) as fd:
        if fd is None:
            return False
        if record.is_written(fd):
            return True
        try:
            return _may_go_on(record.Record(os.pread(fd, record.SIZE, 0)), live)
        except ValueError:
            return False


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int | None]:
    """Open a record, None if it is none; closing it ends whatever lock we have on it."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        yield None
        return
    try:
        yield fd if stat.S_ISREG(os.fstat(fd).st_mode) else None
    finally:
        os.close(fd)


def recover(
    state: str,
    journal: Journal,
    mask: Callable[[str], str],
    target: Callable[[str], Target],
    *,
    own: str = "",
    is_wanted: Callable[[str], bool] = lambda _monitor: True,
) -> list[str]:
    """Queue a report for each run that nobody else reports; return the local ids of those.

    mask: masks secrets in a text; what the run's own monitor and flags name is added to it.
    target: for a monitor's name, where its reports go.
    own: the run of this very process, left alone. is_wanted: of which monitors.
    Raises JournalError.
    """
    recovered = []
    for live in live_runs(state):
        if live.run == own or not is_wanted(live.monitor):
            continue
        with _locked(live) as lock:
            if lock is None or (lock.found and _may_go_on(lock.found, live)):
                continue
            row = journal.run(live.run)
            is_reported = lock.found and lock.found.state == record.REPORTED
            if not is_reported and (row is None or row.outcome is None):
                where = target(live.monitor)
                if row and row.base_url:
                    where = Target(row.base_url, where.monitor._replace(id=row.monitor_id))
                if _report(state, journal, mask, where, live, lock.found):
                    recovered.append(live.run)
            _remove(live)
    return recovered


class _Lock(NamedTuple):
    """The right to report a run. found: its record, None where it cannot be read."""

    found: record.Record | None


@contextlib.contextmanager
def _locked(live: Live) -> Iterator[_Lock | None]:
    """Hold the lock of a record whose wrapper is dead; None if it lives, or another was faster."""
    with _opened(live.path) as fd:
        yield None if fd is None else _lock_dead(fd)


def _lock_dead(fd: int) -> _Lock | None:
    data = os.pread(fd, record.SIZE, 0)
    # A record without a header may be one that is just being made: its maker takes its
    # lock first, and ours must not be in its way.
    has_header = data[: len(record.MAGIC)] == record.MAGIC
    if not has_header and time.time() - os.fstat(fd).st_mtime < _MAKING:
        return None
    if not record.take_over(fd) or not os.fstat(fd).st_nlink:
        return None
    try:
        return _Lock(record.Record(os.pread(fd, record.SIZE, 0)))
    except ValueError:
        # Lost with the disk, or emptied by somebody else. A later version's is left to it.
        return None if has_header else _Lock(None)


def _may_go_on(found: record.Record, live: Live) -> bool:
    """Tell whether the job still runs, or may for all that can be known."""
    if found.machine and found.machine != processes.machine_id():
        age = time.time() - _last_change(live)
        return age < (FOREIGN_END if found.ended else FORGET_FOREIGN_AFTER)
    if found.ended or found.boot_id != processes.boot_id():
        return False
    if found.namespace == processes.namespace() and found.job[0]:
        return processes.is_alive(*found.job)
    # No pid to go by: the wrapper died before it could note it, or in another PID
    # namespace. The job itself carries the run's id.
    if processes.carries("CRONTIFY_RUN", found.run):
        return True
    hidden = found.namespace != processes.namespace() and found.wrapper[0] != 1
    return hidden and time.time() - found.started / 1e9 < FORGET_AFTER


def _report(
    state: str,
    journal: Journal,
    mask: Callable[[str], str],
    where: Target,
    live: Live,
    found: record.Record | None,
) -> bool:
    if found is None:
        return _report_unreadable(journal, where, live)
    monitor = where.monitor
    mask = redaction(mask, [*monitor.redact, *found.redact])
    no_log = bool(monitor.no_log) if found.no_log is None else found.no_log
    ending = _ending(journal, found, live, monitor)
    # Where nobody saw the end, the last line printed is not its cause.
    output = Output(found.head, found.dropped, found.tail)
    if found.status is not None:
        output = output._replace(errors=output.end())
    succeeded = ending.outcome in ("success", "tolerated")
    meta = {**ending.meta, "output_bytes": found.total} | read_meta_file(_meta_path(live))[0]
    ping, log = compose(
        monitor.id, succeeded, ending.reason, meta, output, mask, with_log=not no_log
    )
    run = Run(
        found.run,
        live.monitor,
        monitor.id,
        where.base_url,
        tuple(map(mask, found.command)),
        found.wrapper,
        found.job,
        found.boot_id,
        found.started / 1e9,
    )
    ending = ending._replace(reason=mask(ending.reason), meta=ping.meta, excerpt=ping.log_output)
    with contextlib.suppress(OSError):
        write_log(state, found.run, log)
    return journal.finish(run, ending, ping, None) is not None


def _report_unreadable(journal: Journal, where: Target, live: Live) -> bool:
    """Report a run of which only the name of its record is left."""
    reason = f"the record of the run cannot be read, {_UNKNOWN}"
    at = _last_change(live)
    ping, _ = compose(where.monitor.id, False, reason, {}, Output(b"", 0, b""), str)
    run = Run(live.run, live.monitor, where.monitor.id, where.base_url, (), (0, 0), (0, 0), "", at)
    return journal.finish(run, Ending("lost", reason, None, at, None), ping, None) is not None


def _ending(journal: Journal, found: record.Record, live: Live, monitor: MonitorSettings) -> Ending:
    """Return how a run ended, as far as its record knows."""
    started = found.started / 1e9
    if not found.ended:
        ended = max(started, _last_change(live))
        return Ending("lost", _how_it_was_lost(found), None, ended, None)
    ended = found.ended / 1e9
    duration = max(0.0, ended - started)
    meta = {"duration_ms": round(duration * 1000)}
    if found.status is None:  # there was no job, or the record is of version 1
        code = found.exit_code
        succeeded = found.state == record.SUCCEEDED
        reason = found.problem or f"ended with exit code {code}"
    else:
        rules = read_rules(found.rules, monitor)
        verdict = judge(Facts(found.status, duration, found.timed_out), rules)
        succeeded, code, reason = verdict
        failures = journal.failures_in_a_row(live.monitor) + 1 if not succeeded else 0
        if 0 < failures <= rules.tolerate:
            meta |= {"exit_code": code, "tolerated_failures": failures}
            return Ending("tolerated", reason, code, ended, duration, meta)
    outcome: Outcome = "success" if succeeded else "fail"
    meta |= {"exit_code": code}
    return Ending(outcome, f"{reason}; {_NOT_ITSELF}", code, ended, duration, meta)


def _how_it_was_lost(found: record.Record) -> str:
    if found.machine and found.machine != processes.machine_id():
        return f"nothing more was heard of the run on another machine, {_UNKNOWN}"
    if found.boot_id != processes.boot_id():
        return f"the host went down, {_UNKNOWN}"
    return f"the wrapper was killed, {_UNKNOWN}"


def _last_change(live: Live) -> float:
    try:
        return os.stat(live.path).st_mtime
    except OSError:
        return 0.0


def _meta_path(live: Live) -> str:
    return live.path.removesuffix(record.SUFFIX) + record.META_SUFFIX


def _remove(live: Live) -> None:
    for path in (live.path, _meta_path(live)):
        with contextlib.suppress(OSError):
            os.unlink(path)
