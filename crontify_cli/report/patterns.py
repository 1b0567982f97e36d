"""Users' regular expressions: numbers found in a job's output, and texts redacted.

A pattern may backtrack for hours. The `regex` package releases the interpreter lock while
it matches, and its time limit stops a match; so patterns run in threads of this process.
The limit counts this process's CPU time, which on a busy machine passes more slowly than
the clock: nobody waits for these threads past a deadline of their own.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from crontify_cli.report.excerpt import clean
from crontify_cli.report.mask import MASKED
from crontify_cli.values import compile_regex, parse_number

if TYPE_CHECKING:
    from regex import Pattern

SECONDS = 3.0
"""How long a user's patterns may take for all texts of a run together."""
LEAST = 0.25
"""What each text gets even when that is used up: enough for a pattern that does no harm."""
WITHHELD = "[log withheld: a --redact pattern could not be applied in time]"

LONGEST_LINE = 64 * 1024
"""Bytes of a line that are searched."""
_LINE_SECONDS = 1.0
"""CPU seconds that a pattern may take for one line."""
_BUFFERED = 8 * 1024 * 1024
"""Bytes of output that wait for a slow search before the oldest are dropped."""


def redact(text: str, patterns: Sequence[str], seconds: float) -> str | None:
    """Return `text` with everything that a pattern matches replaced by `[masked]`.

    patterns: regular expressions; `^` and `$` match at the ends of lines, too.
    seconds: how long it may take.

    None if it could not be done in time, or not at all: the text must then not leave
    this machine.
    """
    if not patterns:
        return text
    deadline = time.monotonic() + seconds
    redacted: list[str] = []

    def work() -> None:
        with contextlib.suppress(Exception):  # without a result the text is withheld
            redacted.append(_replace(text, patterns, deadline))

    thread = threading.Thread(target=work, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no more threads
        return None
    thread.join(seconds)
    return redacted[0] if redacted else None


def _replace(text: str, patterns: Sequence[str], deadline: float) -> str:
    for pattern in patterns:
        left = max(0.0, deadline - time.monotonic())
        text = compile_regex(pattern, multiline=True).sub(
            lambda match: MASKED if match[0] else "", text, concurrent=True, timeout=left
        )
    return text


def redaction(masker: Callable[[str], str], patterns: Sequence[str]) -> Callable[[str], str]:
    """Return the mask for a run's texts: `masker`, then whatever `patterns` match.

    A text that a pattern could not be applied to in time becomes WITHHELD. The mask
    may be used by several threads.
    """
    return Redaction(masker, patterns) if patterns else masker


class Redaction:
    """A mask with a user's patterns, within a time for all texts together."""

    def __init__(self, masker: Callable[[str], str], patterns: Sequence[str]) -> None:
        self._masker = masker
        self._patterns = list(patterns)
        self._left = SECONDS
        self._known: dict[str, str] = {"": ""}

    def __call__(self, text: str) -> str:
        """Return `text` without what the masks match; each text is worked on only once."""
        if text not in self._known:
            self._known[text] = self._redact(self._masker(text))
        return self._known[text]

    def _redact(self, text: str) -> str:
        began = time.monotonic()
        redacted = redact(text, self._patterns, max(self._left, LEAST))
        self._left -= time.monotonic() - began
        return WITHHELD if redacted is None else redacted


class MetaScan:
    """Looks for numbers in a job's output while the job runs, in a thread of its own.

    patterns: regular expressions with named groups (`parse_meta_regex` checks them),
    searched in each line by itself; the last number that a group matched wins. A line
    ends at a newline or carriage return; what is past its first 64 KiB is not searched.

    Raises RuntimeError if no thread can be started.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._changed = threading.Condition()  # guards everything below
        self._queue: deque[tuple[int, bytes]] = deque()
        self._queued = 0
        self._torn: set[int] = set()
        self._dropped = 0
        self._is_fed = False
        self._is_complete = False
        self._numbers: dict[str, int | float] = {}
        self._warnings: dict[str, str] = {}
        threading.Thread(target=self._work, args=(patterns,), daemon=True).start()

    def feed(self, data: bytes, stream: int = 1) -> None:
        """Take some output of stream 1 or 2; never waits for the search.

        If the search cannot keep up, the oldest pieces are dropped, and counted.
        """
        with self._changed:
            self._queue.append((stream, data))
            self._queued += len(data)
            while self._queued > _BUFFERED:
                torn, oldest = self._queue.popleft()
                self._torn.add(torn)
                self._queued -= len(oldest)
                self._dropped += len(oldest)
            self._changed.notify_all()

    def finish(self, seconds: float) -> tuple[dict[str, int | float], list[str]]:
        """End the search and return the numbers, and warnings for a person.

        seconds: how long to wait for what is still to be searched. If that is not
        enough, the numbers are those found up to then.
        """
        with self._changed:
            self._is_fed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_complete, seconds)
            self._queue.clear()
            warnings = list(self._warnings.values())
            if not self._is_complete:
                warnings.append("the output was not searched to its end: it took too long")
            if self._dropped:
                warnings.append(
                    f"{self._dropped:,} bytes of output were not searched: they came faster than"
                    " a pattern could be tried"
                )
            return dict(self._numbers), [f"--meta-regex: {warning}" for warning in warnings]

    # In the thread

    def _work(self, texts: Sequence[str]) -> None:
        patterns = {text: pattern for text in texts if (pattern := self._compiled(text))}
        for line in self._lines():
            for text, pattern in list(patterns.items()):
                if not self._search(text, pattern, clean(line)):
                    del patterns[text]
        with self._changed:
            self._is_complete = True
            self._changed.notify_all()

    def _compiled(self, text: str) -> "Pattern[str] | None":
        try:
            return compile_regex(text)
        except ValueError as error:
            self._warn(text, str(error))
            return None

    def _lines(self) -> Iterator[bytes]:
        """Yield the output's lines, as they end."""
        streams: dict[int, Lines] = {}
        while piece := self._next():
            stream, data, is_torn = piece
            lines = streams.setdefault(stream, Lines())
            if is_torn:
                lines.tear()
            yield from lines.feed(data)
        with self._changed:
            whole = [lines for stream, lines in streams.items() if stream not in self._torn]
        for lines in whole:
            yield from lines.end()

    def _next(self) -> tuple[int, bytes, bool] | None:
        """Wait for the next piece: stream, data, and whether some is missing before it.

        None at the output's end.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_fed)
            if not self._queue:
                return None
            stream, data = self._queue.popleft()
            self._queued -= len(data)
            is_torn = stream in self._torn
            self._torn.discard(stream)
            return stream, data, is_torn

    def _search(self, text: str, pattern: "Pattern[str]", line: str) -> bool:
        """Note the numbers in a line; False if the pattern should not be tried again."""
        try:
            for match in pattern.finditer(line, concurrent=True, timeout=_LINE_SECONDS):
                for name, found in match.groupdict().items():
                    if found is not None:
                        self._note(name, found.strip())
        except Exception as error:
            timed_out = isinstance(error, TimeoutError)
            why = f"took over {_LINE_SECONDS:g} s on a line" if timed_out else f"failed ({error})"
            self._warn(text, f"the pattern {text[:60]!r} {why}: later lines were not searched")
            return False
        return True

    def _note(self, name: str, found: str) -> None:
        try:
            number = parse_number(found)
        except ValueError as error:
            self._warn(name, f"{name}: {error}")
            return
        with self._changed:
            self._numbers[name] = number

    def _warn(self, about: str, warning: str) -> None:
        with self._changed:
            self._warnings.setdefault(about, warning)


class Lines:
    """Makes lines of what comes in pieces; a line torn by a gap is none."""

    def __init__(self) -> None:
        self._begun = bytearray()
        self._torn = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that `data` ends; each without its end, and cut."""
        *ended, rest = data.replace(b"\r", b"\n").split(b"\n")
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
