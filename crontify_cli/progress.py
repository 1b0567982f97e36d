"""One line on a terminal that says what is being waited for, and that leaves nothing behind."""

import os
import time
from contextlib import suppress

from crontify_cli.errors import one_line

LEAVES_QUEUED = " (Ctrl-C leaves it queued)"
"""A hint for a line about a report that is in the queue."""
DELAY = 1.0
"""Seconds after which the line appears: what takes less needs no explanation."""


class ProgressLine:
    """A line on stderr, drawn only if that is a terminal with us in its foreground.

    Without escape sequences, so that it works on every terminal.

    in_line: whether the cursor may be in the middle of a line, which must stay as it is.
    was_shown: whether anything was drawn.
    """

    def __init__(self, *, in_line: bool = False) -> None:
        self.was_shown = False
        self._is_terminal = os.isatty(2)
        self._visible_from = time.monotonic() + DELAY
        self._in_line = in_line
        self._text = ""
        self._width = 0

    def show(self, text: str, hint: str = "") -> None:
        """Replace the line with `text`, cut to the width; `hint` follows if all of it fits."""
        if not self._is_terminal or time.monotonic() < self._visible_from:
            return
        most = _columns() - 1  # in the last column, some terminals begin a new line
        line = one_line(text)
        line = line + hint if width(line + hint) <= most else cut(line, most)
        if line == self._text or not _may_draw():
            return
        blanks = " " * (min(self._width, most) - width(line))
        begin = "\n" if self._in_line else "\r"
        _write(f"{begin}{line}{blanks}")
        self._text, self._width = line, width(line)
        self.was_shown, self._in_line = True, False

    def clear(self) -> None:
        """Remove the line."""
        if self._width:
            _write(f"\r{' ' * (_columns() - 1)}\r")  # all of it: Ctrl-C has left a ^C behind it
        self._text, self._width = "", 0


def width(text: str) -> int:
    """Return how many columns a terminal needs for `text`."""
    return sum(map(_cells, text))


def cut(text: str, most: int) -> str:
    """Return `text`, shortened with `...` at its end if it needs more than `most` columns."""
    if width(text) <= most:
        return text
    used, kept = 0, ""
    for char in text:
        used += _cells(char)
        if used > most - 3:
            break
        kept += char
    return (kept + "...")[: max(most, 0)]


def _cells(char: str) -> int:
    from unicodedata import category, east_asian_width  # nothing is drawn without a terminal

    if category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(char) in "WF" else 1


def _columns() -> int:
    try:
        return os.get_terminal_size(2).columns or 80
    except OSError:
        return 80


def _may_draw() -> bool:
    """Tell whether we are in the foreground of the terminal, and it takes output at the moment."""
    import select

    with suppress(OSError):  # not the terminal that controls us, so no shell shares it
        if os.tcgetpgrp(2) != os.getpgrp():
            return False
    poll = select.poll()
    poll.register(2, select.POLLOUT)
    return bool(poll.poll(0))


def _write(text: str) -> None:
    with suppress(OSError):  # the terminal was closed
        os.write(2, text.encode("utf-8", "replace"))
