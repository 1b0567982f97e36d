"""The terminal of a job: who sent a signal, and what a shell would do for a job of its own."""

import _signal as signal  # type: ignore[import-not-found]  # the C half of `signal`, untyped
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Those that a terminal or its shell sends to the whole foreground group.
SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT)
_FROM_KERNEL = 0x80, 0x10006  # SI_KERNEL of Linux and of FreeBSD, sigaction(2)


class Terminal:
    """The terminal that controls us, if there is one.

    is_stdin: whether it is our stdin. The job then stays in our process group, so that
        Ctrl-C reaches it once and Ctrl-Z stops both of us.
    watched: the signals that the terminal sends and that we do not ignore.
    """

    def __init__(self) -> None:
        try:
            os.tcgetpgrp(0)
            self.is_stdin = True
        except OSError:
            self.is_stdin = False  # not a terminal, or not the one that controls us
        self.watched = [n for n in SIGNALS if signal.getsignal(n) != signal.SIG_IGN]
        self._lent: int | None = None

    def watch(self, note: "Callable[[int], None]", send: "Callable[[int], None]") -> None:
        """Take the watched signals, which are blocked, in a thread of their own.

        note: told of each signal. send: passes a signal on to the job; called only for
            those that did not come from the terminal, which the job has had already.

        Raises RuntimeError if no thread can be started.
        """
        import _thread

        _thread.start_new_thread(self._watch, (note, send))

    def _watch(self, note: "Callable[[int], None]", send: "Callable[[int], None]") -> None:
        while True:
            signum, by_terminal = self._next_signal()
            if signum == signal.SIGCONT:
                continue  # a shell wakes the whole group itself, and stops are seen at the job
            note(signum)
            # A lost line hangs up the session's leader alone, as under `ssh -t host crontify`.
            hangs_up = signum == signal.SIGHUP and os.getsid(0) == os.getpid()
            if not by_terminal or hangs_up:
                send(signum)

    def _next_signal(self) -> "tuple[int, bool]":
        """Wait for a watched signal; return it, and whether the terminal or its shell sent it.

        Only sigwaitinfo(2) tells who sent a signal, and macOS and OpenBSD lack it. There every
        signal counts as the terminal's: a job that gets one Ctrl-C twice may not clean up.
        """
        if not hasattr(signal, "sigwaitinfo"):
            return signal.sigwait(self.watched), True
        info = signal.sigwaitinfo(self.watched)
        return info.si_signo, info.si_code in _FROM_KERNEL or info.si_pid == os.getsid(0)

    def lend_to(self, group: int) -> "bool | None":
        """Make `group` the foreground group of the terminal, as for a job that asks a password.

        Return None where there is no terminal, and False where we are in the background
        ourselves.
        """
        try:
            terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if os.tcgetpgrp(terminal) != os.getpgrp():
                os.close(terminal)
                return False
            os.tcsetpgrp(terminal, group)
        except OSError:
            os.close(terminal)
            return None
        self._lent = terminal
        return True

    def take_back(self) -> bool:
        """Make our own group the foreground group again; False if the terminal was not lent."""
        if self._lent is None:
            return False
        terminal, self._lent = self._lent, None
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
        try:
            os.tcsetpgrp(terminal, os.getpgrp())
        except OSError:
            pass  # the terminal was hung up
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(terminal)
        return True
