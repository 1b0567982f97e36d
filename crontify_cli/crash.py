"""Writes the traceback of an internal error to a file for a bug report.

The file is safe to send to a stranger: it has no local variables and no command-line
arguments, and secrets are masked.
"""

import contextlib
import os
import platform
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from crontify_cli import __version__
from crontify_cli.errors import one_line
from crontify_cli.places import state_dir

KEPT = 10
"""How many files are kept; older ones are removed."""


def keep(error: BaseException, command: str, get_mask: Callable[[], Callable[[str], str]]) -> str:
    """Write the traceback of `error` to a new file; raises nothing.

    Returns the error, and where its traceback is, on one line and without secrets.

    command: the name of the command that ran, without its arguments.
    get_mask: returns a function that masks the secrets in a text. If it fails, only the
        type of the error is used.
    """
    words = type(error).__name__
    try:
        mask = get_mask()
        text = mask(_text(error, command))
        words = _words(error, mask)
        path = _write(text)
    except Exception as problem:
        reason = problem.strerror if isinstance(problem, OSError) else type(problem).__name__
        return f"{words}; the traceback could not be written to a file: {reason}"
    return f"{words}; the traceback is in {path}; please attach it to a bug report"


def _text(error: BaseException, command: str) -> str:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return (
        f"crontify {__version__}, Python {platform.python_version()}, {system}\n"
        f"command: {command}\nat: {now}\n\n{''.join(traceback.format_exception(error))}"
    )


def _words(error: BaseException, mask: Callable[[str], str]) -> str:
    """Return the type, message and source line of the error on one line."""
    message = one_line(mask(str(error)), 200)
    words = f"{type(error).__name__}: {message}" if message else type(error).__name__
    package = str(Path(__file__).parent) + os.sep
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.startswith(package):
            return f"{words} ({frame.filename.removeprefix(package)}:{frame.lineno})"
    return words


def _write(text: str) -> str:
    folder = os.path.join(state_dir(), "errors")
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
    path = os.path.join(folder, f"{name}-{time.monotonic_ns() % 1_000_000:06d}.txt")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(fd, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)
    for old in sorted(os.listdir(folder))[:-KEPT]:  # the names sort by time
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, old))
    return path
