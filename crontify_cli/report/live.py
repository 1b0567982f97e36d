"""Reads the output of a running job from its record, while the wrapper writes it."""

import codecs
import os
import sys

from crontify_cli import record
from crontify_cli.report.excerpt import clean
from crontify_cli.state import open_file

HOLD = 1.0
"""Seconds to wait for the end of a line; then only its last word is held back.

Half a secret cannot be masked.
"""

_LONGEST_WORD = 16 * 1024


class LiveLog:
    """An open record of a run. The file may be removed while it is open.

    position: the number of bytes of output that were read or skipped.

    Raises OSError, and ValueError if the file is not a record.
    """

    def __init__(self, path: str) -> None:
        self._fd = open_file(path, os.O_RDWR)
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
        """Return the current content of the record."""
        return record.Record(os.pread(self._fd, record.SIZE, 0))

    def secrets(self) -> list[str] | None:
        """Return the secrets of the job's environment; None if the wrapper has yet to note them."""
        data = os.pread(self._fd, 8 + record.SECRETS, record.SIZE)
        return record.read_secrets(data) if data else None

    def read(self) -> tuple[int, bytes]:
        """Return the number of bytes lost because they were overwritten, and the new bytes."""
        if self._word(record.AT_TOTAL) == self.position:
            return 0, b""
        now = self.record()
        if now.dropped and self.position < len(now.head):
            # The rest of the head now, and the bytes after the gap with the next call.
            new, self.position = now.head[self.position :], len(now.head)
            return 0, new
        kept = now.tail if now.dropped else now.head + now.tail
        first = now.total - len(kept)
        missed, new = max(0, first - self.position), kept[max(0, self.position - first) :]
        self.position = now.total
        return missed, new

    def has_ended(self) -> bool:
        """Tell whether the run has ended, or its wrapper has died."""
        return self._word(record.AT_STATE) != record.RUNNING or not record.is_written(self._fd)

    def _word(self, index: int) -> int:
        return int.from_bytes(os.pread(self._fd, 8, index * 8), sys.byteorder)


class Lines:
    """Splits output into complete lines, which can then be masked and shown.

    raw: keep escape sequences and control characters.
    overwrites: after a carriage return in a line that has been shown in part, as of a progress
        bar, begin the line again with one, as on a terminal; otherwise begin a new line.
    """

    def __init__(self, *, raw: bool = False, overwrites: bool = False) -> None:
        self._raw = raw
        self._overwrites = overwrites
        self._open = ""  # what was shown of a line that has not ended
        self._is_returned = False  # whether a carriage return was the last of it
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._since = 0.0

    def feed(self, data: bytes, now: float) -> str:
        """Add output, and return the lines that are complete or whose end is overdue.

        now: seconds on a monotonic clock.
        """
        if data:
            self._since = self._since if self._rest else now
            self._rest += self._decoder.decode(data)
        end = self._rest.rfind("\n") + 1
        if not end and self._rest and now - self._since >= HOLD:
            end = self._end_of_words()
        ready, self._rest = self._rest[:end], self._rest[end:]
        if end:
            self._since = now
        return self._shown(ready)

    def tear(self) -> int:
        """Drop a line that has begun, since its end is lost; return its size in bytes."""
        lost, self._rest = len(self._rest.encode("utf-8", "replace")), ""
        self._decoder.reset()
        return lost

    def finish(self) -> str:
        """Return the rest."""
        ready, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        return self._shown(ready)

    def _end_of_words(self) -> int:
        """Return where the last word begins, or where it ends if it is no part of a secret."""
        start = max(map(self._rest.rfind, " \t\r")) + 1
        word = self._rest[start:]
        is_harmless = not any(map(str.isalnum, word)) or len(word) > _LONGEST_WORD
        return len(self._rest) if is_harmless else start

    def _shown(self, text: str) -> str:
        if self._raw or not text:
            return text
        shown = clean(text.encode("utf-8", "replace"))
        first, line_feed, _ = text.partition("\n")
        returns = self._is_returned or "\r" in first.rstrip("\r")
        before, last = self._open, shown.rpartition("\n")[2]
        begins_again = bool(before and returns and first.strip("\r"))
        self._open = last if line_feed or begins_again else before + last
        self._is_returned = text.endswith("\r")
        if not begins_again:
            return shown
        return f"\r{' ' * len(before)}\r{shown}" if self._overwrites else f"\n{shown}"
