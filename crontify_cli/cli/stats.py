"""The rows of `crontify runs --stats`, one per monitor: for JSON, a pipe and a table."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.cli.moments import ago, brief, rounded, utc
from crontify_cli.cli.table import Column, View, cause, draw_table, sparkline, text
from crontify_cli.delivery.journal import RunRow, RunSummary
from crontify_cli.delivery.pace import percentile

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

RECENT = 60
"""How many of the newest durations are kept, for the sparkline."""

_RAN = ("success", "fail", "tolerated")
_FAILED = ("fail", "tolerated", "lost")
_NARROWEST = 8
"""Characters of the shortest sparkline that is worth drawing."""


class Stats(NamedTuple):
    """One monitor's statistics. Running and skipped runs are not part of `runs`.

    runs: success + failed + tolerated + lost.
    success_rate: from 0 to 1, None without runs; a tolerated failure is not a success.
    p50, p95: nearest-rank percentiles of the durations in seconds, without lost runs.
    durations: the newest runs that have a duration, of these the oldest first.
    rate_limit: the plan's seconds from one ping of the monitor to the next, None for no
        known limit.
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
    durations: tuple[RunSummary, ...]
    last_run_at: float
    last_failure: RunRow | None = None
    rate_limit: float | None = None


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


def _stats(monitor: str, runs: Sequence[RunSummary]) -> Stats:
    count = Counter(run.outcome for run in runs)
    ended = [run for run in runs if run.outcome in _RAN and run.duration is not None]
    durations = sorted(run.duration or 0.0 for run in ended)
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
    return stats._asdict() | {
        "success_rate": rounded(stats.success_rate),
        "p50": rounded(stats.p50),
        "p95": rounded(stats.p95),
        "durations": [rounded(run.duration) for run in stats.durations],
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
        stats.rate_limit and f"{stats.rate_limit:g}",
    )


def stats_table(every: Sequence[Stats], view: View) -> "list[Table]":
    """Return the table: numbers, the newest durations (failures in red), and the last failure."""
    wide = view.width >= 120
    columns: list[Column[Stats]] = [
        Column("Monitor", 0, lambda stats: text(stats.monitor), least=_NARROWEST),
        Column("Runs", 2, lambda stats: text(str(stats.runs)), right=True),
        Column("Success", 1, lambda stats: _rate(stats.success_rate), right=True),
        Column("p50", 3, lambda stats: _span(stats.p50), right=True),
        Column("p95", 4, lambda stats: _span(stats.p95), right=True),
        Column(
            "Durations",
            6,
            lambda stats: _durations(stats.durations[-24 if wide else -40 :], view),
            least=_NARROWEST,
            keeps_end=True,
        ),
        Column(
            "Last failure",
            5,
            lambda stats: _failure(stats, view.now, with_cause=wide),
            least=len("Last failure"),
        ),
    ]
    if any(stats.rate_limit for stats in every):
        columns.insert(5, Column("Limit", 7, lambda stats: _span(stats.rate_limit), right=True))
    return [draw_table(every, columns, view.width)]


def _rate(rate: float | None) -> "Text":
    if rate is None:
        return text("-")
    colour = "green" if rate >= 0.99 else "yellow" if rate >= 0.9 else "bold red"
    # A rate below 1 is never rounded up to 100 %.
    percent = min(rate * 100, 99.9) if rate < 1 else 100.0
    return text((f"{percent:.1f}%", colour))


def _span(seconds: float | None) -> "Text":
    return text("-" if seconds is None else brief(seconds))


def _durations(recent: Sequence[RunSummary], view: View) -> "Text":
    blocks = sparkline([run.duration or 0.0 for run in recent], ascii_only=view.ascii_only)
    colours = ("green" if run.outcome == "success" else "red" for run in recent)
    return text(*zip(blocks, colours, strict=True))


def _failure(stats: Stats, now: float, *, with_cause: bool) -> "Text":
    row = stats.last_failure
    if row is None:
        return text(("never", "dim"))
    words = cause(row.message or row.reason or "", row.exit_code)
    return text(ago(now - row.started_at), (f"  {words}" if with_cause else "", "dim"))
