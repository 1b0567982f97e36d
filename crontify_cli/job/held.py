"""Output held back until it is known whether the job failed (`--output on-failure`).

In memory at first, then in files without a name; never more than 64 MiB: of what is
longer the beginning and the end are kept, and a marker counts what is missing.
"""

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
        self._dropped = 0

    def write(self, stream: int, data: memoryview) -> None:
        """Keep a copy of `data`, which `stream` brought."""
        if self._newer is None and self._head.size + len(data) <= HEAD:
            self._head.add(stream, data)
            return
        if self._newer is None or self._newer.size + len(data) > SEGMENT:
            if self._older:
                self._dropped += self._older.content
                self._older.close()
            self._older, self._newer = self._newer, _Part()
        self._newer.add(stream, data)

    def release(self, sink: Passthrough) -> None:
        """Write everything to where it would have gone, in its order."""
        self._head.replay(sink)
        lost = self._dropped + sum(
            part.lost for part in (self._head, self._older, self._newer) if part
        )
        if lost:
            marker = f"\ncrontify: [… {lost:,} bytes of output were not kept …]\n".encode()
            sink.write(STDERR, memoryview(marker))
        for part in (self._older, self._newer):
            if part:
                part.replay(sink)


class _Part:
    """Frames in memory, and from a megabyte on in a file without a name.

    content: bytes of output kept. lost: bytes that no disk would take.
    """

    def __init__(self) -> None:
        self.size = self.content = self.lost = 0
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(MEMORY)  # noqa: SIM115 - lives on

    def add(self, stream: int, data: memoryview) -> None:
        if self.lost:
            self.lost += len(data)
            return
        try:
            self._file.write(bytes((stream,)) + len(data).to_bytes(4, "big"))
            self._file.write(data)
        except OSError:  # a full disk; what is in the file is still good up to here
            self._file.seek(self.size)
            self.lost += len(data)
            return
        self.size += 5 + len(data)
        self.content += len(data)

    def replay(self, sink: Passthrough) -> None:
        self._file.seek(0)
        left = self.size
        while left > 0:
            stream, length = self._file.read(1)[0], int.from_bytes(self._file.read(4), "big")
            sink.write(stream, memoryview(self._file.read(length)))
            left -= 5 + length

    def close(self) -> None:
        self._file.close()
