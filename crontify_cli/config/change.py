"""Changes a config file: the new content replaces the old one whole, and nobody loses a change."""

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from crontify_cli.config.file import parse, plain, read_bytes
from crontify_cli.config.trust import is_foreign
from crontify_cli.errors import CrontifyError

LOCK_SECONDS = 10.0
"""How long to wait for another process that is changing the file."""

_LOCK = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Written(NamedTuple):
    """What else a change did.

    backup: the copy of the old file, made because it has comments; "" if there is none.
    narrowed: the old mode if other users could read the file before; else "".
    """

    backup: str = ""
    narrowed: str = ""


def change(file: str, edit: Callable[[dict[str, object]], None]) -> Written:
    """Let `edit` change the table in `file`, and replace the file with the result.

    A missing file is created with its directories. A file that cannot be parsed is not
    changed. Raises CrontifyError.
    """
    import tomli_w

    with _locked(file) as target:
        old = _read_target(target)
        try:
            content = parse(old or b"")
        except ValueError as error:
            raise CrontifyError(
                f"{plain(file)} was not changed: {error}; correct it with: crontify config edit"
            ) from None
        before = parse(old or b"")
        edit(content)
        if old is not None and content == before:
            return Written()
        try:
            new = tomli_w.dumps(content).encode()
        except UnicodeEncodeError:
            raise CrontifyError(f"{plain(file)} was not changed: a value is not UTF-8") from None
        backup = ""
        if old and _has_comment(old):
            backup = f"{target}.bak"
            _write_atomically(backup, old, target)
        return Written(backup, _write_atomically(target, new, target))


def _has_comment(content: bytes) -> bool:
    """Tell whether valid TOML has a comment: a `#` in a string is none."""
    import re

    strings = rb'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\])*"|\'[^\']*\''
    return any(re.findall(strings + rb"|(#)", content, re.DOTALL))


def replace(file: str, old: bytes | None, new: bytes) -> Written:
    """Replace `file` with `new` if its content is still `old` (None: the file did not exist).

    Raises CrontifyError if it is not.
    """
    with _locked(file) as target:
        if _read_target(target) != old:
            raise CrontifyError(f"{plain(file)} was not changed: another process has changed it")
        return Written("", _write_atomically(target, new, target))


@contextmanager
def _locked(file: str) -> Iterator[str]:
    """Hold the lock, and yield the file to replace: the target if `file` is a symlink.

    The lock is a separate file next to it, because each change replaces the file itself.
    """
    target = os.path.realpath(file)
    directory, name = os.path.split(target)
    try:
        check_folder(directory)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        lock = os.open(f"{directory}/.{name}.lock", _LOCK, 0o600)
        try:
            _wait_for(lock, file)
            yield target
        finally:
            os.close(lock)
    except OSError as error:
        raise CrontifyError(f"cannot write {plain(file)}: {error.strerror or error}") from None


def check_folder(directory: str) -> None:
    """Raise CrontifyError if a file in the directory would be in the hands of another user.

    directory: its nearest parent counts as long as it does not exist.
    """
    while not os.path.lexists(directory) and directory != "/":
        directory = os.path.dirname(directory)
    if is_foreign(status := os.stat(directory)):
        raise CrontifyError(
            f"{plain(directory)} belongs to another user (uid {status.st_uid}), so nothing is"
            " written there; use another file with --config"
        )


def _wait_for(lock: int, file: str) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        with suppress(BlockingIOError):
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.monotonic() > deadline:
            raise CrontifyError(
                f"cannot write {plain(file)}: another crontify is changing it; try again"
            )
        time.sleep(0.01)


def _read_target(target: str) -> bytes | None:
    try:
        return read_bytes(target)[0]
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise CrontifyError(f"cannot write {plain(target)}: {error}") from None


def _write_atomically(target: str, content: bytes, like: str) -> str:
    """Replace `target` atomically: write a new file, sync it, rename it.

    The caller holds the lock, so the new file can have a fixed name. Returns the mode of the
    replaced file if other users could read it.
    """
    directory, name = os.path.split(target)
    new = f"{directory}/.{name}.new"
    with suppress(FileNotFoundError):
        os.unlink(new)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as stream:
            narrowed = _keep_owner(fd, like)
            stream.write(content)
            stream.flush()
            os.fsync(fd)
        os.rename(new, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(new)
        raise
    directory_fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory_fd)
    finally:
        os.close(directory_fd)
    return narrowed


def _keep_owner(fd: int, like: str) -> str:
    """Give the new file the owner of the old one, so that root does not lock a user out."""
    try:
        before = os.stat(like)
    except FileNotFoundError:
        return ""
    if before.st_uid != os.geteuid():
        with suppress(PermissionError):  # only root is allowed to
            os.fchown(fd, before.st_uid, before.st_gid)
    mode = stat.S_IMODE(before.st_mode)
    return f"{mode:04o}" if mode & 0o077 else ""
