"""The config files on disk: finds, reads and parses config.toml, and conf.d/*.toml next to it."""

import os
import stat
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from crontify_cli.config.trust import is_foreign, who_can_add, who_can_change
from crontify_cli.errors import one_line
from crontify_cli.places import config_files, files_in, folder_of

LARGEST = 1024 * 1024
"""The maximum size of a config file in bytes."""

_DOTS = 4_000_000  # the maximum sum of each line's dots squared: 2,000 dots on one line


class Document(NamedTuple):
    """The content of a config file.

    file: its name. table: the parsed content; empty if there is a problem.
    problem: why it could not be read, in one line that names the file; "" if it could.
    exposed: its mode if users other than its owner can read it, as `mode 0644`; else "".
    shared: how users other than its owner and root can change it, and what to do; else "".
    """

    file: str
    table: Mapping[str, object]
    problem: str = ""
    exposed: str = ""
    shared: str = ""


def find(config_file: str | None, environ: Mapping[str, str]) -> list[Document]:
    """Read `config_file`, or the file in CRONTIFY_CONFIG, or the first default place in use.

    The files of conf.d follow; each takes precedence over those before it. A file that is named
    explicitly must exist, the default files need not. Raises nothing.
    """
    if named := config_file or environ.get("CRONTIFY_CONFIG"):
        return read_place(os.path.expanduser(named), must_exist=True)
    return next(filter(None, map(read_place, config_files())), [])


def read_place(file: str, *, must_exist: bool = False) -> list[Document]:
    """Read a config file and the folder conf.d next to it; return nothing if neither exists.

    must_exist: a missing `file` is a problem; a link that leads nowhere always is.
    """
    if file == os.devnull:  # the usual way to ask for no file
        return [Document(file, {})]
    try:
        documents = [read_existing(file)]
    except OSError as error:
        is_missed = must_exist or os.path.islink(file)  # what a link leads to may not be mounted
        documents = [Document(file, {}, _cannot_read(file, error))] if is_missed else []
    return [*documents, *_read_folder(folder_of(file))]


def read_existing(file: str) -> Document:
    """Read a file; raises FileNotFoundError or NotADirectoryError if it does not exist."""
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


def _read_folder(folder: str) -> Iterator[Document]:
    """Read the files of a conf.d; those that are removed meanwhile are left out."""
    try:
        files = files_in(folder)
    except FileNotFoundError:
        return  # as on most machines
    except (OSError, ValueError) as error:
        if os.path.exists(folder):
            yield Document(folder, {}, _cannot_read(folder, error))
        return
    shared = who_can_add(folder) if files else ""
    for file in files:
        try:
            document = read_existing(file)
        except OSError as error:
            if not os.path.lexists(file):
                continue
            document = Document(file, {}, _cannot_read(file, error))
        yield document._replace(shared=shared or document.shared)


def _not_read(file: str, status: os.stat_result) -> str:
    advice = "change its owner, or use another file with --config"
    return f"{plain(file)} is not read: it belongs to another user (uid {status.st_uid}); {advice}"


def _cannot_read(file: str, error: Exception) -> str:
    return f"cannot read {plain(file)}: {getattr(error, 'strerror', None) or error}"


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
