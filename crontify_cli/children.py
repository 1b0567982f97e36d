"""The children beside the job that we start and wait for ourselves.

As PID 1 of a container we also bury the orphans that come to us. One of these children
among them would lose its exit code, and subprocess takes a lost one for 0.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from subprocess import Popen

_ours: "list[int]" = []
"""Their pids; 0 for one that is being started, whose pid nobody knows yet."""


def start(command: "Sequence[str]") -> "Popen[bytes]":
    """Start `command` out of reach of terminal and signals; only its stdout is read.

    Whoever waited for its end calls `ended`. Raises OSError if it cannot be started.
    """
    import subprocess

    _ours.append(0)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _ours.append(child.pid)
    finally:
        _ours.remove(0)
        _bury_the_rest()
    return child


def ended(child: "Popen[bytes]") -> None:
    """Take note that `child` was waited for."""
    _ours.remove(child.pid)
    _bury_the_rest()


def bury_orphans(job: int) -> None:
    """As PID 1: wait for those that have ended and are neither the `job` nor of ours.

    Stops at one that is, which somebody else is about to wait for.
    """
    peek = os.WEXITED | os.WNOHANG | os.WNOWAIT
    try:
        while (found := os.waitid(os.P_ALL, 0, peek)) is not None:
            if found.si_pid == job or 0 in _ours or found.si_pid in _ours:
                return
            os.waitpid(found.si_pid, os.WNOHANG)
    except ChildProcessError:
        pass  # none is left, or it was waited for this instant


def _bury_the_rest() -> None:
    """See to what was left lying meanwhile; in the main thread, where job/process.py reaps."""
    if os.getpid() == 1:
        import signal

        if callable(signal.getsignal(signal.SIGCHLD)):
            os.kill(1, signal.SIGCHLD)
