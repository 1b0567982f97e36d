"""Child processes other than the job, and the reaping of orphans as PID 1 of a container.

As PID 1 we must reap orphaned processes, but not our own children: subprocess waits for
those itself, and if somebody else has reaped one it reports exit code 0.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from subprocess import Popen

_ours: "list[int]" = []
"""The pids of our children; 0 stands for one that is being started and has no pid yet."""


def start(command: "Sequence[str]") -> "Popen[bytes]":
    """Start `command` in a session of its own; only its stdout is read.

    The caller waits for it and then calls `ended`. Raises OSError if it cannot be started.
    """
    import subprocess

    from crontify_cli.threads import with_mask_of_main

    _ours.append(0)
    try:
        child = with_mask_of_main(
            lambda: subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        _ours.append(child.pid)
    finally:
        _ours.remove(0)
        _reap_the_rest()
    return child


def ended(child: "Popen[bytes]") -> None:
    """Record that the caller has waited for `child`."""
    _ours.remove(child.pid)
    _reap_the_rest()


def bury_orphans(job: int) -> None:
    """As PID 1, reap the processes that have ended, except the `job` and our own children.

    Stops at the first of those: its own waiter is about to reap it. Does nothing without
    waitid(2), which macOS and OpenBSD lack: they have no containers.
    """
    if not hasattr(os, "waitid"):
        return
    peek = os.WEXITED | os.WNOHANG | os.WNOWAIT
    try:
        while (found := os.waitid(os.P_ALL, 0, peek)) is not None:
            if found.si_pid == job or 0 in _ours or found.si_pid in _ours:
                return
            os.waitpid(found.si_pid, os.WNOHANG)
    except ChildProcessError:
        pass  # no child is left, or it has just been reaped


def _reap_the_rest() -> None:
    """Reap what `bury_orphans` left, by a SIGCHLD to the main thread; see job/process.py."""
    if os.getpid() == 1:
        import signal

        if callable(signal.getsignal(signal.SIGCHLD)):
            os.kill(1, signal.SIGCHLD)
