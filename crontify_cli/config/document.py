"""The config file as it stands on disk: found, read, parsed, never trusted."""

import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

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


def one_line(text: str) -> str:
    """Return `text` on one line, without what a terminal would act on."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
