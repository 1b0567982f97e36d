"""Passes the job's output on while it runs, and records it on the way."""

import fcntl
import os
import select
import time
from collections.abc import Iterator

from crontify_cli.job.process import DRAIN, Process
from crontify_cli.job.recorder import Recorder
from crontify_cli.job.sinks import STDERR, STDOUT, Early, Sink
from crontify_cli.record import CHUNK

ERROR_TAIL = 64 * 1024
"""Bytes of the end of stderr that are kept, to find the cause of a failure there."""
_UNDECIDED_PAUSE, _PAUSE = 20, 1000
"""Milliseconds to wait for an event, before and after it is known where the output goes."""


class Relay:
    """The pipes of a job, and the loop that empties them.

    streams: the pipes' read ends, each with 1 or 2; what is read to its end is closed, and
        taken out.
    wake: the read end of a pipe that ends a pause when something is written to it.
    """

    def __init__(self, recorder: Recorder, streams: dict[int, int], wake: int) -> None:
        self._recorder = recorder
        self._wake = wake
        self._streams = streams
        self._poll = select.poll()
        self._poll.register(wake, select.POLLIN)
        self._early = Early()
        self._sink: Sink | None = None
        self._in_flight: tuple[int, memoryview] | None = None
        # Of both streams in one pipe, what was written to stderr cannot be told.
        self._errors_from = STDERR if STDERR in streams.values() else STDOUT
        self._errors = bytearray()
        self._errors_size = 0
        for fd in streams:
            _widen(fd)
            self._poll.register(fd, select.POLLIN)

    def send_to(self, sink: Sink) -> None:
        """Pass the output on to `sink`, beginning with what came before this call.

        Until then the output is read and kept, a few chunks at most: only what was read
        has an order.
        """
        self._sink = sink
        self._early.release(sink)
        for fd in self._early.waiting:
            self._poll.register(fd, select.POLLIN)

    def release(self, sink: Sink) -> None:
        """Write to `sink` what was read and has not been passed on, since that failed."""
        self._early.release(sink)
        if self._in_flight:
            sink.write(*self._in_flight)
            self._in_flight = None

    def until_exit(self, process: Process) -> Iterator[None]:
        """Relay until the job has ended and its pipes are empty; yield after each event.

        A pipe that another process holds is read for `DRAIN` seconds more. Before `send_to`
        was called this does not end.
        """
        drain_until: float | None = None
        while True:
            yield
            if process.has_ended and self._sink:
                drain_until = drain_until or time.monotonic() + DRAIN
                if not self._streams or time.monotonic() >= drain_until:
                    return
            for fd, _ in self._poll.poll(self._pause(process, drain_until)):
                if fd == self._wake:
                    self._empty_wake()
                elif self._sink is None and self._early.is_full:
                    self._early.waiting.append(fd)
                    self._poll.unregister(fd)
                elif not self._copy(fd, self._sink or self._early):
                    self._poll.unregister(fd)

    def _pause(self, process: Process, drain_until: float | None) -> int:
        """Return for how many milliseconds to wait for events."""
        if drain_until is not None:
            return max(1, int((drain_until - time.monotonic()) * 1000))
        # There is no event for the end of a process group that outlives a timed-out job.
        return _PAUSE if self._sink and process.status is None else _UNDECIDED_PAUSE

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
        self._in_flight = stream, data
        sink.write(stream, data)
        self._in_flight = None
        if stream == self._errors_from:
            self._errors_size += len(data)
            self._errors += data[-ERROR_TAIL:]
            if len(self._errors) > 4 * ERROR_TAIL:
                del self._errors[:-ERROR_TAIL]
        return True

    def error_tail(self) -> bytes:
        """Return the end of what the job wrote to stderr, without a line that is torn.

        Half of a secret in it could not be masked.
        """
        tail = bytes(self._errors[-ERROR_TAIL:])
        return tail if self._errors_size <= ERROR_TAIL else tail.partition(b"\n")[2]

    def leave(self) -> None:
        """Hand pipes that other processes still hold to a process that empties them.

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
                _spawn_apart("cat", actions)
            except OSError:
                continue


def _spawn_apart(program: str, actions: "list[tuple[int, int, int]]") -> None:
    """Start a program in a session of its own; in a group where posix_spawn has no setsid."""
    try:
        os.posix_spawnp(program, [program], {}, file_actions=actions, setsid=True)
    except NotImplementedError:
        os.posix_spawnp(program, [program], {}, file_actions=actions, setpgroup=0)


def _widen(pipe: int) -> None:
    """Let the pipe hold more than one chunk, so that the job writes while we pass one on."""
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 2 * CHUNK)
    except (OSError, AttributeError):
        pass  # beyond the user's pipe-user-pages-soft, or no Linux: slower, but right
