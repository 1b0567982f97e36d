"""The job's process: spawning it, passing signals on, its time limit, its end.

Without a terminal on stdin the job leads a process group of its own, and what is
sent to us goes to all of it. With one the job stays in our group, so that the
terminal's Ctrl-C reaches it once and Ctrl-Z stops us both; then only signals that
did not come from the terminal are passed on, to the job alone.

Handlers are Python's, never SIG_IGN, which a child would inherit. `_signal` instead
of `signal`: the latter builds enums for 4 ms before the spawn.
"""

import _signal as signal  # type: ignore[import-not-found]  # the C half of `signal`, untyped
import os
import time

from crontify_cli.processes import descendants, is_group_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FORWARDED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
    signal.SIGTSTP,
    signal.SIGALRM,  # of a timer that whoever became us had set, as `perl -e 'alarm 5; exec …'`
)
STOP_REQUESTS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
# Those that a terminal or its shell sends to the whole foreground group.
_TERMINAL = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT)
_NEEDED = (signal.SIGCHLD, signal.SIGALRM)
# Python itself ignores these two; the job would inherit it.
_PYTHONS = (signal.SIGPIPE, signal.SIGXFSZ)
_FROM_KERNEL = 0x80  # SI_KERNEL, sigaction(2)


DRAIN = 1.0
"""Seconds that a grandchild may hold the pipe open after the job's end."""


PATIENCE = 2.0
"""Seconds that one write of ours may take once the job was ended by force."""


