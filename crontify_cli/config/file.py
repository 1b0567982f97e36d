"""The config file on disk: finds, reads, parses and replaces it."""

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

from crontify_cli.config.trust import is_foreign, who_can_change
from crontify_cli.errors import CrontifyError, one_line

LARGEST = 1024 * 1024
"""The maximum size of a config file in bytes."""

LOCK_SECONDS = 10.0
"""How long to wait for another process that is changing the file."""

_LOCK = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_DOTS = 4_000_000  # the maximum sum of each line's dots squared: 2,000 dots on one line


class Document(NamedTuple):
    """The content of a config file.

    file: its name; None if there is no config file, which is not an error.
    table: the parsed content; empty if there is a problem.
    problem: why it could not be read, in one line that names the file; "" if it could.
    exposed: its mode if users other than its owner can read it, as `mode 0644`; else "".
    shared: how users other than its owner and root can change it, and what to do; else "".
    """

    file: str | None
    table: Mapping[str, object]
    problem: str = ""
    exposed: str = ""
    shared: str = ""


def find(config_file: str | None, environ: Mapping[str, str]) -> Document:
    """Read `config_file`, or the file in CRONTIFY_CONFIG, or the first default file found.

    A file that is named explicitly must exist; the default files need not. Raises nothing.
    """
    from crontify_cli.places import config_files

    named = config_file or environ.get("CRONTIFY_CONFIG")
    for place in [os.path.expanduser(named)] if named else config_files():
        try:
            return read_existing(place)
        except OSError as error:
            if named:
                return Document(place, {}, _cannot_read(place, error))
    return Document(None, {})


def read_existing(file: str) -> Document:
    """Read a file; raises FileNotFoundError or NotADirectoryError if it does not exist."""
    if file == os.devnull:  # the usual way to ask for no file
        return Document(file, {})
    try:
        content, status = _read(file)
        if is_foreign(status):
            return Document(file, {}, _not_read(file, status))
        shared = who_can_change(file, status)
        return Document(file, parse(content), exposed=exposure(status), shared=shared)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        return Document(file, {}, _cannot_read(file, error))
    except ValueError as error:
        return Document(file, {}, f"{plain(file)}: {error}")


def _not_read(file: str, status: os.stat_result) -> str:
    advice = "change its owner, or use another file with --config"
    return f"{plain(file)} is not read: it belongs to another user (uid {status.st_uid}); {advice}"


def _cannot_read(file: str, error: OSError) -> str:
    return f"cannot read {plain(file)}: {error.strerror or error}"


def read_bytes(file: str) -> tuple[bytes, str]:
    """Return the bytes of a config file, and its `exposure`.

    Raises OSError, and ValueError if it is not a regular file or larger than `LARGEST`.
    """
    content, status = _read(file)
    return content, exposure(status)


def _read(file: str) -> tuple[bytes, os.stat_result]:
    # Non-blocking, so that a FIFO cannot delay a report.
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
        raise ValueError("the file is larger than 1 MiB")
    return content, status


def parse(content: bytes) -> dict[str, object]:
    """Parse TOML; raises ValueError with a message for the user."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"not valid UTF-8 (at line {line})") from None
    if not text.strip():
        return {}
    # tomllib stores every prefix of a dotted key: a line of 100 kB could use up the memory.
    if sum(line.count(".") ** 2 for line in text.split("\n")) > _DOTS:
        raise ValueError("too many dots on a line")
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("not valid TOML: nested too deeply") from None
    except ValueError as error:  # also from int(), for thousands of digits
        raise ValueError(f"not valid TOML: {one_line(str(error))}") from None


def exposure(status: os.stat_result) -> str:
    """Return the mode, as `mode 0644`, if other users can read the file; else "".

    Group permissions count only for our own file: in root's file they may be what allows us
    to read it.
    """
    group = stat.S_IRGRP if status.st_uid == os.geteuid() else 0
    exposed = status.st_mode & (stat.S_IROTH | group)
    return f"mode {stat.S_IMODE(status.st_mode):04o}" if exposed else ""


def plain(name: str) -> str:
    """Return a file name for a message, quoted if it has control characters."""
    return name if name.isprintable() else repr(name)


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
