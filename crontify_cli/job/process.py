"""The job's process: its spawn, the signals passed on to it, its time limit, its end.

Without a terminal on stdin the job leads its own process group, and every signal
that is sent to us goes to the whole group. With a terminal the job stays in our
group; only signals that did not come from the terminal are passed on, to the job
alone.

The handlers are Python functions, never SIG_IGN, which a child would inherit.
Nothing is imported in a handler: it may interrupt an import of the same module.
`_signal` replaces `signal`, which builds enums for 4 ms before the spawn.
"""

import _signal as signal  # type: ignore[import-not-found]  # the C half of `signal`, untyped
import os
import time

from crontify_cli.job.alarm import Alarm
from crontify_cli.job.terminal import Terminal
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
    signal.SIGALRM,  # from a timer set before us, as in `perl -e 'alarm 5; exec …'`
)
STOP_REQUESTS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
HANDLED = (*FORWARDED, signal.SIGCHLD)
_NEEDED = (signal.SIGCHLD, signal.SIGALRM)
# Python itself ignores these two; the job would inherit that.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)

DRAIN = 1.0
"""Seconds for which a grandchild may hold the pipe open after the job's end."""

PATIENCE = 2.0
"""Seconds that one write of ours may take once the job was ended by force."""

# Names of deadlines.
_LIMIT, _KILL, _ABANDON = "limit", "kill", "abandon"


