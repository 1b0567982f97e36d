"""What the state directory keeps of crontabs: copies of earlier ones, and which lines were wrapped.

Copies are never put next to a crontab: cronie runs every file in /etc/cron.d.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterable

from crontify_cli.state import NEW, Folder

_FOLDER, _WRAPPED = "crontabs", "wrapped"

COPIES = 20
"""Copies that are kept of one crontab."""
_MOST_WRAPPED = 1 << 20
"""Bytes of the list of wrapped lines above which its older half is dropped."""

Wrapped = tuple[str, str]


def save(state: str, label: str, data: bytes) -> str:
    """Keep a copy of a crontab, durably; return its path. Raises OSError.

    label: names the crontab: a user, or a path.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", label).strip("-.") or "crontab"
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    copy = f"{name}@{moment}-{time.time_ns() % 10**9:09d}"
    with Folder(state, _FOLDER, create=True) as folder:
        _write(folder.open(copy, NEW), data)
        os.fsync(folder.fd)
        copies = sorted(each for each in os.listdir(folder.fd) if each.startswith(f"{name}@"))
        for old in copies[:-COPIES]:
            folder.unlink(old)
        return os.path.join(folder.path, copy)


def note_wrapped(state: str, wrapped: Iterable[Wrapped], label: str) -> None:
    """Remember lines that are about to be wrapped, durably. Raises OSError.

    wrapped: of each the digest of its command and its monitor.
    """
    text = "".join(f"{digest} {monitor} {label}\n" for digest, monitor in wrapped)
    with Folder(state, _FOLDER, create=True) as folder:
        fd = folder.open(_WRAPPED, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        _write(fd, text.encode("utf-8", "surrogateescape"))
        status = folder.stat(_WRAPPED)
        if status and status.st_size > _MOST_WRAPPED:
            with open(folder.open(_WRAPPED, os.O_RDONLY), "rb") as file:
                lines = file.readlines()
            scratch = f"{_WRAPPED}.new"
            with contextlib.suppress(FileNotFoundError):
                folder.unlink(scratch)  # left by a process that was killed
            _write(folder.open(scratch, NEW), b"".join(lines[len(lines) // 2 :]))
            folder.rename(scratch, _WRAPPED)


def wrapped_lines(state: str, label: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the digests of all commands that were wrapped, and the monitors in one crontab.

    Empty if none was, or if the list cannot be read.
    """
    try:
        with Folder(state, _FOLDER) as folder:
            fd = folder.open(_WRAPPED, os.O_RDONLY)
    except OSError:
        return frozenset(), frozenset()
    with open(fd, encoding="utf-8", errors="surrogateescape") as file:
        rows = [parts for line in file if len(parts := line.rstrip("\n").split(" ", 2)) == 3]
    return (
        frozenset(digest for digest, _, _ in rows),
        frozenset(monitor for _, monitor, place in rows if place == label),
    )


def _write(fd: int, data: bytes) -> None:
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
