"""The journal of runs and, in the same file, the outbox of their reports (`journal_queue`)."""

import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from crontify_cli.delivery.journal_file import VERSION, JournalError, has_journal, journal_path
from crontify_cli.delivery.journal_marks import run_rows
from crontify_cli.delivery.journal_queue import JournalQueue
from crontify_cli.delivery.journal_rows import (
    MonitorQueue,
    Queued,
    ReportState,
    RunRow,
    RunSummary,
    StartState,
    run_row,
)
from crontify_cli.delivery.limits import note_accepted
from crontify_cli.model import Ending, Ping, Run
from crontify_cli.report.mask import mask_words

if TYPE_CHECKING:
    import sqlite3

    from crontify_cli.config import Settings

__all__ = [
    "VERSION",
    "Journal",
    "JournalError",
    "MonitorQueue",
    "Queued",
    "ReportState",
    "RunRow",
    "RunSummary",
    "StartState",
    "has_journal",
    "journal_path",
]


def completed(run: Run, settings: "Settings", mask: Callable[[str], str]) -> Run:
    """Return the run with its monitor's id, the server's address and its command masked."""
    return run._replace(
        monitor_id=settings.monitor(run.monitor).id,
        base_url=settings.base_url,
        command=mask_words(run.command, mask),
    )


