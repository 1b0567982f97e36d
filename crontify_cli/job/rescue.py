"""The job comes first, also when what watches over it fails: its output and its end, no more."""

import os
import select
import time

from crontify_cli.errors import ExitCode, say
from crontify_cli.job.relay import DRAIN
from crontify_cli.job.started import Started
from crontify_cli.report.crash import keep


def see_to_its_end(started: Started, error: Exception) -> int:
    """Pass the job's output on until it ends; return its exit code.

    error: the fault of ours, of which a line tells. The record of the run stays on disk,
    so that the next run reports this one.
    """
    kept = keep(error, "exec")
    say(f"internal error: {kept.words}; {kept.place}; the job goes on")
    process = started.process
    if not process.pid:
        say(started.problem)
        return started.exit_code
    _copy(started)
    while process.status is None:
        time.sleep(0.05)
        process.reap()
    code = os.waitstatus_to_exitcode(process.status)
    return code if code >= 0 else ExitCode.SIGNAL_BASE - code


def _copy(started: Started) -> None:
    """Copy until both pipes end, or for a while after the job if others hold them."""
    streams = started.streams
    poll = select.poll()
    for fd in streams:
        poll.register(fd, select.POLLIN)
    until = None
    while streams and (until is None or time.monotonic() < until):
        if started.process.status is not None:
            until = until or time.monotonic() + DRAIN
        for fd, _ in poll.poll(100):
            data = os.read(fd, 65536)
            _write(streams[fd], data)
            if not data:
                poll.unregister(fd)
                del streams[fd]


def _write(stream: int, data: bytes) -> None:
    try:
        while data:
            data = data[os.write(stream, data) :]
    except OSError:
        pass  # nobody reads it any more; the job is to go on
