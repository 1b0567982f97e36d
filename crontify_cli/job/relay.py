"""Passes the job's output on while it runs, and records it on the way."""

import fcntl
import math
import os
import select
import time
from collections.abc import Callable

from crontify_cli.job.process import DRAIN, Process
from crontify_cli.job.recorder import Recorder
from crontify_cli.job.sinks import STDERR, Early, Sink
from crontify_cli.record import CHUNK

SOON = 1.0
"""Seconds after which a job is one that takes its time."""
ERROR_TAIL = 16 * 1024


class Relay:
    """The two pipes of a job, and the loop that empties them.

    streams: the pipes' read ends, each with 1 or 2; what is read to its end is closed, and
        taken out.
    error_tail: the end of what the job wrote to stderr.
    held: True when a process other than the job kept a pipe open at the end.
    """

    def __init__(self, recorder: Recorder, streams: dict[int, int], wake: int) -> None:
        self._recorder = recorder
        self._wake = wake
        self._streams = streams
        self.error_tail = b""
        self.held = False
        for fd in self._streams:
            _widen(fd)

    def run(
        self,
        process: Process,
        ready: Callable[[], Sink | None],
        woken: Callable[[], None],
        prepare: Callable[[], None],
    ) -> None:
        """Relay until the job is over and its pipes are empty, or held by others for too long.

        `ready` is asked after each event until it gives the sink. What comes before is
        read and kept, at most a few chunks: that way its order is known. `woken` is called
        whenever something was written to `wake`, `prepare` once if the job takes its time.
        """
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        for fd in self._streams:
            poll.register(fd, select.POLLIN)
        sink: Sink | None = None
        early = Early()
        drain_until: float | None = None
        prepare_at = time.monotonic() + SOON
        while True:
            if time.monotonic() > prepare_at:
                prepare_at = math.inf
                prepare()
            if sink is None and (sink := ready()):
                early.release(sink)
                for fd in early.waiting:
                    poll.register(fd, select.POLLIN)
            if process.over and sink:
                drain_until = drain_until or time.monotonic() + DRAIN
                left = drain_until - time.monotonic()
                if not self._streams or left <= 0:
                    break
            for fd, _ in poll.poll(self._pause(process, sink is None, drain_until, prepare_at)):
                if fd == self._wake:
                    self._empty_wake()
                    woken()
                elif sink is None and early.is_full:
                    early.waiting.append(fd)
                    poll.unregister(fd)
                elif not self._copy(fd, sink or early):
                    poll.unregister(fd)
        self.held = bool(self._streams)

    def _pause(
        self, process: Process, undecided: bool, drain_until: float | None, prepare_at: float
    ) -> int:
        """Return for how many milliseconds to wait for events."""
        if drain_until is not None:
            return max(1, int((drain_until - time.monotonic()) * 1000))
        # While a timed-out job's group outlives it there is no event for its end.
        if undecided or process.status is not None:
            return 20
        return 60_000 if prepare_at == math.inf else int(SOON * 1000) + 1

    def _empty_wake(self) -> None:
        try:
            while len(os.read(self._wake, 512)) == 512:
                pass
        except BlockingIOError:
            pass

    def _copy(self, fd: int, sink: Sink) -> bool:
        """Move one chunk; False at the end of the stream."""
        data = self._recorder.read_from(fd)
        stream = self._streams[fd]
        if not data:
            os.close(fd)
            del self._streams[fd]
            return False
        sink.write(stream, data)
        if stream == STDERR:
            self.error_tail = (self.error_tail + bytes(data[-ERROR_TAIL:]))[-ERROR_TAIL:]
        return True

    def leave(self) -> None:
        """Hand pipes that others still hold to a process that empties them.

        Closing them would kill whoever writes next, by SIGPIPE, long after we are gone.
        """
        for fd in self._streams:
            try:
                null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
                actions = [
                    (os.POSIX_SPAWN_DUP2, fd, 0),
                    (os.POSIX_SPAWN_DUP2, null, 1),
                    (os.POSIX_SPAWN_DUP2, null, 2),
                ]
                os.posix_spawnp("cat", ["cat"], {}, file_actions=actions, setsid=True)
            except (OSError, NotImplementedError):
                continue


def _widen(pipe: int) -> None:
    """Let the pipe hold more than one chunk, so that the job writes while we pass one on."""
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 2 * CHUNK)
    except (OSError, AttributeError):
        pass  # beyond the user's pipe-user-pages-soft, or no Linux: slower, but right
