"""The overlap lock: one run of a monitor at a time on this host."""

import os

from crontify_cli.errors import ExitCode, in_words, say
from crontify_cli.job.process import STOP_REQUESTS, Interrupted, Process
from crontify_cli.state import Folder, state_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from crontify_cli.job.options import ExecOptions


class Lock:
    """A monitor's overlap lock: one process's at a time on this host, and gone with it.

    A POSIX record lock, which a child does not inherit. It is held until the job has ended,
    however long its report takes. problem: why there is none.
    """

    def __init__(self, monitor: str) -> None:
        self.problem = ""
        self._monitor = monitor
        self._fd = -1

    def take(self, process: Process, *, wait: bool) -> bool:
        """Take the lock; False if another run has it and we are not to wait.

        Without a place for it the job comes first: True, and `problem` is set.
        Raises Interrupted if we are asked to stop while waiting.
        """
        try:
            with Folder(state_dir(), "locks", create=True) as locks:
                self._fd = locks.open(f"{self._monitor}.lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            self.problem = in_words(error)
            return True
        process.waiting = wait
        try:
            if wait and (asked := [n for n in process.received_signals if n in STOP_REQUESTS]):
                raise Interrupted(asked[-1])  # it came before we began to wait
            self._lock(wait)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            self.problem = in_words(error)
            return True
        finally:
            process.waiting = False
        try:
            os.pwrite(self._fd, b"%-10d\n" % os.getpid(), 0)
        except OSError:
            pass  # a full disk: the note is only for people
        return True

    def _lock(self, wait: bool) -> None:
        try:
            os.lockf(self._fd, os.F_TLOCK, 0)
            return
        except (BlockingIOError, PermissionError):
            if not wait:
                raise
        say(f"{self._monitor} is already running{self.holder()}: waiting for it to end")
        while True:
            try:
                os.lockf(self._fd, os.F_LOCK, 0)
                return
            except InterruptedError:
                continue  # a signal that does not ask us to stop: os.lockf does not go on itself

    def release(self) -> None:
        """Let the next run of the monitor begin; nothing if the lock is not held."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def holder(self) -> str:
        """Return ` (pid N)` for the process that has the lock, empty if it left no note."""
        try:
            pid = os.pread(self._fd, 11, 0).decode("ascii", "replace").strip()
        except OSError:
            pid = ""
        return f" (pid {pid})" if pid.isdigit() else ""


def record_skip(options: "ExecOptions") -> None:
    """Write into the journal that a run was skipped, and nowhere else."""
    import time

    from crontify_cli.config import load
    from crontify_cli.delivery.journal import Journal, JournalError, completed
    from crontify_cli.job.launched import command_line, run_mask
    from crontify_cli.model import Ending, new_run

    settings = load(options.config).settings
    mask = run_mask(options, settings.monitor(options.monitor), ())
    now = time.time()
    run = new_run(os.urandom(6).hex(), options.monitor, command_line(options), started_at=now)
    run = completed(run, settings, mask)
    ending = Ending("skipped", "skipped: another run was going on", ExitCode.TEMPORARY, now, 0.0)
    try:
        journal = Journal.open(state_dir())
        journal.finish(run, ending, None, None)
        if journal.warning:
            say(journal.warning)
    except (JournalError, OSError) as error:
        say(f"the skipped run is not recorded: {error}")
