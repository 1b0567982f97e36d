"""What the state directory keeps of crontabs: copies of earlier ones, and which lines were wrapped.

Copies are never put next to a crontab: cronie runs every file in /etc/cron.d.
"""

import os
import re
import stat
import time
from collections.abc import Iterable

COPIES = 20
"""Copies that are kept of one crontab."""
_MOST_WRAPPED = 1 << 20
"""Bytes of the list of wrapped lines above which its older half is dropped."""

Wrapped = tuple[str, str]


def save(state: str, label: str, data: bytes) -> str:
    """Keep a copy of a crontab, durably; return its path. Raises OSError.

    label: names the crontab: a user, or a path.
    """
    folder = _folder(state)
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", label).strip("-.") or "crontab"
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = os.path.join(folder, f"{name}@{moment}-{time.time_ns() % 10**9:09d}")
    _write(path, data, os.O_EXCL)
    _sync_folder(folder)
    copies = sorted(other for other in os.listdir(folder) if other.startswith(f"{name}@"))
    for old in copies[:-COPIES]:
        os.unlink(os.path.join(folder, old))
    return path


def note_wrapped(state: str, wrapped: Iterable[Wrapped], label: str) -> None:
    """Remember lines that are about to be wrapped, durably. Raises OSError.

    wrapped: of each the digest of its command and its monitor.
    """
    path = os.path.join(_folder(state), "wrapped")
    text = "".join(f"{digest} {monitor} {label}\n" for digest, monitor in wrapped)
    _write(path, text.encode("utf-8", "surrogateescape"), os.O_APPEND)
    if os.stat(path).st_size > _MOST_WRAPPED:
        with open(path, "rb") as file:
            lines = file.readlines()
        _write(f"{path}.new", b"".join(lines[len(lines) // 2 :]), os.O_TRUNC)
        os.rename(f"{path}.new", path)


def wrapped_lines(state: str, label: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the digests of all commands that were wrapped, and the monitors in one crontab.

    Empty if none was, or if the list cannot be read.
    """
    path = os.path.join(state, "crontabs", "wrapped")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return frozenset(), frozenset()
    with open(fd, encoding="utf-8", errors="surrogateescape") as file:
        rows = [parts for line in file if len(parts := line.rstrip("\n").split(" ", 2)) == 3]
    return (
        frozenset(digest for digest, _, _ in rows),
        frozenset(monitor for _, monitor, place in rows if place == label),
    )


def _folder(state: str) -> str:
    """Return the folder, made for its owner alone; raises OSError if it is somebody else's."""
    folder = os.path.join(state, "crontabs")
    os.makedirs(state, mode=0o700, exist_ok=True)
    if not os.path.lexists(folder):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise OSError(f"{folder} is not a private directory of this user")
    return folder


def _write(path: str, data: bytes, how: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | how
    fd = os.open(path, flags, 0o600)
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
