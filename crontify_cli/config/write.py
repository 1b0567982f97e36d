"""Changing the config file: one process at a time, whole or not at all, for its owner's eyes.

tomli-w writes no comments. So a file that has some is kept beside the new one, as
`config.toml.bak`; `crontify config edit` changes a file without touching its comments.
"""

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from crontify_cli.config.document import parse, plain, read_bytes
from crontify_cli.errors import CrontifyError

LOCK_SECONDS = 10.0


class Written(NamedTuple):
    """What a change did beside changing the file.

    backup: where the old file with its comments is, "" for no such need.
    narrowed: the mode that the file had when others could still read it, "" if they could not.
    """

    backup: str = ""
    narrowed: str = ""


def change(file: str, edit: Callable[[dict[str, object]], None]) -> Written:
    """Let `edit` change the table in `file`, and put the result in its place.

    A missing file is made, its directories too. A file that does not parse stays as it is.
    Raises CrontifyError.
    """
    import tomli_w

    with _locked(file) as target:
        old = _content(target)
        try:
            content = parse(old or b"")
        except ValueError as error:
            raise CrontifyError(
                f"{plain(file)}: {error}: not changed; mend it with: crontify config edit"
            ) from None
        edit(content)
        try:
            new = tomli_w.dumps(content).encode()
        except UnicodeEncodeError:
            raise CrontifyError(f"{plain(file)}: not changed: a value is not UTF-8") from None
        backup = ""
        if old and b"#" in old and parse(new) != parse(old):
            backup = f"{target}.bak"
            _put(backup, old, target)
        return Written(backup, _put(target, new, target))


def replace(file: str, old: bytes | None, new: bytes) -> Written:
    """Put `new` in the place of `file` if its bytes are still `old` (None: no such file).

    Raises CrontifyError if they are not.
    """
    with _locked(file) as target:
        if _content(target) != old:
            raise CrontifyError(f"{plain(file)}: changed by someone else in the meantime")
        return Written("", _put(target, new, target))


@contextmanager
def _locked(file: str) -> Iterator[str]:
    """Hold the file's lock, and give the file that is to be replaced: a symlink's target.

    The lock is a file beside it, since the file itself is another one after each change.
    """
    target = os.path.realpath(file)
    directory, name = os.path.split(target)
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        lock = os.open(f"{directory}/.{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _wait_for(lock, file)
            yield target
        finally:
            os.close(lock)
    except OSError as error:
        raise CrontifyError(f"cannot write {plain(file)}: {error.strerror or error}") from None


def _wait_for(lock: int, file: str) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        with suppress(BlockingIOError):
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.monotonic() > deadline:
            raise CrontifyError(f"{plain(file)}: another crontify is changing it; try again")
        time.sleep(0.01)


def _content(target: str) -> bytes | None:
    try:
        return read_bytes(target)[0]
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise CrontifyError(f"cannot write {plain(target)}: {error}") from None


def _put(target: str, content: bytes, like: str) -> str:
    """Write beside, sync, rename; only the lock's holder comes here, so one name is enough.

    Return the mode of the replaced file if others could read it.
    """
    directory, name = os.path.split(target)
    beside = f"{directory}/.{name}.new"
    with suppress(FileNotFoundError):
        os.unlink(beside)
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            narrowed = _keep_owner(fd, like)
            with open(fd, "wb", closefd=False) as stream:
                stream.write(content)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(beside, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(beside)
        raise
    directory_fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory_fd)
    finally:
        os.close(directory_fd)
    return narrowed


def _keep_owner(fd: int, like: str) -> str:
    """Give the new file the old one's owner: root's change must not lock a user out."""
    try:
        before = os.stat(like)
    except FileNotFoundError:
        return ""
    if before.st_uid != os.geteuid():
        with suppress(PermissionError):  # only root may
            os.fchown(fd, before.st_uid, before.st_gid)
    mode = stat.S_IMODE(before.st_mode)
    return f"{mode:04o}" if mode & 0o077 else ""
