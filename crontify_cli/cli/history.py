"""Reads the history of runs from the journal, for the commands that show runs."""

import heapq
import itertools
import statistics
from collections.abc import Iterator
from typing import NamedTuple

from crontify_cli import processes
from crontify_cli.config import Settings
from crontify_cli.delivery.journal import Journal, RunRow, RunSummary, has_journal
from crontify_cli.delivery.records import Standing, live_runs, look
from crontify_cli.errors import say
from crontify_cli.record import Record


class Known(NamedTuple):
    """What is known of a run that has no end in the journal. record: None if unreadable."""

    standing: Standing
    record: Record | None = None


def known(row: RunRow, standings: dict[str, Known]) -> Known:
    """Return what is known of a run that has no end in the journal.

    Without a record, as after a full disk, only its wrapper can be looked for.
    """
    if found := standings.get(row.id):
        return found
    is_here = row.boot_id == processes.boot_id() and row.wrapper[1] > 0
    return Known("running" if is_here and processes.is_alive(*row.wrapper) else "unknown")


class History:
    """The runs recorded in the state directory `state`; empty if there is no journal yet.

    Everything raises JournalError if the journal cannot be read.
    """

    def __init__(self, state: str) -> None:
        self.state = state
        self.journal = None
        self._usual: dict[str, float | None] = {}
        if has_journal(state):
            self.journal = Journal.open(state, create=False)
            if self.journal.warning:
                say(self.journal.warning)

    def runs(
        self,
        names: tuple[str, ...],
        *,
        failed: bool = False,
        unsettled: bool = False,
        since: float | None = None,
        until: float | None = None,
        limit: int | None = None,
    ) -> Iterator[RunRow]:
        """Yield the runs of the monitors in `names`, or of all monitors; the newest first.

        unsettled, since, until: as for `Journal.runs`.
        """
        if not self.journal:
            return
        journal = self.journal
        streams = [
            journal.runs(
                monitor=name,
                failed=failed,
                unsettled=unsettled,
                since=since,
                until=until,
                limit=limit,
            )
            for name in names or (None,)
        ]
        merged = heapq.merge(*streams, key=lambda row: row.seq, reverse=True)
        yield from itertools.islice(merged, limit)

    def summaries(
        self, names: tuple[str, ...], *, since: float | None = None, until: float | None = None
    ) -> Iterator[RunSummary]:
        """Yield summaries of the same runs, one monitor name after the other."""
        if self.journal:
            for name in names or (None,):
                yield from self.journal.summaries(monitor=name, since=since, until=until)

    def usual_duration(self, monitor: str) -> float | None:
        """Return the median duration of a monitor's recent successes, in seconds.

        None unless there are two.
        """
        if monitor not in self._usual:
            durations = self.journal.recent_successes(monitor) if self.journal else []
            self._usual[monitor] = statistics.median(durations) if len(durations) > 1 else None
        return self._usual[monitor]

    def standings(self) -> dict[str, Known]:
        """Return what the records know of their runs, by local id."""
        return {live.run: Known(*look(live)) for live in live_runs(self.state)}


def names_of(monitor: str, settings: Settings) -> tuple[str, ...]:
    """Return the names under which the journal may have runs of `monitor`.

    A run is recorded under the name that was typed: an alias, or the monitor id.
    """
    wanted = settings.monitor(monitor).id
    aliases = [alias for alias, section in settings.monitors.items() if section.id == wanted]
    return tuple(dict.fromkeys((monitor, wanted, *aliases)))