class Interrupted(Exception):  # noqa: N818 - InterruptedError is another thing
    """We were asked to stop while there was no job to pass the signal on to."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class Process:
    """The job, from before its spawn to after its end.

    pid: 0 before the spawn. status: the wait status, None while the job runs. usage: its
        resource usage, including the children it waited for; None where it is unknown.
    started, ended: seconds of `time.monotonic()`.
    received_signals: the signals that we were sent to pass on, oldest first.
    stop_requests: how many of them ask for an end.
    timed_out: whether its time limit ended the job.
    stop_failure: why the job could not be sent a signal to end it, empty if it could.
    waiting: True while a stop request should raise Interrupted.
    writing: since when (`time.monotonic()`) a write of ours has been blocked, None for no
        write. If the job was ended by force, the write is abandoned with TimeoutError.
    on_end: called with the wait status as soon as it is known, possibly in a handler.
    """

    def __init__(self) -> None:
        self.pid = 0
        self.status: int | None = None
        self.usage: os.struct_rusage | None = None  # type: ignore[name-defined]  # not in typeshed
        self.started = self.ended = 0.0
        self.received_signals: list[int] = []
        self.stop_requests = 0
        self.timed_out = False
        self.stop_failure = ""
        self.waiting = False
        self.writing: float | None = None
        self.on_end: Callable[[int], None] | None = None
        self.terminal = Terminal()
        self._alarm = Alarm()
        self._kill_after = 10.0
        self._ends_group = False
        self._abandons_writes = False
        self._early: list[int] = []
        self._mask: set[int] = set()
        self._has_usage = True
        self._bury_orphans: Callable[[int], None] | None = None

    # Before and at the spawn

    def listen(self) -> None:
        """Set our handlers; a signal that is ignored stays ignored, for the job as well."""
        if os.getpid() == 1:
            from crontify_cli.children import bury_orphans

            self._bury_orphans = bury_orphans
        for signum in FORWARDED:
            if signal.getsignal(signum) != signal.SIG_IGN:
                signal.signal(signum, self._on_signal)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would lose the exit code
        # Whoever started us may have left these blocked, and we would wait for ever.
        self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, _NEEDED)

    def withdraw(self) -> None:
        """Undo what a program inherits that is executed in our place."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for signum in _IGNORED_BY_PYTHON:
            signal.signal(signum, signal.SIG_DFL)

    def spawn(
        self,
        command: "list[str]",
        environ: "Mapping[str, str]",
        out: int,
        err: int,
        argv0: str | None = None,
    ) -> None:
        """Start the job with `out` and `err` as its stdout and stderr.

        argv0: what it finds as its own name, None for the first word of the command.
        Raises OSError as execvp(3) would; FileNotFoundError and PermissionError among it.
        """
        if self.terminal.is_stdin:
            # Who sent them is known only to sigwaitinfo, which wants them blocked.
            signal.pthread_sigmask(signal.SIG_BLOCK, self.terminal.watched)
        self.started = time.monotonic()
        argv = command if argv0 is None else [argv0, *command[1:]]
        try:
            self.pid = self._spawn(command[0], argv, environ, out, err)
        except OSError as error:
            if error.errno != 8:  # ENOEXEC: execvp(3) runs a script without `#!` with sh
                raise
            script = _find(command[0], environ)
            argv = ["/bin/sh", script, *command[1:]]
            self.pid = self._spawn(argv[0], argv, environ, out, err)
        try:
            import resource  # noqa: F401 - wait4 would import it, in a handler
        except Exception:
            self._has_usage = False  # no descriptor or no memory is left for it
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.signal(signal.SIGCHLD, self._on_child)
        for signum in self._early:
            self._pass_on(signum)
        self.reap()

    def _spawn(
        self, program: str, argv: "list[str]", environ: "Mapping[str, str]", out: int, err: int
    ) -> int:
        group = {} if self.terminal.is_stdin else {"setpgroup": 0}
        return os.posix_spawnp(
            program,
            argv,
            environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, err, 2)],
            setsigdef=_IGNORED_BY_PYTHON,
            setsigmask=self._mask,
            **group,  # type: ignore[arg-type]  # setpgroup or nothing
        )

    # While the job runs

    def watch_terminal(self) -> None:
        """With a terminal on stdin, begin to pass on the signals that did not come from it."""
        if self.terminal.is_stdin:
            self.terminal.watch(self._note, self._send)

    def limit(self, timeout: float | None, kill_after: float) -> None:
        """Let the job run for `timeout` seconds, and `kill_after` more after SIGTERM.

        A later call replaces the limit; after the SIGTERM it changes nothing.
        """
        if self.timed_out:
            return
        self._kill_after = kill_after
        if timeout is not None and self.status is None:
            self._alarm.set(_LIMIT, self.started + timeout)

    def stop_watching(self) -> None:
        """After the job's end, let the terminal's signals interrupt us like all others."""
        if self.terminal.is_stdin:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask.difference(_NEEDED))

    @property
    def has_ended(self) -> bool:
        """Whether the job has ended and, if it timed out, its whole process group."""
        if self.status is None:
            return False
        if not self._ends_group or self.terminal.is_stdin:
            return True
        if is_group_alive(self.pid):
            return False
        self._ends_group = False  # the group's number may soon be used again
        self._alarm.cancel(_KILL)
        return True

    # Signals to us

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
        self.received_signals.append(signum)
        if signum in STOP_REQUESTS:
            self.stop_requests += 1
            self._limit_writes()

    def _send(self, signum: int) -> None:
        if not self.pid or self.status is not None:
            return
        try:
            if self.terminal.is_stdin:
                os.kill(self.pid, signum)
            else:
                os.killpg(self.pid, signum)
        except OSError as error:  # it ended this instant, or became another user's
            self._note_refusal(signum, error)

    # The clock

    def _on_alarm(self, signum: int, frame: object) -> None:
        if not self._alarm.is_set:
            self._on_signal(signum, frame)  # from a timer that is not ours
        due = self._alarm.take_due()
        if _LIMIT in due:
            self._time_out()
        if _KILL in due:
            self._kill()
        if _ABANDON in due:
            self._abandon_write()  # last, since it may raise

    def _time_out(self) -> None:
        if self.status is not None:
            return
        self.timed_out = self._ends_group = True
        self._end(signal.SIGTERM)
        self._end(signal.SIGCONT)  # a stopped job could not die of the SIGTERM
        self._alarm.set(_KILL, time.monotonic() + self._kill_after)

    def _kill(self) -> None:
        self._ends_group = False
        self._end(signal.SIGKILL)

    def _end(self, signum: int) -> None:
        """Send `signum` to everything in the job's group, even after the job's own end."""
        try:
            if not self.terminal.is_stdin:
                os.killpg(self.pid, signum)
                return
        except OSError as error:
            self._note_refusal(signum, error)
            return
        for pid in (self.pid, *descendants(self.pid)) if self.status is None else ():
            try:
                os.kill(pid, signum)
            except OSError as error:
                if pid == self.pid:
                    self._note_refusal(signum, error)

    def _note_refusal(self, signum: int, error: OSError) -> None:
        if isinstance(error, PermissionError) and signum in (*STOP_REQUESTS, signal.SIGKILL):
            self.stop_failure = error.strerror or "not permitted"

    def _limit_writes(self) -> None:
        """Once the job was ended by force, do not wait for a reader that takes nothing."""
        forced = self.timed_out or self.stop_requests
        if forced and self.status is not None and not self._abandons_writes:
            self._abandons_writes = True
            self._alarm.set(_ABANDON, time.monotonic() + PATIENCE)

    def _abandon_write(self) -> None:
        self._alarm.set(_ABANDON, time.monotonic() + PATIENCE)
        if self.writing is not None and time.monotonic() - self.writing >= PATIENCE:
            self.writing = None
            raise TimeoutError(0, "nobody read it any more")

    # The job's end

    def _on_child(self, _signum: int, _frame: object) -> None:
        self.reap()

    def reap(self) -> None:
        """Note the job's end or stop, without waiting for it.

        As PID 1 of a container, also reap the orphans that were left to us.
        """
        while self.pid and self.status is None:
            try:
                pid, status, usage = self._wait()
            except ChildProcessError:
                return  # a handler interrupted us here, and has noted the end
            if not pid:
                break
            if os.WIFSTOPPED(status):
                self._on_stop(os.WSTOPSIG(status))
                continue
            self.ended = time.monotonic()
            self.usage = usage
            self.status = status
            if self.on_end:
                self.on_end(status)
            self.terminal.take_back()
            self._limit_writes()
        if self._bury_orphans and self.pid:
            self._bury_orphans(self.pid)

    def _wait(self) -> "tuple[int, int, os.struct_rusage | None]":  # type: ignore[name-defined]
        flags = os.WNOHANG | os.WUNTRACED
        if self._has_usage:
            return os.wait4(self.pid, flags)
        return *os.waitpid(self.pid, flags), None

    def _on_stop(self, signum: int) -> None:
        """Do what a shell does when its job stops: stop too, or lend it the terminal."""
        if self.terminal.is_stdin:
            os.kill(os.getpid(), signal.SIGSTOP)
            self._send(signal.SIGCONT)
        elif self.terminal.take_back():
            os.kill(os.getpid(), signal.SIGSTOP)
            self._lend_terminal()
        elif signum in (signal.SIGTTIN, signal.SIGTTOU) and self._lend_terminal() is False:
            os.kill(os.getpid(), signum)  # our shell has to see it, to offer an `fg` for it
            self._lend_terminal()

    def _lend_terminal(self) -> "bool | None":
        """Lend the job the terminal that it asks for, as `dump | … psql` for a password.

        The kernel stopped the job, since its group is not in the foreground.
        """
        lent = self.terminal.lend_to(self.pid)
        if lent:
            self._send(signal.SIGCONT)
        return lent


def _find(name: str, environ: "Mapping[str, str]") -> str:
    """Return the file that execvp(3) would run for `name`."""
    if "/" in name:
        return name
    for folder in environ.get("PATH", os.defpath).split(":"):
        path = os.path.join(folder or ".", name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return name
