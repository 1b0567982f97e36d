"""The numbers in a report: those that crontify measures, and those that the user adds."""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from crontify_cli.state import open_file
from crontify_cli.values import parse_meta

if TYPE_CHECKING:
    from resource import struct_rusage

BUILT_IN = frozenset(
    (
        *("exit_code", "duration_ms", "user_cpu_ms", "system_cpu_ms", "max_rss_kb"),
        *("output_bytes", "late_seconds", "late_failures", "tolerated_failures"),
    )
)
"""The names of the numbers that crontify itself adds to a report; others are the job's own."""
_MOST_BYTES = 1024 * 1024
_MOST_NAMES = 100
_MOST_NAMED = 3
"""How many invalid lines a warning quotes; further ones are only counted."""


def usage_meta(
    exit_code: int | None, duration: float, usage: "struct_rusage | None", output_bytes: int
) -> dict[str, int | float]:
    """Return the numbers that are reported for every run.

    exit_code: of the job, 128 + N for a signal; None if the job did not end.
    duration: seconds.
    usage: of the job and the children it waited for; None if unknown.
    output_bytes: the size of its output, on both streams.
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
    """Return the numbers that a job wrote to `$CRONTIFY_META`, and warnings for the user.

    Each line is `name=number`; the last line with a name wins. Blank lines and lines that
    begin with `#` are ignored. At most 1 MiB is read, and at most 100 names are kept.
    Invalid lines are listed in one warning, and the others still count. A missing file is
    treated like an empty one.
    """
    try:
        data = _read(path)
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        return {}, [f"cannot read $CRONTIFY_META: {error.strerror or error}"]
    too_long = len(data) > _MOST_BYTES
    if too_long:  # the last line may be cut within a number
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
        bad.append(f"only the first {_MOST_BYTES:,} bytes were read")
    return meta, [_warning(bad)] if bad else []


def _read(path: str) -> bytes:
    with open(open_file(path, os.O_RDONLY | os.O_NOCTTY), "rb") as file:
        return file.read(_MOST_BYTES + 1)


def _warning(bad: list[str]) -> str:
    more = f"; and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else ""
    return "$CRONTIFY_META: " + "; ".join(bad[:_MOST_NAMED]) + more


def merge(*sources: Mapping[str, int | float]) -> dict[str, int | float]:
    """Return all numbers; if a name occurs twice, the later source wins."""
    return {name: number for source in sources for name, number in source.items()}


def has_own_numbers(meta: Mapping[str, int | float]) -> bool:
    """Tell whether a report has numbers of the job's own next to those that crontify adds."""
    return not BUILT_IN.issuperset(meta)
