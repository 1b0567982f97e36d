"""A journal of runs of days gone by."""

import sqlite3
import time

from crontify_cli.delivery.journal import Journal, ReportState
from crontify_cli.model import Ending, Outcome, Ping, Run
from crontify_cli.state import state_dir


class Past:
    """A journal that tests fill with runs of days gone by.

    All of its times count from `now`, however long the test takes.
    """

    def __init__(self) -> None:
        self.journal = Journal.open(state_dir())
        self.now = time.time()
        self.count = 0

    def run(
        self,
        monitor: str,
        outcome: Outcome | None = "success",
        *,
        ago: float = 60,
        duration: float = 10,
        code: int = 0,
        report: ReportState | None = "delivered",
        late: float = 0,
        message: str | None = None,
        error: str = "",
        server: str = "http://x",
    ) -> str:
        """Write down a run; ago: seconds since its start, late: from its end to its report's."""
        self.count += 1
        run_id = f"{self.count:012x}"
        began = self.now - ago
        run = Run(run_id, monitor, monitor, server, ("job",), (1, 1), (1, 1), "boot", began)
        if outcome is None:
            self.journal.begin(run)
            return run_id
        ending = Ending(outcome, f"exited with code {code}", code, began + duration, duration)
        kind = "fail" if outcome == "fail" else "success"
        ping = Ping(monitor, kind, error_message=message) if report else None
        report_id = self.journal.finish(run, ending, ping, None)
        if report_id and (report != "queued" or error):
            self.journal.settle(report_id, report or "queued", error=error, run_id=f"clr{run_id}")
            self._settled(report_id, ending.ended_at + late)
        return run_id

    def _settled(self, report_id: int, at: float) -> None:
        # The journal's own clock is this machine's: how fast that is must not show.
        db = sqlite3.connect(self.journal.path)
        with db:
            db.execute("UPDATE reports SET settled_at = ? WHERE id = ?", (at, report_id))
        db.close()