class Journal(JournalQueue):
    """An open journal. Every method raises JournalError if the file fails it."""

    # Runs

    def begin(self, run: Run) -> None:
        """Write down that `run` has started; nothing if it stands there already."""
        with self.transaction() as db:
            _begin(db, run)

    def note_start(self, run_id: str, state: StartState, remote_run_id: str | None) -> None:
        """Write down what became of the start ping."""
        with self.transaction() as db:
            db.execute(
                "UPDATE runs SET start_state = ?, remote_run_id = coalesce(?, remote_run_id)"
                " WHERE id = ?",
                (state, remote_run_id, run_id),
            )
            if state == "acknowledged":
                where = "SELECT base_url, monitor_id FROM runs WHERE id = ?"
                for base_url, monitor_id in db.execute(where, (run_id,)).fetchall():
                    note_accepted(db, base_url, monitor_id)

    def failures_in_a_row(self, monitor: str) -> int:
        """Return how many runs of `monitor` failed since its last success."""
        rows = self.query(
            "SELECT count(*) FROM runs WHERE monitor = :monitor"
            " AND outcome IN ('fail', 'tolerated', 'lost') AND seq > coalesce("
            "(SELECT max(seq) FROM runs WHERE monitor = :monitor AND outcome = 'success'), 0)",
            {"monitor": monitor},
        )
        return int(str(next(rows)[0]))

    def finish(
        self,
        run: Run,
        ending: Ending,
        ping: Ping | None,
        owner: str | None,
        *,
        is_sent: bool = False,
    ) -> int | None:
        """Write down a run's end together with its report, durably; return the report's id.

        owner: who sends the report now, None to leave it to whoever comes first.
        is_sent: the report was delivered without the journal, so that it is not queued.
        None is returned where there is no report, or where the run had ended already.
        If the file turns out to be corrupt, it goes into the one that is begun anew, and
        `warning` says so.
        """
        try:
            return self._finish(run, ending, ping, owner, is_sent)
        except JournalError as error:
            if not error.is_set_aside:
                raise
            self.warning = error.notice or None
            return self._finish(run, ending, ping, owner, is_sent)

    def _finish(
        self, run: Run, ending: Ending, ping: Ping | None, owner: str | None, is_sent: bool
    ) -> int | None:
        with self.transaction(durable=True) as db:
            _begin(db, run)
            changed = db.execute(
                # The run may have begun while the settings could not be read.
                "UPDATE runs SET monitor_id = ?, base_url = ?, outcome = ?, reason = ?,"
                " exit_code = ?, ended_at = ?, duration = ?, meta = ?, excerpt = ?"
                " WHERE id = ? AND outcome IS NULL",
                (
                    run.monitor_id,
                    run.base_url,
                    ending.outcome,
                    ending.reason,
                    ending.exit_code,
                    ending.ended_at,
                    ending.duration,
                    json.dumps(dict(ending.meta)),
                    ending.excerpt,
                    run.id,
                ),
            ).rowcount
            if not changed or ping is None:
                return None
            return db.execute(
                "INSERT INTO reports (run_id, base_url, monitor_id, kind, meta, error_message,"
                " log_output, ended_at, owner, owned_at, state, settled_at)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    run.id,
                    run.base_url,
                    ping.monitor_id,
                    ping.kind,
                    json.dumps(dict(ping.meta)),
                    ping.error_message,
                    ping.log_output,
                    ending.ended_at,
                    owner,
                    time.time() if owner else None,
                    "delivered" if is_sent else "queued",
                    ending.ended_at if is_sent else None,
                ),
            ).lastrowid

    def run(self, run_id: str) -> RunRow | None:
        """Return the run with exactly this local id."""
        rows = self.query(f"{run_rows(self)} WHERE runs.id = ?", (run_id,))
        return next(map(run_row, rows), None)

    def runs(
        self,
        *,
        monitor: str | None = None,
        failed: bool = False,
        unsettled: bool = False,
        since: float | None = None,
        until: float | None = None,
        limit: int | None = None,
    ) -> Iterator[RunRow]:
        """Yield runs, the newest first.

        unsettled: only those that have no end in the journal, or whose report is queued.
        since, until: when the run started, in seconds since the epoch.
        """
        where, values = ["1"], []  # type: list[str], list[object]
        if monitor is not None:
            where, values = [*where, "monitor = ?"], [*values, monitor]
        if failed:
            where.append("outcome IN ('fail', 'tolerated', 'lost')")
        if unsettled:
            queued = "runs.id IN (SELECT run_id FROM reports WHERE state = 'queued')"
            where.append(f"(outcome IS NULL OR {queued})")
        if since is not None:
            where, values = [*where, "started_at >= ?"], [*values, since]
        if until is not None:
            where, values = [*where, "started_at <= ?"], [*values, until]
        sql = f"{run_rows(self)} WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"
        for row in self.query(sql, (*values, -1 if limit is None else limit)):
            yield run_row(row)

    def find_runs(self, name: str, limit: int = 2) -> list[RunRow]:
        """Return the runs that `name` may mean: a remote run id, a local id or its start.

        The newest first.
        """
        end = name[:-1] + chr(ord(name[-1]) + 1) if name else ""
        where = "remote_run_id = ? OR (runs.id >= ? AND runs.id < ?)"
        sql = f"{run_rows(self)} WHERE {where} ORDER BY seq DESC LIMIT ?"
        return [run_row(row) for row in self.query(sql, (name, name, end, limit))]

    def summaries(
        self,
        *,
        monitor: str | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> Iterator[RunSummary]:
        """Yield summaries of the runs that `runs` would yield, in the same order."""
        rows = self.query(
            "SELECT monitor, outcome, started_at, duration FROM runs"
            " WHERE (:monitor IS NULL OR monitor = :monitor)"
            " AND (:since IS NULL OR started_at >= :since)"
            " AND (:until IS NULL OR started_at <= :until) ORDER BY seq DESC",
            {"monitor": monitor, "since": since, "until": until},
        )
        yield from map(RunSummary._make, rows)

    def recent_successes(self, monitor: str, among: int = 100) -> list[float]:
        """Return how long the successes took, in seconds, among a monitor's newest runs."""
        rows = self.query(
            "SELECT duration FROM (SELECT outcome, duration FROM runs WHERE monitor = ?"
            " ORDER BY seq DESC LIMIT ?) WHERE outcome = 'success' AND duration IS NOT NULL",
            (monitor, among),
        )
        return [float(str(duration)) for (duration,) in rows]

    def newest(self, monitor: str, among: int = 20) -> list[tuple[str, RunSummary]]:
        """Return the newest runs of a monitor, each with its local id, the newest first."""
        rows = self.query(
            "SELECT id, monitor, outcome, started_at, duration FROM runs WHERE monitor = ?"
            " ORDER BY seq DESC LIMIT ?",
            (monitor, among),
        )
        return [(str(row[0]), RunSummary._make(row[1:])) for row in rows]


def _begin(db: "sqlite3.Connection", run: Run) -> None:
    db.execute(
        "INSERT INTO runs (id, monitor, monitor_id, base_url, command, wrapper_pid,"
        " wrapper_start, job_pid, job_start, boot_id, started_at)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING",
        (
            run.id,
            run.monitor,
            run.monitor_id,
            run.base_url,
            json.dumps(run.command),
            *run.wrapper,
            *run.job,
            run.boot_id,
            run.started_at,
        ),
    )
