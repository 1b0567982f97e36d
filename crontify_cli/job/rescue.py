"""The job comes first, also when what watches over it fails: its output and its end, no more.

Nothing is needed here that was not loaded before the spawn: what fails may be an import.
"""

import os
import time

from crontify_cli.errors import ExitCode, say
from crontify_cli.job.launched import LaunchedRun
from crontify_cli.job.process import DRAIN

REQUEST_WAIT = 10.0
"""Seconds after the job's end for which a request that has begun may still be answered."""


def relay_until_exit(run: LaunchedRun, error: Exception) -> int:
    """Pass the job's output on until it ends; return its exit code.

    error: the fault of ours, of which a line tells. The record of the run stays on disk, or is
    written now, so that the next run reports this one.
    """
    say(f"internal error: {error_words(error)}; the job goes on")
    process = run.process
    if not process.pid:
        say(run.problem)
        _keep_record(run)
        return run.exit_code
    for write_to in run.unwritten:
        write_to(_Streams())
    _copy(run)
    while process.status is None:
        time.sleep(0.05)
        process.reap()
    run.recorder.ensure_ended(process.status, timed_out=process.timed_out)
    _keep_record(run)
    run.release_lock()
    _await_reporter(run)
    if process.timed_out:
        say(f"{run.options.monitor}: timed out")
        return ExitCode.TIMEOUT
    code = os.waitstatus_to_exitcode(process.status)
    return code if code >= 0 else ExitCode.SIGNAL_BASE - code


def _keep_record(run: LaunchedRun) -> None:
    """Write the record of the run if that failed before the spawn."""
    if not run.recorder.path and not run.recorder.keep():
        say("the report is lost, since there is no record of the run on disk")


def _await_reporter(run: LaunchedRun) -> None:
    """Let the reporter finish the request that it has begun, or it would be sent again."""
    if not run.reporter:
        return
    run.reporter.stop()
    process = run.process
    stops, until = process.stop_requests, time.monotonic() + REQUEST_WAIT
    while run.reporter.is_alive() and process.stop_requests == stops:
        if time.monotonic() > until:
            return
        run.reporter.join(0.05)


def error_words(error: Exception) -> str:
    """Keep the traceback of an internal error in a file; return what to say of it, on one line."""
    try:
        from crontify_cli.crash import keep
        from crontify_cli.report.secrets import full_mask
    except Exception:  # its message could hold a secret, which nothing is there to mask
        return type(error).__name__
    return keep(error, "exec", full_mask)


def _copy(run: LaunchedRun) -> None:
    """Copy until both pipes end, or for a while after the job if others hold them."""
    streams = run.streams
    for fd in streams:
        os.set_blocking(fd, False)
    until = None
    while streams and (until is None or time.monotonic() < until):
        if run.process.status is not None:
            until = until or time.monotonic() + DRAIN
        if not sum(_move(streams, fd) for fd in tuple(streams)):
            time.sleep(0.02)


def _move(streams: "dict[int, int]", fd: int) -> bool:
    """Copy what has come, or take note of the end; False if nothing has."""
    try:
        data = os.read(fd, 65536)
    except BlockingIOError:
        return False
    _Streams().write(streams[fd], data)
    if not data:
        del streams[fd]
    return True


class _Streams:
    """Our own stdout and stderr."""

    def write(self, stream: int, data: "bytes | memoryview") -> None:
        """Write all of `data`, if anybody reads it."""
        try:
            while data:
                data = data[os.write(stream, data) :]
        except OSError:
            pass  # the job is to go on
