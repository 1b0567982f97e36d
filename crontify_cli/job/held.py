"""Output held back until it is known whether the job failed (`--output on-failure`).

In memory at first, then in files without a name; never more than 64 MiB: of what is
longer the beginning and the end are kept, and a marker counts what is missing. Where
no disk takes it, the end is what memory alone can hold.
"""

import os
import tempfile
from typing import IO

from crontify_cli.job.relay import STDERR, Passthrough

MEMORY = 1024 * 1024
HEAD = 32 * 1024 * 1024
SEGMENT = 16 * 1024 * 1024
"""The end is kept in two of these in turn: the older is dropped when the newer is full."""


class Held:
    """The output so far, as frames: a byte for the stream, four for the length, the data."""

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

    def release(self, sink: Passthrough) -> None:
        """Write everything to where it would have gone, in its order."""
        self._head.replay(sink)
        if self._dropped:
            marker = f"\ncrontify: [… {self._dropped:,} bytes of output were not kept …]\n".encode()
            sink.write(STDERR, memoryview(marker))
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

    def add(self, stream: int, data: memoryview) -> None:
        self._memory += bytes((stream,)) + len(data).to_bytes(4, "big")
        self._memory += data
        self.size += 5 + len(data)
        self.content += len(data)
        if len(self._memory) > MEMORY:
            try:
                self._spill()
            except OSError:
                self.failed = True

    def _spill(self) -> None:
        self._file = self._file or tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives on
        at = self._in_file
        with memoryview(self._memory) as left:
            while at < self.size:
                at += os.pwrite(self._file.fileno(), left[at - self._in_file :], at)
        self._in_file = at
        self._memory.clear()

    def replay(self, sink: Passthrough) -> None:
        if self._file:
            with open(self._file.fileno(), "rb", closefd=False) as file:
                file.seek(0)
                left = self._in_file
                while left > 0:
                    stream, length = file.read(1)[0], int.from_bytes(file.read(4), "big")
                    sink.write(stream, memoryview(file.read(length)))
                    left -= 5 + length
        frames, at = memoryview(self._memory), 0
        while at < len(frames):
            end = at + 5 + int.from_bytes(frames[at + 1 : at + 5], "big")
            sink.write(frames[at], frames[at + 5 : end])
            at = end

    def close(self) -> None:
        if self._file:
            self._file.close()
