"""The child process that tries a user's regular expressions; `patterns.py` starts it.

It is run by its path, without site-packages. On stdin comes one line of JSON that
says what to do, and for a search the output after it, in frames; on stdout goes
JSON. It ends with its stdin. A pattern without end would keep it from noticing that
its parent is gone, so an alarm kills it then.
"""

import json
import os
import re
import signal
import struct
import sys
from collections.abc import Iterator
from typing import Any

if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from crontify_cli.report.excerpt import clean
from crontify_cli.values import parse_number

FRAME = struct.Struct(">cBI")
"""Kind, stream, and how many bytes follow."""
DATA, GAP = b"d", b"g"
"""The kinds: output of a stream, and the news that some of it is missing here."""

LONGEST_LINE = 64 * 1024
"""Bytes of a line that are searched."""

_READ = 64 * 1024
_PATIENCE = 10
"""Seconds for one read's worth of output."""

_LINE_ENDS = re.compile(rb"[\r\n]++")


class Lines:
    """Makes lines of what comes in pieces; a line torn by a gap is none."""

    def __init__(self) -> None:
        self._begun = bytearray()
        self._torn = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that `data` ends; each without its end, and cut."""
        *ended, rest = _LINE_ENDS.split(data)
        for piece in ended:
            yield from self.end(piece)
        self._add(rest)

    def end(self, piece: bytes = b"") -> Iterator[bytes]:
        """Yield the line that `piece` completes, if there is one."""
        self._add(piece)
        if self._begun and not self._torn:
            yield bytes(self._begun)
        self._begun, self._torn = bytearray(), False

    def tear(self) -> None:
        """Note that what follows is not what followed."""
        self._begun, self._torn = bytearray(), True

    def _add(self, piece: bytes) -> None:
        self._begun += piece[: LONGEST_LINE - len(self._begun)]


class Search:
    """The numbers that patterns find, and what they found that is none."""

    def __init__(self, patterns: list[str]) -> None:
        self._patterns = [re.compile(pattern) for pattern in patterns]
        self.numbers: dict[str, int | float] = {}
        self.warnings: dict[str, str] = {}

    def line(self, line: bytes) -> None:
        text = clean(line)
        for pattern in self._patterns:
            for match in pattern.finditer(text):
                for name, found in match.groupdict().items():
                    if found is None:
                        continue
                    try:
                        self.numbers[name] = parse_number(found.strip())
                    except ValueError as error:
                        self.warnings.setdefault(name, f"{name}: {error}")

    def report(self, complete: bool) -> bytes:
        """Return everything found so far, as one line."""
        warnings = list(self.warnings.values())
        found = {"numbers": self.numbers, "warnings": warnings, "complete": complete}
        return json.dumps(found).encode() + b"\n"


def main() -> None:
    _settle()
    buffer = bytearray()
    while b"\n" not in buffer and (data := os.read(0, _READ)):
        buffer += data
    first, _, rest = bytes(buffer).partition(b"\n")
    task: dict[str, Any] = json.loads(first)
    if "redact" in task:
        signal.alarm(int(task["seconds"]) + 2)
        text: str = task["text"]
        for pattern in task["redact"]:
            text = re.sub(
                pattern, lambda match: task["mask"] if match[0] else "", text, flags=re.MULTILINE
            )
        _write(json.dumps({"text": text}).encode())
    else:
        _search(Search(task["search"]), bytearray(rest))


def _settle() -> None:
    """Step aside for the job, and outlive a signal to everybody (as systemd sends it)."""
    os.nice(10)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _search(search: Search, buffer: bytearray) -> None:
    streams: dict[int, Lines] = {}
    told = b""
    while True:
        signal.alarm(_PATIENCE)
        for kind, stream, data in _frames(buffer):
            lines = streams.setdefault(stream, Lines())
            if kind == GAP:
                lines.tear()
            for line in lines.feed(data):
                search.line(line)
        signal.alarm(0)
        if (found := search.report(complete=False)) != told:
            _write(found)
            told = found
        data = os.read(0, _READ)
        if not data:
            break
        buffer += data
    signal.alarm(_PATIENCE)
    for lines in streams.values():
        for line in lines.end():
            search.line(line)
    _write(search.report(complete=True))


def _frames(buffer: bytearray) -> Iterator[tuple[bytes, int, bytes]]:
    """Take the whole frames off the front of the buffer."""
    at = 0
    while len(buffer) >= at + FRAME.size:
        kind, stream, length = FRAME.unpack_from(buffer, at)
        end = at + FRAME.size + length
        if len(buffer) < end:
            break
        yield kind, stream, bytes(buffer[at + FRAME.size : end])
        at = end
    del buffer[:at]


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
