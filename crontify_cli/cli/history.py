"""The journal as a command reads it: which runs are meant, and which of them go on."""

import heapq
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from crontify_cli.delivery.journal import Journal, JournalError, Lap, RunRow, journal_path
from crontify_cli.errors import CrontifyError
from crontify_cli.places import state_dir

if TYPE_CHECKING:
    from crontify_cli.config import Settings


class History:
    """What the state directory `state` knows of runs; empty where nothing ran yet.

    Its methods raise JournalError.
    """

    def __init__(self, state: str) -> None:
        self.state = state
        self.journal = None
        if os.path.exists(journal_path(state)):
            self.journal = Journal.open(state, create=False)
            if self.journal.warning:
                print(f"crontify: {self.journal.warning}", file=sys.stderr)

    def runs(
        self,
        names: tuple[str, ...],
        *,
        failed: bool = False,
        since: float | None = None,
        limit: int | None = None,
    ) -> Iterator[RunRow]:
        """Yield runs of the monitors called `names`, of every one if there are none; newest first.

        since: seconds since the epoch.
        """
        if not self.journal:
            return
        journal = self.journal
        streams = [
            journal.runs(monitor=name, failed=failed, since=since, limit=limit)
            for name in names or (None,)
        ]
        merged = heapq.merge(*streams, key=lambda row: row.seq, reverse=True)
        for count, row in enumerate(merged):
            if limit is not None and count >= limit:
                return
            yield row

    def laps(self, names: tuple[str, ...], *, since: float | None = None) -> Iterator[Lap]:
        """Yield what statistics need of the runs that `runs` would yield, each name's in turn."""
        if self.journal:
            for name in names or (None,):
                yield from self.journal.laps(monitor=name, since=since)

    def living(self) -> frozenset[str]:
        """Return the local ids of the runs whose wrapper lives."""
        from crontify_cli.delivery.recovery import has_wrapper, live_runs

        return frozenset(live.run for live in live_runs(self.state) if has_wrapper(live.path))


def open_history() -> History:
    """Return this user's history; raises CrontifyError."""
    try:
        return History(state_dir())
    except (JournalError, OSError) as error:
        raise CrontifyError(str(error)) from None


def names_of(monitor: str, settings: "Settings") -> tuple[str, ...]:
    """Return the names under which runs of `monitor` may stand in the journal.

    A run is kept under the name that was typed: the alias, or the id behind it.
    """
    wanted = settings.monitor(monitor).id
    aliases = [alias for alias, section in settings.monitors.items() if section.id == wanted]
    return tuple(dict.fromkeys((monitor, wanted, *aliases)))
