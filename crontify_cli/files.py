"""Replaces files that other programs read, so that they see the old or the new one, whole."""

import contextlib
import os
import stat


def replace(path: str, content: bytes, *, durable: bool = False) -> None:
    """Write a file that everybody can read; of a symbolic link its target. Raises OSError.

    A device or a pipe, such as /dev/stdout, is written to and not replaced.
    durable: it survives a power cut.
    """
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        with open(path, "wb") as file:
            file.write(content)
        return
    target = os.path.realpath(path)
    # One name for all: what a killed process leaves is used again.
    folder, name = os.path.split(target)
    scratch = os.path.join(folder, f".{name}.new")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(scratch)
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with open(fd, "wb") as file:
            os.fchmod(fd, 0o644)
            file.write(content)
            file.flush()
            if durable:
                os.fsync(fd)
        os.rename(scratch, target)
    except BaseException:
        os.unlink(scratch)
        raise
