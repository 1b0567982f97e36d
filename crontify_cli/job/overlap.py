"""The overlap lock: one run of a monitor at a time on this host."""

import os

from crontify_cli.job.process import STOP_REQUESTS, Interrupted, Process
from crontify_cli.job.recorder import make_private
from crontify_cli.places import state_dir


class Lock:
    """A monitor's overlap lock: one process's at a time on this host, and gone with it.

    A POSIX record lock, which a child does not inherit. problem: why there is none.
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
            state = state_dir()
            folder = os.path.join(state, "locks")
            make_private(state)
            make_private(folder)
            path = os.path.join(folder, f"{self._monitor}.lock")
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            self.problem = str(error)
            return True
        process.waiting = wait
        try:
            if wait and (asked := [n for n in process.asked if n in STOP_REQUESTS]):
                raise Interrupted(asked[-1])  # it came before we began to wait
            os.lockf(self._fd, os.F_LOCK if wait else os.F_TLOCK, 0)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            self.problem = str(error)
            return True
        finally:
            process.waiting = False
        try:
            os.pwrite(self._fd, b"%-10d\n" % os.getpid(), 0)
        except OSError:
            pass  # a full disk: the note is only for people
        return True

    def holder(self) -> str:
        """Return ` (pid N)` for the process that has the lock, empty if it left no note."""
        try:
            pid = os.pread(self._fd, 11, 0).decode("ascii", "replace").strip()
        except OSError:
            pid = ""
        return f" (pid {pid})" if pid.isdigit() else ""
