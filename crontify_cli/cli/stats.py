"""Statistics of a monitor: number of runs, success rate, durations, and the last failure."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from crontify_cli.cli.moments import rounded, utc
from crontify_cli.delivery.journal import RunRow, RunSummary

RECENT = 60
"""How many of the newest durations are kept, for the sparkline."""

_RAN = ("success", "fail", "tolerated")
_FAILED = ("fail", "tolerated", "lost")


class Recent(NamedTuple):
    """One of the newest runs. duration: in seconds."""

    duration: float
    succeeded: bool


class Stats(NamedTuple):
    """One monitor's statistics. Running and skipped runs are not part of `runs`.

    runs: success + failed + tolerated + lost.
    success_rate: from 0 to 1, None without runs; a tolerated failure is not a success.
    p50, p95: nearest-rank percentiles of the durations in seconds, without lost runs.
    recent: the newest runs, of these the oldest first.
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


def collect(runs: Iterable[RunSummary], limit: int | None = None) -> list[Stats]:
    """Return the statistics of each monitor, sorted by name.

    runs: of each monitor the newest first. limit: how many runs of each monitor count.
    """
    by_monitor: defaultdict[str, list[RunSummary]] = defaultdict(list)
    for run in runs:
        counted = by_monitor[run.monitor]
        if limit is None or len(counted) < limit:
            counted.append(run)
    return [_stats(monitor, by_monitor[monitor]) for monitor in sorted(by_monitor)]


def has_failed(stats: Stats) -> bool:
    """Whether any run failed, including tolerated failures."""
    return stats.failed + stats.tolerated + stats.lost > 0


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile of ascending values, None if there are none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _stats(monitor: str, runs: Sequence[RunSummary]) -> Stats:
    count = Counter(run.outcome for run in runs)
    ended = [
        Recent(run.duration, run.outcome == "success")
        for run in runs
        if run.outcome in _RAN and run.duration is not None
    ]
    durations = sorted(run.duration for run in ended)
    total = count["success"] + sum(count[outcome] for outcome in _FAILED)
    return Stats(
        monitor,
        total,
        count["success"],
        count["fail"],
        count["tolerated"],
        count["lost"],
        count["skipped"],
        count["success"] / total if total else None,
        percentile(durations, 0.5),
        percentile(durations, 0.95),
        tuple(reversed(ended[:RECENT])),
        max(run.started_at for run in runs),
    )


def as_json(stats: Stats) -> dict[str, object]:
    """Return the JSON object; docs/output.md describes its keys."""
    failure = stats.last_failure
    return {
        "monitor": stats.monitor,
        "runs": stats.runs,
        "success": stats.success,
        "failed": stats.failed,
        "tolerated": stats.tolerated,
        "lost": stats.lost,
        "skipped": stats.skipped,
        "success_rate": rounded(stats.success_rate),
        "p50": rounded(stats.p50),
        "p95": rounded(stats.p95),
        "durations": [rounded(recent.duration) for recent in stats.recent],
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
    """Return the columns of a line in a pipe, as `crontify runs --help` lists them."""
    failure = stats.last_failure
    numbers = (stats.success_rate, stats.p50, stats.p95)
    return (
        stats.monitor,
        stats.runs,
        *(None if number is None else f"{number:.3f}" for number in numbers),
        failure and utc(failure.started_at),
        failure and failure.id,
        failure and (failure.message or failure.reason),
    )
