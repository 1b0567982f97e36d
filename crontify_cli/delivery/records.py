"""The records in the state directory (`crontify_cli.record`): which there are, and how each stands.

A record is locked as long as its wrapper lives. Whoever locks the record of a dead wrapper
has the right to report its run, and to remove it.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Literal, NamedTuple

from crontify_cli import processes, record
from crontify_cli.state import NEW, Folder, open_file, remove_file
from crontify_cli.values import parse_monitor

FORGET_AFTER = 86400.0
"""Seconds after which a run counts as dead if its job cannot be seen from here."""
FORGET_FOREIGN_AFTER = 7 * 86400.0
"""The same for a run of another machine, of which nothing can be seen at all."""
FOREIGN_END = 600.0
"""Seconds that another machine has to report a run of its own that has ended."""
CLOCK = ".clock-"
"""How the names of the files begin that show the time of the file system."""
_MAKING = 60.0
"""Seconds that a wrapper may take between making a record and locking it."""

Standing = Literal["running", "unknown", "died", "ended", "reported"]
"""running: the wrapper or the job lives. unknown: nobody can tell from here. died: they do not
live, and how the job ended is not known. ended: the record knows how the job ended, and its
report is still to be sent. reported: the server has the report."""


class Live(NamedTuple):
    """A record in the folder of live runs, by its name."""

    run: str
    monitor: str
    path: str


class Lock(NamedTuple):
    """The right to report a run. found: its record, None if it cannot be read."""

    found: record.Record | None


def live_runs(state: str) -> list[Live]:
    """Return the runs that have a record, whether their wrapper lives or not."""
    found = []
    try:
        with Folder(state, record.LIVE) as folder:
            names = sorted(os.listdir(folder.fd))
            for name in names:
                if live := _as_live(name, folder.path):
                    found.append(live)
    except OSError:
        return []
    return found


def _as_live(name: str, folder: str) -> Live | None:
    """Return the run that a file name stands for; None if the name is none of ours."""
    run, hyphen, monitor = name.removesuffix(record.SUFFIX).partition("-")
    if not (name.endswith(record.SUFFIX) and hyphen and record.is_run_id(run)):
        return None
    try:
        return Live(run, parse_monitor(monitor), os.path.join(folder, name))
    except ValueError:
        return None


def has_wrapper(path: str) -> bool:
    """Tell whether the wrapper that writes this record lives.

    Never call it for our own record: closing the file would end our lock on it.
    """
    with _opened(path) as fd:
        return fd is not None and record.is_written(fd)


def goes_on(live: Live) -> bool:
    """Tell whether a run may still be going on, so that the server has it as open."""
    how, found = look(live)
    return how == "running" or (how == "unknown" and found is not None)


def is_unstored(live: Live) -> bool:
    """Tell whether a run's job has ended and its wrapper has yet to store the outcome.

    Never call it for our own record, as with `has_wrapper`.
    """
    how, found = look(live)
    has_ended = found is not None and found.ended > 0 and found.state < record.STORED
    return how == "running" and has_ended


def look(live: Live) -> tuple[Standing, record.Record | None]:
    """Return how a run stands, and its record if it can be read.

    Never call it for our own record, as with `has_wrapper`.
    """
    with _opened(live.path) as fd:
        if fd is None:
            return "unknown", None
        is_written = record.is_written(fd)
        try:
            found = _read(fd, live.path)
        except (OSError, ValueError):
            return "running" if is_written or has_living_job(live) else "died", None
    return "running" if is_written else standing(found, live), found


def standing(found: record.Record, live: Live) -> Standing:
    """Return how a run stands according to its record, which nobody has locked."""
    if found.state == record.REPORTED:
        return "reported"
    if found.ended:
        return "ended"
    if _is_foreign(found):
        return "unknown" if _age(live) < FORGET_FOREIGN_AFTER else "died"
    if found.boot_id != processes.boot_id():
        return "died"
    if found.namespace == processes.namespace():
        # The wrapper may live without its lock: not every file system has locks.
        if _has_living_wrapper(found):
            return "running"
        if found.job[0]:
            return _standing_of_job(found)
    # No pid to go by: the wrapper died before it could note it, or in another PID
    # namespace. The job itself carries the run's id.
    if has_living_job(live):
        return "running"
    hidden = found.namespace != processes.namespace() and found.wrapper[0] != 1
    return "unknown" if hidden and _seconds_since_start(found) < FORGET_AFTER else "died"


def has_living_job(live: Live) -> bool:
    """Tell whether a process of the run's job lives, as far as we can see: it carries its id."""
    return processes.carries("CRONTIFY_RUN", live.run)


def _standing_of_job(found: record.Record) -> Standing:
    """Return how a run stands whose wrapper died and whose job had a pid in our namespace."""
    is_alive = processes.is_alive(*found.job)
    if is_alive is None:
        return "unknown" if _seconds_since_start(found) < FORGET_AFTER else "died"
    return "running" if is_alive else "died"


