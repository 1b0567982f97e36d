"""What goes wrong: the one error type, the exit codes with their names, the line that says it.

Loaded before the spawn, so plain integers instead of an enum.
"""

import os


class ExitCode:
    """What `crontify` exits with when the number is not the job's own."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    INTERNAL = 70  # EX_SOFTWARE: a fault of ours, its traceback is in a file
    TEMPORARY = 75  # EX_TEMPFAIL: overlap skipped, or reports still queued
    TIMEOUT = 124  # as timeout(1)
    NOT_EXECUTABLE = 126  # as sh(1)
    NOT_FOUND = 127  # as sh(1)
    SIGNAL_BASE = 128  # 128 + N for a job that died of signal N
    INTERRUPTED = 130  # Ctrl-C: 128 + SIGINT


SAY_PATIENCE = 2.0
"""Seconds for which a line of ours waits for a reader of stderr that takes nothing."""


class CrontifyError(Exception):
    """What went wrong, to what, and what to do next, in one line for stderr.

    `exit_code` is what the process ends with when nobody handles the error.
    """

    def __init__(self, message: str, exit_code: int = ExitCode.FAILURE) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


def one_line(text: str, most: int = 0) -> str:
    """Return `text` on one line, without characters that a terminal would act on.

    Control characters, line breaks and bidirectional overrides become spaces.
    most: the length to cut the line to, in characters; 0 for no limit.
    """
    line = "".join(char if char.isprintable() else " " for char in text)
    if not most or len(line := " ".join(line.split())) <= most:
        return line
    return line[: most - 1] + "…"


def say(line: str) -> None:
    """Write one line of ours to stderr; where that fails there is nobody to tell."""
    try:
        if _is_taken(2):
            os.write(2, f"crontify: {line}\n".encode("utf-8", "replace"))
    except OSError:
        pass


def _is_taken(fd: int) -> bool:
    """Tell whether a line can be written to `fd`: a reader may be stopped, with the pipe full."""
    try:
        import select
    except ImportError:
        return True
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(SAY_PATIENCE * 1000))
