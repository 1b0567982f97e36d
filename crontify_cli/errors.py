"""The error type, the names of the exit codes, and the function that prints a line on stderr.

Loaded before the job starts, so the exit codes are plain integers and not an enum.
"""

import os


class ExitCode:
    """The exit codes of `crontify` itself; `exec` otherwise returns the job's exit code."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    INTERNAL = 70  # EX_SOFTWARE: an internal error; its traceback is in a file
    TEMPORARY = 75  # EX_TEMPFAIL: the run was skipped, or reports are still queued
    TIMEOUT = 124  # as timeout(1)
    NOT_EXECUTABLE = 126  # as sh(1)
    NOT_FOUND = 127  # as sh(1)
    SIGNAL_BASE = 128  # 128 + N if signal N ended the job
    INTERRUPTED = 130  # Ctrl-C: 128 + SIGINT


SAY_PATIENCE = 2.0
"""Seconds to wait for a reader of stderr that has stopped reading."""


class CrontifyError(Exception):
    """An error to show to the user: one line that says what happened and what to do.

    `exit_code` is the exit code of the process if nobody handles the error.
    """

    def __init__(self, message: str, exit_code: int = ExitCode.FAILURE) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


def one_line(text: str, most: int = 0) -> str:
    """Return `text` as one line that is safe to print on a terminal.

    Control characters, line breaks and bidirectional overrides become spaces.
    most: the maximum length in characters; 0 means no limit.
    """
    line = text
    if not text.isprintable():
        line = "".join(char if char.isprintable() else " " for char in text)
    if not most or len(line := " ".join(line.split())) <= most:
        return line
    return line[: most - 1] + "…"


def printable(text: str) -> str:
    """Return `text` with its line breaks, but otherwise safe to print, as by `one_line`."""
    return "\n".join(map(one_line, text.split("\n")))


def in_words(error: BaseException) -> str:
    """Return the text of an error without what Python adds to it for programmers.

    That is `[Errno N]` or `[SSL: NAME]` before it, and `(_ssl.c:LINE)` after it.
    """
    text = str(error).partition(" (_ssl.c:")[0]
    return text.partition("] ")[2] if text.startswith(("[Errno ", "[SSL", "[X509")) else text


def say(line: str) -> None:
    """Write `crontify: LINE` to stderr; errors are ignored, as there is nowhere to report them."""
    try:
        if _is_writable(2):
            os.write(2, f"crontify: {printable(line)}\n".encode("utf-8", "replace"))
    except OSError:
        pass


def _is_writable(fd: int) -> bool:
    """Wait until `fd` can be written; False if its reader has stopped and the pipe stays full."""
    try:
        import select
    except ImportError:
        return True
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(SAY_PATIENCE * 1000))
