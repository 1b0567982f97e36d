"""The numbers of a run's report: our own, and those that the job gave."""

import os
import stat
from collections.abc import Mapping

from crontify_cli.values import parse_meta

MAX_BYTES = 1024 * 1024
MAX_NAMES = 100
"""Distinct names taken from a job's file; what comes after is named as too much."""
_SHOWN = 3

Numbers = dict[str, int | float]


def usage_meta(
    exit_code: int,
    duration: float,
    user_seconds: float,
    system_seconds: float,
    max_rss: int,
    output: int,
) -> Numbers:
    """Return the numbers that every report has.

    duration, user_seconds, system_seconds: seconds. max_rss: KiB, as wait4(2) of Linux
    gives it. output: bytes that the job wrote.
    """
    return {
        "exit_code": exit_code,
        "duration_ms": round(duration * 1000),
        "user_cpu_ms": round(user_seconds * 1000),
        "system_cpu_ms": round(system_seconds * 1000),
        "max_rss_kb": max_rss,
        "output_bytes": output,
    }


def read_meta_file(path: str) -> tuple[Numbers, list[str]]:
    """Return what a job wrote into `$CRONTIFY_META`, and at most one warning for a person.

    Lines `name=number`; blank ones and those that begin with `#` are passed over, the
    last of a name wins, the last line needs no newline. At most 1 MiB and 100 names
    are read. A file that cannot be read is a warning too.
    """
    try:
        content = _read(path)
    except FileNotFoundError:
        return {}, []  # the job removed it: it has nothing to say
    except OSError as error:
        return {}, [f"CRONTIFY_META could not be read: {error}"]
    numbers: Numbers = {}
    bad = []
    for line in content.decode("utf-8", "replace").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            name, number = parse_meta(line)
        except ValueError as error:
            bad.append(str(error))
            continue
        if name in numbers or len(numbers) < MAX_NAMES:
            numbers[name] = number
        else:
            bad.append(f"more than {MAX_NAMES} names: {name}")
    if not bad:
        return numbers, []
    more = f", and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return numbers, [f"CRONTIFY_META: left out: {'; '.join(bad[:_SHOWN])}{more}"]


def _read(path: str) -> bytes:
    # The job may have put anything there: a pipe must not hold us up.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError("not a regular file any more")
        return file.read(MAX_BYTES)


def merge(automatic: Mapping[str, int | float], *users: Mapping[str, int | float]) -> Numbers:
    """Return all numbers in one; the user's win over ours, later ones over earlier ones."""
    merged = dict(automatic)
    for numbers in users:
        merged |= numbers
    return merged
