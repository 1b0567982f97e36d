"""One `exec` up to the spawn; `supervisor.py` has what follows.

Only what the spawn needs is loaded here: every millisecond is the job's.
"""

import os
import sys

from crontify_cli.errors import ExitCode, in_words, one_line, say
from crontify_cli.job.launched import LaunchedRun, choose_shell, command_line, rules_text
from crontify_cli.job.options import ExecOptions
from crontify_cli.job.presets import settle
from crontify_cli.job.process import Interrupted, Process
from crontify_cli.job.recorder import Recorder
from crontify_cli.job.rescue import relay_until_exit
from crontify_cli.processes import open_standard_streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from crontify_cli.job.overlap import Lock
    from crontify_cli.job.steps import Steps


def run(options: ExecOptions) -> int:
    """Run the job and report it; return the exit code."""
    process = Process()
    launched: LaunchedRun | None = None
    try:
        steps = _steps() if options.verbose > 1 else None
        note = steps.note if steps else _ignore
        open_standard_streams()
        process.listen()
        advice = settle(options)
        if options.jitter and (code := _await_jitter(options, process)) is not None:
            return code
        lock = _overlap_lock(options)
        if lock:
            code = _take_turn(options, process, lock)
            if code is not None:
                return code
            note("overlap lock taken")
        command, rules = command_line(options), rules_text(options)
        recorder = Recorder(options.monitor, command, options.redact, options.no_log, rules)
        note("record made")
        launched = LaunchedRun(options, process, recorder)
        launched.lock, launched.steps = lock, steps
        if advice:
            launched.warnings.append(advice)
        if lock and lock.problem:
            # The line about the record gives the same reason.
            reason = "" if lock.problem == recorder.problem else f": {lock.problem}"
            launched.warnings.append(f"no overlap lock for this run{reason}")
        if options.shell and (odd_shell := choose_shell()[1]):
            launched.warnings.append(odd_shell)

        def on_end(status: int) -> None:
            note("job ended")
            recorder.note_ended(status, timed_out=process.timed_out)

        process.on_end = on_end
        _spawn(launched)
        if steps:
            steps.note(f"job {process.pid} started" if process.pid else "no job", process.started)
        import gc

        gc.disable()  # what is loaded from here on stays; `Supervisor` enables it again
        from crontify_cli.job.supervisor import supervise

        return supervise(launched)
    except Exception as error:
        if not launched or not (process.pid or launched.problem):
            return _run_alone(options, process, error)
        os._exit(relay_until_exit(launched, error))  # as supervise ends, whatever still hangs


def _steps() -> "Steps":
    from crontify_cli.job.steps import Steps

    steps = Steps()
    steps.note("loaded")
    return steps


def _ignore(_step: str) -> None:
    """Note nothing, without `-vv`."""


def _await_jitter(options: ExecOptions, process: Process) -> int | None:
    """Wait before the job; return exec's exit code if we are asked to stop, else None."""
    from crontify_cli.job.jitter import await_jitter

    try:
        await_jitter(options, process)
    except Interrupted as stop:
        say(f"{options.monitor}: stopped before the job was started")
        return ExitCode.SIGNAL_BASE + stop.signum
    return None


def _overlap_lock(options: ExecOptions) -> "Lock | None":
    if options.overlap in (None, "allow"):
        return None
    from crontify_cli.job.overlap import Lock

    return Lock(options.monitor)


def _take_turn(options: ExecOptions, process: Process, lock: "Lock") -> int | None:
    """Take the lock; return exec's exit code if this run should not start, else None."""
    try:
        taken = lock.take(process, wait=options.overlap == "wait")
    except Interrupted as stop:
        say(f"{options.monitor}: stopped while waiting for the run before this one")
        return ExitCode.SIGNAL_BASE + stop.signum
    if taken:
        return None
    say(f"{options.monitor} is already running{lock.holder()}: this run is skipped")
    try:
        from crontify_cli.job.overlap import record_skip

        record_skip(options)
    except Exception as error:
        say(f"the skipped run is not recorded: {type(error).__name__}: {in_words(error)}")
    return ExitCode.TEMPORARY


def _run_alone(options: ExecOptions, process: Process, error: Exception) -> int:
    """Execute the job in our place, since we cannot watch over it; return only if it cannot be."""
    say(f"not reported, the job runs alone: {type(error).__name__}: {in_words(error)}")
    command = command_line(options)
    argv = command if options.argv0 is None else [options.argv0, *command[1:]]
    _restore_locale(os.environ)
    process.withdraw()
    try:
        os.execvp(command[0], argv)
    except (OSError, ValueError) as failure:
        code, problem = _explain(command, failure)
        say(problem)
        return code


