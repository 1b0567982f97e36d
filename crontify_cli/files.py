"""Replaces files that other programs read, so that they see the old or the new one, whole."""

import contextlib
import errno
import os
import stat

from crontify_cli.state import StateError, open_folder


def replace(path: str, content: bytes, *, durable: bool = False) -> None:
    """Write a file that everybody can read; of a symbolic link its target. Raises OSError.

    A device, a pipe and whatever is /dev/stdout are written to and not replaced. Links of
    users other than root are not followed: the folder may be one where others can put them.
    durable: it survives a power cut.
    """
    target = _target(os.path.abspath(path))
    with contextlib.suppress(FileNotFoundError):
        is_regular = stat.S_ISREG(os.stat(path).st_mode)
        if not is_regular or os.path.abspath(path).startswith(("/dev/", "/proc/")):
            with open(path, "ab") as file:
                file.write(content)
            return
    folder, name = os.path.split(target)
    try:
        folder_fd = open_folder(folder)
    except StateError:
        raise _foreign_link() from None
    try:
        _replace_in(folder_fd, name, content, durable=durable)
    finally:
        os.close(folder_fd)


def _target(path: str) -> str:
    """Return where a link leads, which has to be ours or root's; any other path as it is."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return path
    if not stat.S_ISLNK(status.st_mode):
        return path
    if status.st_uid not in (os.geteuid(), 0):
        raise _foreign_link()
    return os.path.realpath(path)


def _foreign_link() -> OSError:
    return PermissionError(errno.EPERM, "the path leads through a link of another user")


def _replace_in(folder: int, name: str, content: bytes, *, durable: bool) -> None:
    # One name for all: what a killed process leaves is used again.
    scratch = f".{name}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(scratch, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(scratch, flags, 0o644, dir_fd=folder)
    try:
        with open(fd, "wb") as file:
            os.fchmod(fd, 0o644)
            file.write(content)
            file.flush()
            if durable:
                os.fsync(fd)
        os.rename(scratch, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(scratch, dir_fd=folder)
        raise
