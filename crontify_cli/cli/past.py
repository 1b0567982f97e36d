"""What the journal knows of the last run of each monitor, for the lists of jobs."""

import statistics
import time
from typing import NamedTuple

from crontify_cli.cli.history import History, Known, known
from crontify_cli.config import load
from crontify_cli.delivery.journal_rows import RunSummary
from crontify_cli.state import state_dir

_AMONG = 20
"""Runs of a monitor that tell its usual duration."""


class Last(NamedTuple):
    """The last run of a monitor. started_at: seconds since the epoch. usual: seconds."""

    outcome: str
    started_at: float
    usual: float | None


class Past:
    """The last runs of monitors; none where there is no journal."""

    def __init__(self) -> None:
        self._history = History(state_dir())
        self._standings: dict[str, Known] | None = None
        self._known: dict[str, Last | None] = {}
        # The runs of a monitor may stand under its alias or under its id.
        monitors = load().settings.monitors
        self._ids = {alias: section.id or alias for alias, section in monitors.items()}

    def of(self, monitor: str) -> Last | None:
        """Return the last run of a monitor, None without one."""
        if monitor not in self._known:
            self._known[monitor] = self._read(monitor)
        return self._known[monitor]

    def _read(self, monitor: str) -> Last | None:
        journal = self._history.journal
        if not journal:
            return None
        wanted = self._ids.get(monitor, monitor)
        names = {monitor, wanted, *(a for a, id_ in self._ids.items() if id_ == wanted)}
        runs = [run for name in sorted(names) for run in journal.newest(name, _AMONG)]
        if not runs:
            return None
        runs.sort(key=lambda run: run[1].started_at, reverse=True)
        took = [run.duration for _, run in runs if run.outcome == "success" and run.duration]
        usual = statistics.median(took) if len(took) > 1 else None
        return Last(self._outcome(*runs[0]), runs[0][1].started_at, usual)

    def _outcome(self, run: str, last: RunSummary) -> str:
        if last.outcome is not None:
            return "failed" if last.outcome == "fail" else last.outcome
        from crontify_cli.cli.runs_rows import entry

        row = self._history.journal and self._history.journal.run(run)
        if not row:
            return "unknown"
        if self._standings is None:
            self._standings = self._history.standings()
        return entry(row, known(row, self._standings), None, time.time()).outcome
