"""The config file as it stands on disk: found, read, parsed, never trusted."""

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

from crontify_cli.errors import CrontifyError, one_line

LARGEST = 1024 * 1024  # bytes
_DOTS = 4_000_000  # the sum of the lines' squares: 2,000 on one line


class Document(NamedTuple):
    """A config file's content.

    file: its name; None where there is no file, which is no problem.
    table: what it says; empty where there is a problem.
    problem: why it could not be read, in one line that names the file; "" if it could.
    exposed: how others than its owner can read it, as `mode 0644`; "" if they cannot.
    """

    file: str | None
    table: Mapping[str, object]
    problem: str = ""
    exposed: str = ""


def find(config_file: str | None, environ: Mapping[str, str]) -> Document:
    """Read `config_file`, else what CRONTIFY_CONFIG names, else the first default place.

    A named file has to exist; of the default places none has to. Raises nothing.
    """
    if named := config_file or environ.get("CRONTIFY_CONFIG"):
        return read(os.path.expanduser(named))
    from crontify_cli.places import config_files

    for place in config_files():
        try:
            return read_existing(place)
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            continue
    return Document(None, {})


def read(file: str) -> Document:
    """Read one file; that it does not exist is a problem. Raises nothing."""
    try:
        return read_existing(file)
    except OSError as error:
        return Document(file, {}, f"{plain(file)}: {error.strerror or error}")


def read_existing(file: str) -> Document:
    """Read one file; raises FileNotFoundError or NotADirectoryError where there is none."""
    if file == os.devnull:  # the usual way to say: no file
        return Document(file, {})
    try:
        content, mode = read_bytes(file)
        table = parse(content)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        return Document(file, {}, f"{plain(file)}: {error.strerror or error}")
    except ValueError as error:
        return Document(file, {}, f"{plain(file)}: {error}")
    return Document(file, table, exposed=mode)


def read_bytes(file: str) -> tuple[bytes, str]:
    """Return a config file's bytes, and how it is exposed to others (see `exposure`).

    Raises OSError, and ValueError for what is no such file or larger than `LARGEST`.
    """
    # Not blocking: a FIFO in this place must not hold a report back.
    fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("not a regular file")
        content = b""
        while len(content) <= LARGEST and (chunk := os.read(fd, LARGEST + 1)):
            content += chunk
    finally:
        os.close(fd)
    if len(content) > LARGEST:
        raise ValueError("larger than 1 MiB")
    return content, exposure(status)


def parse(content: bytes) -> dict[str, object]:
    """Return the TOML table in `content`; raises ValueError with a message for a person."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"not UTF-8 (at line {line})") from None
    if not text.strip():
        return {}
    # tomllib keeps every prefix of a dotted key: a line of 100 kB could take all memory.
    if sum(line.count(".") ** 2 for line in text.split("\n")) > _DOTS:
        raise ValueError("too many dots on a line")
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("not TOML: nested too deeply") from None
    except ValueError as error:  # int() of thousands of digits raises it bare
        raise ValueError(f"not TOML: {one_line(str(error))}") from None


def exposure(status: os.stat_result) -> str:
    """Return `mode 0644` where others can read the file, "" where they cannot.

    The group's right counts only on a file of our own: on root's it is what lets us read it.
    """
    group = stat.S_IRGRP if status.st_uid == os.geteuid() else 0
    exposed = status.st_mode & (stat.S_IROTH | group)
    return f"mode {stat.S_IMODE(status.st_mode):04o}" if exposed else ""


def plain(name: str) -> str:
    """Return a file's name for a message: as it is, quoted where it would break the line."""
    return name if name.isprintable() else repr(name)


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