def _spawn(launched: LaunchedRun) -> None:
    options, recorder = launched.options, launched.recorder
    environ = os.environ
    _restore_locale(environ)
    environ["CRONTIFY_MONITOR"], environ["CRONTIFY_RUN"] = options.monitor, recorder.run
    if recorder.meta_path:
        environ["CRONTIFY_META"] = recorder.meta_path
    else:
        environ.pop("CRONTIFY_META", None)  # an outer run's is not ours to write to
    launched.streams, ends = _pipes()
    out, err = (ends[0], ends[-1]) if ends else (1, 2)
    try:
        launched.process.spawn(launched.command, environ, out, err, options.argv0)
    except (OSError, ValueError) as error:
        if launched.process.pid:
            raise  # the job runs, and we cannot watch over it as usual
        launched.exit_code, launched.problem = _explain(launched.command, error)
        recorder.note_failed_spawn(launched.exit_code, launched.problem)
    finally:
        for fd in ends:
            os.close(fd)
    recorder.begin(launched.process.pid)


def _pipes() -> "tuple[dict[int, int], list[int]]":
    """Return the read ends of the job's pipes by stream, and the write ends.

    If our own stdout and stderr are one file, as under cron, there is one pipe for both: only
    then is the order of what the job writes to both exact. There is none if no descriptor is
    left: then the job writes to our own stdout and stderr.
    """
    ours, theirs = os.fstat(1), os.fstat(2)
    is_one_file = (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
    streams: dict[int, int] = {}
    ends: list[int] = []
    try:
        for stream in (1,) if is_one_file else (1, 2):
            fd, end = os.pipe()
            streams[fd] = stream
            ends.append(end)
    except OSError:
        for fd in (*streams, *ends):
            os.close(fd)
        return {}, []
    return streams, ends


def _restore_locale(environ: "MutableMapping[str, str]") -> None:
    """Take back what Python did to the environment in a C locale, as cron's is (PEP 538)."""
    if environ.get("LC_CTYPE") not in ("C.UTF-8", "C.utf8", "UTF-8") or environ.get("LC_ALL"):
        return
    given = _given_locale(environ)
    if given is None:
        del environ["LC_CTYPE"]
    else:
        environ["LC_CTYPE"] = given


def _given_locale(environ: "MutableMapping[str, str]") -> str | None:
    """Return the LC_CTYPE that we were started with; None if there was none."""
    try:
        with open("/proc/self/environ", "rb") as file:
            first = file.read().split(b"\0")
    except OSError:  # without /proc: only in a C locale does Python turn UTF-8 mode on itself
        if not sys.flags.utf8_mode or environ.get("PYTHONUTF8") == "1":
            return environ["LC_CTYPE"]
        # LC_CTYPE=C, or nothing: the same, unless LANG names another locale.
        return None if environ.get("LANG", "") in ("", "C", "POSIX") else "C"
    given = [word for word in first if word.startswith(b"LC_CTYPE=")]
    return os.fsdecode(given[0].partition(b"=")[2]) if given else None


def _explain(command: "list[str]", error: Exception) -> "tuple[int, str]":
    """Return exit code and words for a job that could not be started, as sh(1) has them."""
    name = command[0]
    # As anything can be typed there: no byte that is no text, and one line.
    shown = one_line(os.fsencode(name).decode("utf-8", "replace"), 1000) or repr(name)
    failed = f"could not be started: {shown}"
    if not name or isinstance(error, FileNotFoundError):
        if "/" in name and os.path.exists(name):
            return ExitCode.NOT_FOUND, f"{failed}: its interpreter is missing"
        return ExitCode.NOT_FOUND, f"{failed}: command not found{_advise(command)}"
    reason = error.strerror if isinstance(error, OSError) else str(error)
    if isinstance(error, PermissionError):
        reason = "is a directory" if os.path.isdir(name) else "not executable (permission denied)"
    return ExitCode.NOT_EXECUTABLE, f"{failed}: {reason}"


def _advise(command: "list[str]") -> str:
    try:
        from crontify_cli.job.advice import for_missing

        advice = for_missing(command)
    except Exception:  # out of memory or descriptors
        return ""
    return f"; {advice}" if advice else ""
