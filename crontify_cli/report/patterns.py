"""A user's regular expressions, run where they can be stopped.

One that backtracks without end holds Python's interpreter lock, so that no thread
and no signal handler gets a turn: it would hold up the job's output, and the
report for ever. So they run in a child process (`patterns_child.py`), which is
killed at a deadline; the parent never waits for it longer than it was told to.
"""

import json
import os
import select
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crontify_cli import children
from crontify_cli.report.mask import MASKED
from crontify_cli.report.patterns_child import DATA, FRAME, GAP

if TYPE_CHECKING:
    import subprocess

_CHILD = Path(__file__).with_name("patterns_child.py")

_BUFFERED = 8 * 1024 * 1024
"""Bytes of output that wait for a slow search before the oldest are dropped."""


def redact(text: str, patterns: Sequence[str], seconds: float) -> str | None:
    """Return `text` with everything that a pattern matches replaced by `[masked]`.

    patterns: regular expressions of Python's, `^` and `$` being a line's ends.
    seconds: how long it may take.

    None if it could not be done in time, or at all: the text must then not leave
    this machine.
    """
    if not patterns:
        return text
    import subprocess

    task = {"redact": list(patterns), "mask": MASKED, "text": text, "seconds": seconds}
    try:
        child = _start()
    except OSError:
        return None
    try:
        with child:
            try:
                out, _ = child.communicate(json.dumps(task).encode(), timeout=seconds)
            except (subprocess.TimeoutExpired, OSError):
                return None
            finally:
                child.kill()
    finally:
        children.ended(child)
    try:
        # Complete JSON says that it went well; it was killed either way.
        redacted = json.loads(out)["text"]
    except (ValueError, KeyError):
        return None
    return redacted if isinstance(redacted, str) else None


def _start() -> "subprocess.Popen[bytes]":
    """Start the child: nothing inherited but its pipes, and out of reach of the job's signals.

    -I -S: no site-packages and no user's environment, half of Python's start.
    """
    import subprocess

    return children.start(
        [sys.executable, "-I", "-S", str(_CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",
    )


class MetaScan:
    """Looks for numbers in a job's output while the job runs.

    patterns: regular expressions with named groups (`parse_meta_regex` checks them),
    searched in each line by itself; the last number that a group matched wins. A line
    ends at a newline or carriage return; what is past its first 64 KiB is not searched.

    Raises OSError if no child process can be had.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._child = _start()
        assert self._child.stdin
        assert self._child.stdout
        self._in = self._child.stdin.fileno()
        self._out = self._child.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        task = json.dumps({"search": list(patterns)}).encode() + b"\n"
        self._sending = memoryview(task)
        self._queue: deque[tuple[int, bytes]] = deque()
        self._queued = 0
        self._torn: set[int] = set()
        self._dropped = 0
        self._alive = True
        self._found = b""
        self._ended = False
        self.pump()

    def fileno(self) -> int:
        """Return the descriptor to poll for writing while `waiting`."""
        return self._in

    @property
    def waiting(self) -> bool:
        """Whether there is something that the pipe has not taken yet."""
        return self._alive and bool(self._sending or self._queue)

    def feed(self, data: bytes, stream: int = 1) -> None:
        """Take some output of stream 1 or 2; never blocks.

        If the search cannot keep up, the oldest pieces are dropped, and counted.
        """
        if not self._alive or not data:
            return
        self._queue.append((stream, data))
        self._queued += len(data)
        self.pump()
        while self._queued > _BUFFERED:
            torn, oldest = self._queue.popleft()
            self._torn.add(torn)
            self._queued -= len(oldest)
            self._dropped += len(oldest)

    def pump(self) -> None:
        """Write what the pipe takes without blocking, and read what was found so far."""
        try:
            while self._alive and self._next():
                self._sending = self._sending[os.write(self._in, self._sending) :]
        except BlockingIOError:
            pass
        except OSError:  # the child is gone
            self._alive = False
        self._read()

    def finish(self, seconds: float) -> tuple[dict[str, int | float], list[str]]:
        """End the search and return the numbers, and warnings for a person.

        seconds: how long to wait for what is still to be searched. If that is not
        enough, the numbers are those found up to then.
        """
        deadline = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        poll.register(self._in, select.POLLOUT)
        while not self._ended and (left := deadline - time.monotonic()) > 0:
            poll.poll(left * 1000)
            self.pump()
            if not self.waiting and self._child.stdin and not self._child.stdin.closed:
                poll.unregister(self._in)
                self._child.stdin.close()
        return self._stop()

    def _next(self) -> bool:
        """See to it that there is something to send, if there is anything left."""
        if not self._sending and self._queue:
            stream, data = self._queue.popleft()
            self._queued -= len(data)
            gap = FRAME.pack(GAP, stream, 0) if stream in self._torn else b""
            self._torn.discard(stream)
            self._sending = memoryview(gap + FRAME.pack(DATA, stream, len(data)) + data)
        return bool(self._sending)

    def _read(self) -> None:
        """Keep the newest whole line that the child wrote: everything found up to then."""
        try:
            while data := os.read(self._out, 65536):
                *whole, rest = (self._found + data).split(b"\n")
                self._found = b"\n".join([*whole[-1:], rest])
            self._ended = True
        except BlockingIOError:
            pass

    def _stop(self) -> tuple[dict[str, int | float], list[str]]:
        self._alive = False
        self._child.kill()
        self._child.__exit__(None, None, None)
        children.ended(self._child)
        found = json.loads(self._found.rpartition(b"\n")[0] or b"{}")
        warnings = list(found.get("warnings", []))
        if not found.get("complete"):
            warnings.append("the output was not searched to its end: it took too long")
        if self._dropped:
            warnings.append(
                f"{self._dropped:,} bytes of output were not searched: they came faster than a"
                " pattern could be tried"
            )
        return found.get("numbers", {}), [f"--meta-regex: {warning}" for warning in warnings]