class Interrupted(Exception):  # noqa: N818 - as InterruptedError is another thing
    """We were asked to stop while no job was there to be told."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class Process:
    """The job, from before its spawn to after its end.

    pid: 0 before the spawn. status: what wait4 gave, None while it runs. usage: its
        resource usage, with that of the children it waited for.
    started, ended: time.monotonic() seconds.
    asked: the signals we were sent to pass on, oldest first.
    stop_requests: how many of them ask for an end.
    timed_out: its time limit ended it.
    waiting: True while a stop request should raise Interrupted instead.
    writing: since when (time.monotonic) a write is going on that somebody may never take;
        where the job was ended by force, it raises TimeoutError in the end.
    """

    def __init__(self) -> None:
        self.pid = 0
        self.status: int | None = None
        self.usage: os.struct_rusage | None = None  # type: ignore[name-defined]  # not in typeshed
        self.started = self.ended = 0.0
        self.asked: list[int] = []
        self.writing: float | None = None
        self.timed_out = False
        self.waiting = False
        self.stop_requests = 0
        self.on_terminal = False
        self._deadline: float | None = None
        self._kill_at: float | None = None
        self._kill_after = 10.0
        self._abandon_at: float | None = None
        self._early: list[int] = []
        self._watched: list[int] = []
        self._mask: set[int] = set()
        self._terminal: int | None = None
        self._tells_usage = True
        self._bury_orphans: Callable[[int], None] | None = None
        if os.getpid() == 1:
            from crontify_cli.children import bury_orphans  # not in a handler: it may come twice

            self._bury_orphans = bury_orphans

    def listen(self) -> None:
        """Set our handlers; a signal that is ignored already stays so, for the job as well."""
        try:
            os.tcgetpgrp(0)
            self.on_terminal = True
        except OSError:
            pass  # not a terminal, or not the one that controls us
        self._watched = [n for n in _TERMINAL if signal.getsignal(n) != signal.SIG_IGN]
        for signum in FORWARDED:
            if signal.getsignal(signum) != signal.SIG_IGN:
                signal.signal(signum, self._on_signal)
        signal.signal(signal.SIGCHLD, self._on_child)
        # Whoever started us may have left these blocked, and we would wait for ever.
        self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, _NEEDED)

    def withdraw(self) -> None:
        """Undo what a program inherits that is executed in our place."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for signum in _PYTHONS:
            signal.signal(signum, signal.SIG_DFL)

    def spawn(self, command: "list[str]", environ: "Mapping[str, str]", out: int, err: int) -> None:
        """Start the job with `out` and `err` as its stdout and stderr.

        Raises OSError as execvp(3) would; FileNotFoundError and PermissionError among it.
        """
        if self.on_terminal:
            # Who sent them is known only to sigwaitinfo, which wants them blocked.
            signal.pthread_sigmask(signal.SIG_BLOCK, self._watched)
        self.started = time.monotonic()
        try:
            pid = self._spawn(command, environ, out, err)
        except OSError as error:
            if error.errno != 8:  # ENOEXEC: a script without `#!` is sh's, as execvp(3) has it
                raise
            script = _find(command[0], environ)
            pid = self._spawn(["/bin/sh", script, *command[1:]], environ, out, err)
        self.pid = pid
        signal.signal(signal.SIGALRM, self._on_alarm)
        for signum in self._early:
            self._pass_on(signum)
        self.reap()

    def _spawn(self, command: "list[str]", environ: "Mapping[str, str]", out: int, err: int) -> int:
        actions = [(os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, err, 2)]
        if self.on_terminal:
            return os.posix_spawnp(
                command[0],
                command,
                environ,
                file_actions=actions,
                setsigdef=_PYTHONS,
                setsigmask=self._mask,
            )
        return os.posix_spawnp(
            command[0],
            command,
            environ,
            file_actions=actions,
            setsigdef=_PYTHONS,
            setsigmask=self._mask,
            setpgroup=0,
        )

    def watch_terminal(self) -> None:
        """With a terminal: from now on pass on what did not come from it."""
        if self.on_terminal and hasattr(signal, "sigwaitinfo"):
            import _thread

            _thread.start_new_thread(self._watch_terminal, ())

    def _watch_terminal(self) -> None:
        while True:
            info = signal.sigwaitinfo(self._watched)
            by_terminal = info.si_code == _FROM_KERNEL or info.si_pid == os.getsid(0)
            # A shell wakes the whole group itself, and stops are seen at the job.
            if info.si_signo == signal.SIGCONT:
                continue
            self._note(info.si_signo)
            if not by_terminal:
                self._send(info.si_signo)

    def limit(self, timeout: float | None, kill_after: float) -> None:
        """Let the job run `timeout` seconds, and `kill_after` more after its TERM.

        May be said again; after the TERM it changes nothing.
        """
        if self.timed_out:
            return
        self._kill_after = kill_after
        if timeout is not None and self.status is None:
            self._deadline = self.started + timeout
            self._set_alarm()

    def watch_ended(self) -> None:
        """After the job's end: let the terminal's signals interrupt us like all others."""
        if self.on_terminal:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask.difference(_NEEDED))

    @property
    def over(self) -> bool:
        """Whether the job has ended; and with it, if its time ran out, its whole group."""
        if self.status is None:
            return False
        if self._kill_at is None or self.on_terminal:
            return True
        if is_group_alive(self.pid):
            return False
        self._kill_at = None  # its number may soon be another's
        return True

    def _on_signal(self, signum: int, _frame: object) -> None:
        self._note(signum)
        if self.waiting and signum in STOP_REQUESTS:
            raise Interrupted(signum)
        if self.pid or self.waiting:
            self._pass_on(signum)
        else:
            self._early.append(signum)  # the job may run already, but its pid is not known

    def _pass_on(self, signum: int) -> None:
        self._send(signum)
        if signum == signal.SIGTSTP:
            os.kill(os.getpid(), signal.SIGSTOP)

    def _note(self, signum: int) -> None:
        self.asked.append(signum)
        if signum in STOP_REQUESTS:
            self.stop_requests += 1
            self._end_writes()

    def _send(self, signum: int) -> None:
        if not self.pid or self.status is not None:
            return
        try:
            if self.on_terminal:
                os.kill(self.pid, signum)
            else:
                os.killpg(self.pid, signum)
        except OSError:
            pass  # it ended this instant, or became another user's

    def _on_alarm(self, signum: int, frame: object) -> None:
        now = time.monotonic()
        if self._due() is None:
            self._on_signal(signum, frame)  # of a timer that is none of ours
        elif self._deadline is not None and now >= self._deadline:
            self._deadline = None
            if self.status is None:
                self.timed_out = True
                self._end(signal.SIGTERM)
                self._end(signal.SIGCONT)  # a stopped job could not die of the TERM
                self._kill_at = now + self._kill_after
        elif self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            self._end(signal.SIGKILL)
        elif self._abandon_at is not None and now >= self._abandon_at:
            self._abandon_at = now + PATIENCE
            if self.writing is not None and now - self.writing >= PATIENCE:
                self.writing = None
                self._set_alarm()
                raise TimeoutError(0, "nobody took it any more")
        self._set_alarm()

    def _due(self) -> float | None:
        due = [at for at in (self._deadline, self._kill_at, self._abandon_at) if at is not None]
        return min(due) if due else None

    def _set_alarm(self) -> None:
        due = self._due()
        if due is not None:
            signal.setitimer(signal.ITIMER_REAL, max(due - time.monotonic(), 1e-6))

    def _end_writes(self) -> None:
        """Once the job was ended by force, let no reader hold us up that takes nothing."""
        forced = self.timed_out or self.stop_requests
        if forced and self.status is not None and self._abandon_at is None:
            self._abandon_at = time.monotonic() + PATIENCE
            self._set_alarm()

    def _end(self, signum: int) -> None:
        """Send `signum` to all that belongs to the job, also what outlives it in its group."""
        try:
            if not self.on_terminal:
                os.killpg(self.pid, signum)
                return
        except OSError:
            return
        for pid in (self.pid, *descendants(self.pid)) if self.status is None else ():
            try:
                os.kill(pid, signum)
            except OSError:
                continue

    def _on_child(self, _signum: int, _frame: object) -> None:
        self.reap()

    def reap(self) -> None:
        """Take note of the job's end or stop, without waiting for it.

        As PID 1 of a container also bury the orphans that came to us.
        """
        while self.pid and self.status is None:
            try:
                pid, status, usage = self._wait()
            except ChildProcessError:
                return  # a signal came in between, and whom it interrupted notes the end
            if not pid:
                break
            if os.WIFSTOPPED(status):
                self._stopped(os.WSTOPSIG(status))
                continue
            self.ended = time.monotonic()
            self.usage = usage
            self.status = status
            self._take_terminal()
            self._end_writes()
        if self._bury_orphans and self.pid:
            self._bury_orphans(self.pid)

    def _wait(self) -> "tuple[int, int, os.struct_rusage | None]":  # type: ignore[name-defined]
        flags = os.WNOHANG | os.WUNTRACED
        if self._tells_usage:
            try:
                # wait4 needs it, and would lose the status if it cannot be imported.
                from resource import struct_rusage  # noqa: F401

                return os.wait4(self.pid, flags)
            except ImportError:
                self._tells_usage = False
        return *os.waitpid(self.pid, flags), None

    def _stopped(self, signum: int) -> None:
        """Do as the job's shell would see the job do."""
        if self.on_terminal:
            os.kill(os.getpid(), signal.SIGSTOP)
            self._send(signal.SIGCONT)
        elif self._terminal is not None:
            self._take_terminal()
            os.kill(os.getpid(), signal.SIGSTOP)
            self._lend_terminal()
        elif signum in (signal.SIGTTIN, signal.SIGTTOU) and not self._lend_terminal():
            os.kill(os.getpid(), signum)  # our shell is to see it, and to have an `fg` for it
            self._lend_terminal()

    def _lend_terminal(self) -> bool:
        """Let the job have the terminal that it asks for, as in `dump | … psql` with a password.

        Its own group is not in the foreground, so the kernel stopped it. False if we are
        in the background ourselves.
        """
        try:
            terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return True
        try:
            if os.tcgetpgrp(terminal) != os.getpgrp():
                os.close(terminal)
                return False
            os.tcsetpgrp(terminal, self.pid)
        except OSError:
            os.close(terminal)
            return True
        self._terminal = terminal
        self._send(signal.SIGCONT)
        return True

    def _take_terminal(self) -> None:
        if self._terminal is None:
            return
        terminal, self._terminal = self._terminal, None
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
        try:
            os.tcsetpgrp(terminal, os.getpgrp())
        except OSError:
            pass  # the terminal was hung up
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(terminal)


def _find(name: str, environ: "Mapping[str, str]") -> str:
    """Return the file that execvp(3) would run for `name`."""
    if "/" in name:
        return name
    for folder in environ.get("PATH", os.defpath).split(":"):
        path = os.path.join(folder or ".", name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return name
