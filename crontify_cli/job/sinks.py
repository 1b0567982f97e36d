"""Where a job's output goes: through, nowhere, or held back until it is known whether it failed."""

import os
import select
import time
from collections.abc import Mapping, Sequence
from typing import IO, Protocol

from crontify_cli.job.process import Process
from crontify_cli.record import CHUNK

STDOUT, STDERR = 1, 2


class Sink(Protocol):
    """Where a job's output goes."""

    def write(self, stream: int, data: memoryview) -> None:
        """Take what the job wrote to `stream`, 1 or 2; `data` is good until the next call."""


class Passthrough:
    """Writes to our own stdout and stderr. One that fails is given up; the other goes on.

    in_line: the streams whose last line has no end.
    """

    def __init__(self, process: Process) -> None:
        self.failures: dict[int, OSError] = {}
        self.in_line: set[int] = set()
        self._process = process

    def write(self, stream: int, data: memoryview) -> None:
        """Write all of `data` to the descriptor `stream`, as the job would: blocking."""
        if stream in self.failures:
            return
        (self.in_line.discard if data[-1:].tobytes() == b"\n" else self.in_line.add)(stream)
        process = self._process
        try:
            process.writing = time.monotonic()
            while data:
                try:
                    data = data[os.write(stream, data) :]
                except BlockingIOError:  # somebody else's O_NONBLOCK on a shared pipe or terminal
                    poll = select.poll()
                    poll.register(stream, select.POLLOUT)
                    poll.poll(1000)
                    continue
                process.writing = time.monotonic()
            process.writing = None
        except OSError as error:  # EPIPE, ENOSPC, EIO, nobody to take it: ours, not the job's
            process.writing = None
            self.failures[stream] = error


class Nowhere:
    """Drops what it is given."""

    def write(self, stream: int, data: memoryview) -> None:
        """Do nothing."""


class Early:
    """Keeps what comes before it is known where it goes.

    waiting: pipes that are not read on, since there is enough.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[int, bytes]] = []
        self._size = 0
        self.waiting: list[int] = []

    @property
    def is_full(self) -> bool:
        """Whether no more should be read."""
        return self._size >= 4 * CHUNK

    def write(self, stream: int, data: memoryview) -> None:
        """Keep a copy of `data`."""
        self._kept.append((stream, bytes(data)))
        self._size += len(data)

    def release(self, sink: Sink) -> None:
        """Write everything to where it goes; if that fails, the next call goes on from there."""
        while self._kept:
            stream, data = self._kept[0]
            sink.write(stream, memoryview(data))
            del self._kept[0]


MEMORY = 1024 * 1024
HEAD = 32 * 1024 * 1024
SEGMENT = 16 * 1024 * 1024
"""The end is kept in two of these in turn: the older is dropped when the newer is full."""


class DeferredOutput:
    """Output held back until it is known whether the job failed (`--output on-failure`).

    In memory at first, then in files without a name; never more than 64 MiB: of what is
    longer the beginning and the end are kept, and a marker counts what is missing. Where
    no disk takes it, the end is what memory alone can hold.

    Kept as frames: a byte for the stream, four for the length, the data.
    """

    def __init__(self) -> None:
        self._head = _Part()
        self._older: _Part | None = None
        self._newer: _Part | None = None
        self._segment = SEGMENT
        self._dropped = 0

    def write(self, stream: int, data: memoryview) -> None:
        """Keep a copy of `data`, which `stream` brought."""
        part = self._newer
        if not part and not self._head.failed and self._head.size + len(data) <= HEAD:
            part = self._head
        elif not part or part.failed or part.size + len(data) > self._segment:
            if self._older:
                self._dropped += self._older.content
                self._older.close()
            self._older, part = self._newer, _Part()
            self._newer = part
        part.add(stream, data)
        if part.failed:
            self._segment = MEMORY // 2  # the next ones come to no file

    def release(self, sink: Sink) -> None:
        """Write everything to where it would have gone, in its order.

        If that fails, the next call goes on from there.
        """
        self._head.replay(sink)
        if self._dropped:
            marker = f"\ncrontify: [… {self._dropped:,} bytes of output were not kept …]\n".encode()
            sink.write(STDERR, memoryview(marker))
            self._dropped = 0
        for part in (self._older, self._newer):
            if part:
                part.replay(sink)


class _Part:
    """Frames in memory, a megabyte at a time moved to a file without a name.

    size: bytes of the frames. content: bytes of output in them. failed: the disk did not
    take what is in memory now, so that no more should be added.
    """

    def __init__(self) -> None:
        self.size = self.content = 0
        self.failed = False
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._in_file = 0
        self._replayed = 0

    def add(self, stream: int, data: memoryview) -> None:
        self._memory += bytes((stream,)) + len(data).to_bytes(4, "big")
        self._memory += data
        self.size += 5 + len(data)
        self.content += len(data)
        if len(self._memory) > MEMORY:
            try:
                self._spill()
            except Exception:  # a full disk, no descriptor, no memory
                self.failed = True

    def _spill(self) -> None:
        import tempfile

        self._file = self._file or tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives on
        at = self._in_file
        with memoryview(self._memory) as left:
            while at < self.size:
                at += os.pwrite(self._file.fileno(), left[at - self._in_file :], at)
        self._in_file = at
        self._memory.clear()

    def replay(self, sink: Sink) -> None:
        while self._replayed < self.size:
            frame = self._replayed
            header = self._read(frame, 5)
            length = int.from_bytes(header[1:], "big")
            sink.write(header[0], memoryview(self._read(frame + 5, length)))
            self._replayed = frame + 5 + length

    def _read(self, at: int, length: int) -> bytes:
        """Return so many bytes of one frame, which is in the file or in memory as a whole."""
        if self._file and at < self._in_file:
            return os.pread(self._file.fileno(), length, at)
        return bytes(self._memory[at - self._in_file : at - self._in_file + length])

    def close(self) -> None:
        if self._file:
            self._file.close()


class MetaSink:
    """Passes the output on and has it searched for the numbers of `--meta-regex`.

    Raises RuntimeError if the search's thread cannot be started.
    """

    def __init__(self, sink: Sink, patterns: Sequence[str]) -> None:
        from crontify_cli.report.patterns import MetaScan

        self._sink = sink
        self._scan = MetaScan(patterns)
        self._failure = ""

    def write(self, stream: int, data: memoryview) -> None:
        """Pass `data` on, then have it searched."""
        self._sink.write(stream, data)
        try:
            self._scan.feed(bytes(data), stream)
        except Exception as error:  # no memory; the output goes on
            self._failure = f"--meta-regex: the output was not searched completely: {error!r}"

    def finish(self, seconds: float) -> tuple[Mapping[str, int | float], list[str]]:
        """End the search within `seconds`; return the numbers, and warnings for a person."""
        numbers, warnings = self._scan.finish(seconds)
        return numbers, [*warnings, *filter(None, [self._failure])]
