"""One `exec` up to the spawn; `supervisor.py` has what follows.

Only what the spawn needs is loaded here: every millisecond is the job's.
"""

import os

from crontify_cli.errors import ExitCode
from crontify_cli.job.options import ExecOptions
from crontify_cli.job.process import Interrupted, Process
from crontify_cli.job.recorder import Recorder, make_private
from crontify_cli.state import state_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from crontify_cli.job.closing import ShowWait


class Started:
    """What the supervisor takes over.

    streams: the read ends of the job's pipes that are still open, each with 1 for stdout
    or 2 for stderr. problem: why there is no job, with `exit_code` for it; empty if there
    is one. warnings: lines for a person.
    """

    __slots__ = (
        "command",
        "exit_code",
        "options",
        "problem",
        "process",
        "recorder",
        "streams",
        "warnings",
    )

    def __init__(self, options: ExecOptions, process: Process, recorder: Recorder) -> None:
        self.options = options
        self.process = process
        self.recorder = recorder
        self.command = command_line(options)
        self.streams: dict[int, int] = {}
        self.problem = ""
        self.exit_code = 0
        self.warnings: list[str] = []


def run(options: ExecOptions, show_wait: "ShowWait | None" = None) -> int:
    """Run the job and report it; return the exit code.

    show_wait: how to show a person at a terminal that we wait for a rate limit.
    """
    _hold_standard_streams()
    process = Process()
    process.listen()
    lock = Lock(options.monitor)
    if options.overlap != "allow":
        try:
            taken = lock.take(process, wait=options.overlap == "wait")
        except Interrupted as stop:
            say(f"{options.monitor}: stopped while waiting for the run before this one")
            return ExitCode.SIGNAL_BASE + stop.signum
        if not taken:
            say(f"{options.monitor} is already running{lock.holder()}: this run is skipped")
            from crontify_cli.job.skipping import record_skip

            record_skip(options)
            return ExitCode.TEMPORARY
    started = Started(options, process, Recorder(options.monitor, command_line(options)))
    if lock.problem:
        started.warnings.append(f"no overlap lock for this run: {lock.problem}")
    _spawn(started)
    try:
        from crontify_cli.job.supervisor import supervise

        return supervise(started, show_wait)
    except Exception as error:
        from crontify_cli.job.rescue import see_to_its_end

        os._exit(see_to_its_end(started, error))  # as supervise ends, whatever still hangs


def command_line(options: ExecOptions) -> "list[str]":
    """Return the words to execute: the command's own, or a shell's with the command in it."""
    if options.shell:
        return [os.environ.get("SHELL") or "/bin/sh", "-c", options.command[0]]
    return options.command


def say(line: str) -> None:
    """Write one line of ours to stderr; where that fails there is nobody to tell."""
    try:
        os.write(2, f"crontify: {line}\n".encode("utf-8", "replace"))
    except OSError:
        pass


def _hold_standard_streams() -> None:
    """Open what is closed of 0, 1 and 2, so that no file of ours lands on a job's stream."""
    while True:
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 2:
            os.close(fd)
            return
        os.set_inheritable(fd, True)


def _spawn(started: Started) -> None:
    options, recorder = started.options, started.recorder
    environ = os.environ
    environ["CRONTIFY_MONITOR"], environ["CRONTIFY_RUN"] = options.monitor, recorder.run
    if recorder.meta_path:
        environ["CRONTIFY_META"] = recorder.meta_path
    else:
        environ.pop("CRONTIFY_META", None)  # an outer run's is not ours to write to
    out_read, out = os.pipe2(os.O_CLOEXEC)
    err_read, err = os.pipe2(os.O_CLOEXEC)
    started.streams = {out_read: 1, err_read: 2}
    try:
        started.process.spawn(started.command, environ, out, err)
    except (OSError, ValueError) as error:
        started.exit_code, started.problem = _explain(started.command[0], error)
    finally:
        os.close(out)
        os.close(err)


def _explain(name: str, error: Exception) -> "tuple[int, str]":
    """Return exit code and words for a job that could not be started, as sh(1) has them."""
    if isinstance(error, FileNotFoundError):
        if "/" in name and os.path.exists(name):
            return ExitCode.NOT_FOUND, f"could not be started: {name}: its interpreter is missing"
        return ExitCode.NOT_FOUND, f"could not be started: {name}: command not found"
    reason = error.strerror if isinstance(error, OSError) else str(error)
    if isinstance(error, PermissionError):
        reason = "is a directory" if os.path.isdir(name) else "not executable (permission denied)"
    return ExitCode.NOT_EXECUTABLE, f"could not be started: {name}: {reason}"


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
