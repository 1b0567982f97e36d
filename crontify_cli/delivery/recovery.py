"""Finds runs whose wrapper or host died, and queues the reports that they could not make.

A run's record (`crontify_cli.record`) is locked as long as its wrapper lives. Whoever
gets the lock of a dead one holds the right to report it; the journal holds the rest
of "exactly once": a run ends there but one time.
"""

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from crontify_cli import processes, record
from crontify_cli.delivery.journal import Journal
from crontify_cli.model import Ending, Outcome, Run
from crontify_cli.report.compose import Output, compose
from crontify_cli.report.locallog import write_log
from crontify_cli.report.meta import read_meta_file
from crontify_cli.report.patterns import redaction

FORGET_AFTER = 86400.0
"""Seconds after which a run counts as dead whose job cannot be seen from here."""


_NOT_ITSELF = "its own process could not report it, this is from its record"


class Live(NamedTuple):
    """A record in the folder of live runs, by its name."""

    run: str
    monitor: str
    path: str


class Target(NamedTuple):
    """Where a monitor's reports go, and what its settings keep out of them."""

    base_url: str
    monitor_id: str
    redact: tuple[str, ...] = ()
    no_log: bool = False


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
            return _job_lives(record.Record(os.pread(fd, record.SIZE, 0)))
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
    """Queue a report for each dead run; return the local ids of those.

    mask: takes secrets out of a text; what the run's own monitor and flags name comes on top.
    target: for a monitor's name, where its reports go if the journal does not say.
    own: the run of this very process, left alone. is_wanted: of which monitors.
    Raises JournalError.
    """
    recovered = []
    for live in live_runs(state):
        if live.run == own or not is_wanted(live.monitor):
            continue
        with _locked(live) as found:
            if found is None or _job_lives(found):
                continue
            row = journal.run(live.run)
            if row is None or row.outcome is None:
                where = target(live.monitor)
                if row:
                    where = where._replace(base_url=row.base_url, monitor_id=row.monitor_id)
                if _report(state, journal, mask, where, live, found):
                    recovered.append(live.run)
            _remove(live)
    return recovered


@contextlib.contextmanager
def _locked(live: Live) -> Iterator[record.Record | None]:
    """Hold the lock of a record whose wrapper is dead; None if it lives, or another was faster."""
    with _opened(live.path) as fd:
        yield None if fd is None else _read_dead(fd, live)


def _read_dead(fd: int, live: Live) -> record.Record | None:
    # A record without a header may be one that is just being made: its maker takes its
    # lock first, and ours must not be in its way.
    if os.pread(fd, len(record.MAGIC), 0) != record.MAGIC:
        if time.time() - os.fstat(fd).st_mtime > FORGET_AFTER:
            _remove(live)
        return None
    if not record.take_over(fd):
        return None
    if not os.fstat(fd).st_nlink:
        return None
    try:
        return record.Record(os.pread(fd, record.SIZE, 0))
    except ValueError:
        _remove(live)  # its wrapper died before the spawn, or it is of another version
        return None


def _job_lives(found: record.Record) -> bool:
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
    found: record.Record,
) -> bool:
    mask = redaction(mask, [*where.redact, *found.redact])
    no_log = where.no_log if found.no_log is None else found.no_log
    outcome, reason = _judge(found)
    meta = {"output_bytes": found.total} | read_meta_file(_meta_path(live))[0]
    exit_code = found.exit_code if found.ended else None
    if exit_code is not None:
        meta = {"exit_code": exit_code} | meta
    output = Output(found.head, found.dropped, found.tail)
    ping, log = compose(
        where.monitor_id,
        outcome == "success",
        reason,
        meta,
        output,
        mask,
        with_log=not no_log,
    )
    started = found.started / 1e9
    ended = found.ended / 1e9 or max(started, _last_change(live))
    run = Run(
        found.run,
        live.monitor,
        where.monitor_id,
        where.base_url,
        tuple(map(mask, found.command)),
        found.wrapper,
        found.job,
        found.boot_id,
        started,
    )
    duration = ended - started if found.ended else None
    ending = Ending(outcome, reason, exit_code, ended, duration, ping.meta, ping.log_output)
    with contextlib.suppress(OSError):
        write_log(state, found.run, log)
    return journal.finish(run, ending, ping, None) is not None


def _judge(found: record.Record) -> tuple[Outcome, str]:
    if found.state == record.SUCCEEDED:
        return "success", f"exited with code 0; {_NOT_ITSELF}"
    if found.state == record.FAILED:
        words = f"ended with exit code {found.exit_code}"
        return "fail", f"{words}; {_NOT_ITSELF}"
    if found.boot_id != processes.boot_id():
        return "lost", "the host went down, the job's outcome is unknown"
    return "lost", "the wrapper was killed, the job's outcome is unknown"


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
