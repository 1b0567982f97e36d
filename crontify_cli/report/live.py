"""The output of a run while it goes on, read from its record as the wrapper writes it."""

import codecs
import os

from crontify_cli import record
from crontify_cli.report.excerpt import clean

HOLD = 1.0
"""Seconds for which a line without its end is held back: half a secret cannot be masked."""


class LiveLog:
    """An open record of a run. Raises OSError and ValueError if there is none.

    position: bytes of output that were read. The file may be removed meanwhile.
    """

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            self.about = self.record()
        except ValueError:
            os.close(self._fd)
            raise
        self.position = 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def record(self) -> record.Record:
        """Return the whole record as it is now."""
        return record.Record(os.pread(self._fd, record.SIZE, 0))

    def read(self) -> tuple[int, bytes]:
        """Return how many bytes were overwritten before they could be read, and the new ones."""
        if self._total() == self.position:
            return 0, b""
        now = self.record()
        kept = now.head + now.tail
        if self.position < len(now.head):
            missed, new = now.dropped, now.head[self.position :]
            if not now.dropped:
                new = kept[self.position :]
            else:
                # First what is left of the head, then, next time, what is behind the gap.
                self.position = len(now.head)
                return 0, new
        else:
            missed = max(0, now.total - len(now.tail) - self.position)
            new = now.tail[max(0, len(now.tail) - (now.total - self.position)) :]
        self.position = now.total
        return missed, new

    def has_ended(self) -> bool:
        """Tell whether the wrapper has judged the run, or is gone."""
        if self._word(record.AT_STATE) != record.RUNNING:
            return True
        return not record.is_written(self._fd)

    def _total(self) -> int:
        return self._word(record.AT_TOTAL)

    def _word(self, index: int) -> int:
        return int.from_bytes(os.pread(self._fd, 8, index * 8), "little")


class Lines:
    """Cuts output into whole lines, ready to be masked and shown.

    raw: leave escape sequences and control characters in.
    """

    def __init__(self, *, raw: bool = False) -> None:
        self._raw = raw
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._since = 0.0

    def feed(self, data: bytes, now: float) -> str:
        """Take output; return the lines that are whole, or have waited long enough for their end.

        now: seconds on a clock that only goes forward.
        """
        if data:
            self._since = self._since if self._rest else now
            self._rest += self._decoder.decode(data)
        end = self._rest.rfind("\n") + 1
        if not end and self._rest and now - self._since >= HOLD:
            end = len(self._rest)
        ready, self._rest = self._rest[:end], self._rest[end:]
        if end:
            self._since = now
        return self._shown(ready)

    def finish(self) -> str:
        """Return what is left."""
        ready, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        return self._shown(ready)

    def _shown(self, text: str) -> str:
        return text if self._raw else clean(text.encode("utf-8", "replace"))
