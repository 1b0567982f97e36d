"""What a monitor's runs come to: how many, how often well, how long, and how it last failed."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from crontify_cli.cli.moments import utc
from crontify_cli.delivery.journal import Lap, RunRow

COLUMNS = ("monitor", "runs", "success rate", "p50", "p95", "last failure", "run", "message")
"""The columns in a pipe."""

RECENT = 60
"""Runs whose durations are kept one by one, for the sparkline."""

_RAN = ("success", "fail", "tolerated")
_FAILED = ("fail", "tolerated", "lost")


class Recent(NamedTuple):
    """One of the newest runs: seconds, and whether it was a success."""

    duration: float
    succeeded: bool


class Stats(NamedTuple):
    """One monitor's statistics; a run that goes on or was skipped counts in none but its own.

    runs: success + failed + tolerated + lost. success_rate: 0 to 1, None without runs; a
    tolerated failure is none. p50, p95: seconds, by nearest rank, of the runs that came to
    an end of their own (not lost). recent: the newest, the oldest of them first.
    """

    monitor: str
    runs: int
    success: int
    failed: int
    tolerated: int
    lost: int
    skipped: int
    success_rate: float | None
    p50: float | None
    p95: float | None
    recent: tuple[Recent, ...]
    last_run_at: float
    last_failure: RunRow | None = None


def collect(laps: Iterable[Lap], limit: int | None = None) -> list[Stats]:
    """Return the statistics of each monitor, by name; laps: newest first within a monitor.

    limit: how many of each monitor's newest runs count.
    """
    by_monitor: defaultdict[str, list[Lap]] = defaultdict(list)
    for lap in laps:
        counted = by_monitor[lap.monitor]
        if limit is None or len(counted) < limit:
            counted.append(lap)
    return [_stats(monitor, by_monitor[monitor]) for monitor in sorted(by_monitor)]


def has_failed(stats: Stats) -> bool:
    """Whether any of the runs failed, tolerated or not."""
    return stats.failed + stats.tolerated + stats.lost > 0


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile of ascending values; None of none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _stats(monitor: str, laps: Sequence[Lap]) -> Stats:
    count: defaultdict[str | None, int] = defaultdict(int)
    for lap in laps:
        count[lap.outcome] += 1
    ended = [lap for lap in laps if lap.outcome in _RAN and lap.duration is not None]
    durations = sorted(lap.duration or 0.0 for lap in ended)
    runs = count["success"] + sum(count[outcome] for outcome in _FAILED)
    recent = [Recent(lap.duration or 0.0, lap.outcome == "success") for lap in ended[:RECENT]]
    return Stats(
        monitor,
        runs,
        count["success"],
        count["fail"],
        count["tolerated"],
        count["lost"],
        count["skipped"],
        count["success"] / runs if runs else None,
        percentile(durations, 0.5),
        percentile(durations, 0.95),
        tuple(reversed(recent)),
        max(lap.started_at for lap in laps),
    )


def as_json(stats: Stats) -> dict[str, object]:
    """Return the monitor's object: docs/output.md names the keys. Times are UTC, spans seconds."""
    failure = stats.last_failure
    return {
        "monitor": stats.monitor,
        "runs": stats.runs,
        "success": stats.success,
        "failed": stats.failed,
        "tolerated": stats.tolerated,
        "lost": stats.lost,
        "skipped": stats.skipped,
        "success_rate": _rounded(stats.success_rate),
        "p50": _rounded(stats.p50),
        "p95": _rounded(stats.p95),
        "durations": [_rounded(recent.duration) for recent in stats.recent],
        "last_run_at": utc(stats.last_run_at),
        "last_failure": failure
        and {
            "run": failure.id,
            "started_at": utc(failure.started_at),
            "exit_code": failure.exit_code,
            "message": failure.message or failure.reason,
        },
    }


def as_fields(stats: Stats) -> tuple[object, ...]:
    """Return the values of `COLUMNS`; None for what is not known."""
    failure = stats.last_failure
    return (
        stats.monitor,
        stats.runs,
        *(
            None if number is None else f"{number:.3f}"
            for number in (stats.success_rate, stats.p50, stats.p95)
        ),
        failure and utc(failure.started_at),
        failure and failure.id,
        failure and (failure.message or failure.reason),
    )


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)