def may_report(found: record.Record, live: Live) -> bool:
    """Tell whether it is up to us to report the run, once we have locked its record."""
    if _is_foreign(found) and found.ended:
        return _age(live) >= FOREIGN_END
    if not _is_foreign(found) and _has_living_wrapper(found):
        return False
    return standing(found, live) not in ("running", "unknown")


def is_being_reported(live: Live) -> bool:
    """Tell whether another process reports a dead run at this moment.

    Never call it for our own record, as with `has_wrapper`.
    """
    with _opened(live.path) as fd:
        return fd is not None and record.is_taken(fd)


def end(live: Live) -> float:
    """Return when a run ended, in seconds since the epoch; else when its record was last written.

    Never call it for our own record, as with `has_wrapper`.
    """
    at, data = record.AT_ENDED * 8, b""
    with _opened(live.path) as fd, contextlib.suppress(OSError):
        if fd is not None:
            data = os.pread(fd, at + 8, 0)
    is_whole = len(data) == at + 8 and data.startswith(record.MAGIC)
    ended = int.from_bytes(data[at:], sys.byteorder) if is_whole else 0
    return ended / 1e9 if ended else last_change(live)


def succeeded(found: record.Record) -> bool:
    """Tell whether a run that has ended was a success, as far as the record knows."""
    return found.state == record.SUCCEEDED or (found.state == record.ENDED and found.status == 0)


def how_it_was_lost(found: record.Record) -> str:
    """Return in words why nobody saw the end of a run."""
    if _is_foreign(found):
        return "nothing more was heard of the run on another machine"
    if found.boot_id != processes.boot_id():
        return "the host went down"
    return "the wrapper was killed"


def last_change(live: Live) -> float:
    """Return when a record was last written, in seconds since the epoch; 0 if it is gone."""
    try:
        return os.stat(live.path).st_mtime
    except OSError:
        return 0.0


@contextlib.contextmanager
def locked(live: Live) -> Iterator[Lock | None]:
    """Hold the lock of a record whose wrapper is dead; None if it lives, or another was faster."""
    with _opened(live.path) as fd:
        lock = None
        if fd is not None:
            with contextlib.suppress(OSError):  # of a disk that fails, or a server that forgot it
                lock = _lock_dead(fd, live.path)
        yield lock


def remove(live: Live) -> bool:
    """Remove a record and the files next to it; False if it cannot be removed."""
    for path in (record.meta_path(live.path), live.path, record.sent_path(live.path)):
        try:
            remove_file(path)
        except FileNotFoundError:
            pass
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int | None]:
    """Open a record, None if it is none; closing it ends whatever lock we have on it."""
    try:
        fd = open_file(path, os.O_RDWR)
    except OSError:
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _lock_dead(fd: int, path: str) -> Lock | None:
    data = os.pread(fd, record.SIZE, 0)
    # A record without a header may be one that is just being made: its maker takes its
    # lock first, and ours must not be in its way.
    has_header = data[: len(record.MAGIC)] == record.MAGIC
    if not has_header and abs(time.time() - os.fstat(fd).st_mtime) < _MAKING:
        return None
    if not record.take_over(fd) or not os.fstat(fd).st_nlink:
        return None
    try:
        return Lock(_read(fd, path))
    except ValueError:
        # Lost with the disk, or emptied by somebody else. A later version's is left to it.
        return None if has_header else Lock(None)


def _read(fd: int, path: str) -> record.Record:
    """Return the open record; with the header beside it if its wrapper could not write to it."""
    data = os.pread(fd, record.SIZE + 8 + record.SECRETS, 0)
    with contextlib.suppress(OSError):
        with open(open_file(record.sent_path(path), os.O_RDONLY), "rb") as file:
            header = file.read(record.HEADER)
        if len(header) == record.HEADER:
            data = header + data[record.HEADER :]
    return record.Record(data)


def _is_foreign(found: record.Record) -> bool:
    return bool(found.machine) and found.machine != processes.machine_id()


def _has_living_wrapper(found: record.Record) -> bool:
    is_here = found.boot_id == processes.boot_id() and found.namespace == processes.namespace()
    return is_here and found.wrapper[1] > 0 and bool(processes.is_alive(*found.wrapper))


def _seconds_since_start(found: record.Record) -> float:
    """Return the age of a run of this boot, by the clock that nobody sets if possible."""
    age = processes.seconds_alive(found.wrapper[1])
    return abs(time.time() - found.started / 1e9) if age is None else age


def _age(live: Live) -> float:
    """Return the seconds since the last change of a record, by its file system's clock.

    The clocks of two machines may differ; a network file system has one for both.
    """
    probe = f"{CLOCK}{os.urandom(4).hex()}"
    try:
        with Folder(*os.path.split(os.path.dirname(live.path))) as folder:
            fd = folder.open(probe, NEW)
            try:
                os.write(fd, b"\0")
                return os.fstat(fd).st_mtime - last_change(live)
            finally:
                os.close(fd)
                folder.unlink(probe)
    except OSError:
        return time.time() - last_change(live)
