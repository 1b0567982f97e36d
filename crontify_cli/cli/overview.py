"""How each monitor stands, by the journal: for `status` and `queue`."""

from collections import Counter, defaultdict
from itertools import takewhile
from typing import NamedTuple

from crontify_cli.cli.history import History, Known, known
from crontify_cli.cli.rhythm import AMONG, Rhythm, rhythm
from crontify_cli.cli.runs_rows import Entry, entry
from crontify_cli.config import Settings
from crontify_cli.delivery.journal import RunSummary
from crontify_cli.delivery.overview import monitors
from crontify_cli.delivery.waiting import Waiting

FAILED = ("failed", "lost", "died")
"""Outcomes of a run that count as a failure; a tolerated failure is reported as a success."""
_NO_END = ("running", "unknown", "skipped")


class Standing(NamedTuple):
    """How one monitor stands.

    monitor: its alias, or else its id.
    last: its last run that has ended and was not skipped.
    failures: how many runs failed in a row, up to the last.
    running: its runs that are going on, the newest first.
    queued: how many reports wait.
    last_start: when its newest run started, in seconds since the epoch.
    due: when the next run should start by the usual rhythm, None without one.
    overdue: whether that is longer ago than any pause so far.
    """

    monitor: str
    monitor_id: str
    last: Entry | None
    failures: int
    running: tuple[Entry, ...]
    queued: int
    last_start: float
    rhythm: Rhythm | None
    due: float | None
    overdue: bool

    @property
    def has_failed(self) -> bool:
        """Whether the last run failed."""
        return self.last is not None and self.last.outcome in FAILED


def standings(
    history: History, settings: Settings, waiting: list[Waiting], now: float
) -> list[Standing]:
    """Return how each monitor of the journal stands, by name; raises JournalError.

    now: seconds since the epoch.
    """
    if not history.journal:
        return []
    by_id: defaultdict[str, list[str]] = defaultdict(list)
    for name in monitors(history.journal):
        by_id[settings.monitor(name).id].append(name)
    queued = Counter(each.monitor_id for each in waiting)
    records = history.standings()
    found = [
        _standing(history, monitor_id, names, queued[monitor_id], records, now)
        for monitor_id, names in by_id.items()
    ]
    return sorted(found, key=lambda each: each.monitor)


def _standing(
    history: History,
    monitor_id: str,
    names: list[str],
    queued: int,
    records: dict[str, Known],
    now: float,
) -> Standing:
    assert history.journal
    runs = [run for name in names for run in history.journal.newest(name, AMONG)]
    runs.sort(key=lambda run: run[1].started_at, reverse=True)
    seen: dict[str, Entry] = {}

    def outcome(run: str, summary: RunSummary) -> str:
        if summary.outcome is not None:
            return "failed" if summary.outcome == "fail" else summary.outcome
        return full(run).outcome

    def full(run: str) -> Entry:
        if run not in seen:
            row = history.journal and history.journal.run(run)
            assert row
            seen[run] = entry(row, known(row, records), history.usual_duration(row.monitor), now)
        return seen[run]

    outcomes = [(run, outcome(run, summary)) for run, summary in runs]
    ended = [(run, how) for run, how in outcomes if how not in _NO_END]
    usual = rhythm([summary.started_at for _, summary in runs])
    last_start = runs[0][1].started_at
    is_running = any(how == "running" for _, how in outcomes)
    return Standing(
        next((name for name in names if name != monitor_id), names[0]),
        monitor_id,
        full(ended[0][0]) if ended else None,
        len(list(takewhile(lambda each: each[1] in FAILED, ended))),
        tuple(full(run) for run, how in outcomes if how == "running"),
        queued,
        last_start,
        usual,
        last_start + usual.usual if usual else None,
        usual is not None and not is_running and usual.is_overdue(now - last_start),
    )


def next_start(every: list[Standing], now: float) -> float | None:
    """Return when the next run of any monitor should start; None if no rhythm tells.

    now, and what is returned: seconds since the epoch.
    """
    return min((each.due for each in every if each.due and each.due > now), default=None)
