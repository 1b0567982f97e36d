"""The numbers of a final report: ours, and those that the job and its user add.

DESIGN.md, "Report": the user's win over ours.
"""

import os
import stat
import sys
from collections.abc import Mapping
from typing import Protocol

from crontify_cli.values import parse_meta

_MOST_BYTES = 1024 * 1024
_MOST_NAMES = 100
_MOST_NAMED = 3
"""Bad lines that the warning quotes; the others it counts."""


class Usage(Protocol):
    """What `os.wait4` says of a job; `resource.struct_rusage` is one."""

    @property
    def ru_utime(self) -> float: ...
    @property
    def ru_stime(self) -> float: ...
    @property
    def ru_maxrss(self) -> int: ...


def usage_meta(
    exit_code: int | None, duration: float, usage: Usage | None, output_bytes: int
) -> dict[str, int | float]:
    """Return what we know of every run.

    exit_code: the job's, 128 + N for a signal; None where the job never ended.
    duration: seconds.
    usage: the job's, with the children that it waited for; None where it is unknown.
    output_bytes: everything it printed, on both streams.
    """
    meta: dict[str, int | float] = {} if exit_code is None else {"exit_code": exit_code}
    meta["duration_ms"] = round(duration * 1000)
    if usage:
        meta["user_cpu_ms"] = round(usage.ru_utime * 1000)
        meta["system_cpu_ms"] = round(usage.ru_stime * 1000)
        # getrusage(2): kilobytes; bytes on macOS.
        meta["max_rss_kb"] = usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    meta["output_bytes"] = output_bytes
    return meta


def read_meta_file(path: str) -> tuple[dict[str, int | float], list[str]]:
    """Return the numbers that a job wrote to `$CRONTIFY_META`, and warnings for a person.

    A line is `name=number`, the last of a name counts; blank lines and lines that
    begin with `#` are comments. At most 1 MiB is read, and 100 names are kept. What
    is wrong is named in one warning and costs nothing else; a file that the job has
    removed is as good as an empty one.
    """
    try:
        data = _read(path)
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        return {}, [f"$CRONTIFY_META could not be read: {error.strerror}"]
    too_long = len(data) > _MOST_BYTES
    if too_long:  # half a number would be another number
        data = data[: data.rfind(b"\n") + 1]
    meta: dict[str, int | float] = {}
    bad: list[str] = []
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            name, value = parse_meta(text)
            if name not in meta and len(meta) == _MOST_NAMES:
                raise ValueError(f"more than {_MOST_NAMES} names")
            meta[name] = value
        except ValueError as error:
            bad.append(f"line {number}: {error}")
    if too_long:
        bad.append(f"what is past {_MOST_BYTES:,} bytes was not read")
    return meta, [_warning(bad)] if bad else []


def _read(path: str) -> bytes:
    # The job could have put anything there; a FIFO must not hang us.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is not a file any more")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(_MOST_BYTES + 1)
    finally:
        os.close(descriptor)


def _warning(bad: list[str]) -> str:
    more = f"; and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else ""
    return "$CRONTIFY_META: " + "; ".join(bad[:_MOST_NAMED]) + more


def merge(
    automatic: Mapping[str, int | float], *users: Mapping[str, int | float]
) -> dict[str, int | float]:
    """Return all numbers; of one name the user's win over ours, and a later over an earlier."""
    merged = dict(automatic)
    for numbers in users:
        merged |= numbers
    return merged
