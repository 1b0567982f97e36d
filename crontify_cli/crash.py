"""Writes the traceback of an internal error to a file for a bug report.

The file is safe to send to a stranger: it has no local variables and no command-line
arguments, and secrets are masked.
"""

import contextlib
import os
import platform
import re
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from crontify_cli import __version__
from crontify_cli.errors import one_line
from crontify_cli.state import NEW, Folder, state_dir

KEPT = 10
"""How many files are kept; older ones are removed."""
_NAME = re.compile(r"\d{8}T\d{6}Z-\d+-\d{6}\.txt")


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
    stamp = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
    name = f"{stamp}-{time.monotonic_ns() % 1_000_000:06d}.txt"
    with Folder(state_dir(), "errors", create=True) as errors:
        with open(errors.open(name, NEW), "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        ours = sorted(filter(_NAME.fullmatch, os.listdir(errors.fd)))
        for old in ours[:-KEPT]:  # the names sort by time
            with contextlib.suppress(OSError):
                errors.unlink(old)
        return os.path.join(errors.path, name)
