"""The journal of runs and, in the same file, the outbox of their reports.

A report is a row from before its first attempt until it was delivered, superseded
or refused for good, and stays behind as history. Rows are leased: whoever sends one
writes its own name (`processes.identity`) into it first; a lease ends with its holder.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING

from crontify_cli import processes
from crontify_cli.delivery.journal_file import VERSION, JournalError, JournalFile, journal_path
from crontify_cli.delivery.journal_rows import (
    QUEUED,
    RUN_ROWS,
    MonitorQueue,
    Queued,
    ReportState,
    RunRow,
    RunSummary,
    StartState,
    queued,
    run_row,
)
from crontify_cli.delivery.readdress import note_blame
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
    "journal_path",
]


def completed(run: Run, settings: "Settings", mask: Callable[[str], str]) -> Run:
    """Return the run with its monitor's id, the server's address and its command masked."""
    return run._replace(
        monitor_id=settings.monitor(run.monitor).id,
        base_url=settings.base_url,
        command=mask_words(run.command, mask),
    )


LEASE_SECONDS = 300.0
"""How long a lease holds if its holder cannot be seen from here: it belongs to another
machine or another PID namespace."""


class Journal(JournalFile):
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
            self.warning = f"{error}, begun anew"
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
        rows = self.query(f"{RUN_ROWS} WHERE runs.id = ?", (run_id,))
        return next(map(run_row, rows), None)

    def runs(
        self,
        *,
        monitor: str | None = None,
        failed: bool = False,
        since: float | None = None,
        limit: int | None = None,
    ) -> Iterator[RunRow]:
        """Yield runs, the newest first. since: seconds since the epoch, of the run's start."""
        where, values = ["1"], []  # type: list[str], list[object]
        if monitor is not None:
            where, values = [*where, "monitor = ?"], [*values, monitor]
        if failed:
            where.append("outcome IN ('fail', 'tolerated', 'lost')")
        if since is not None:
            where, values = [*where, "started_at >= ?"], [*values, since]
        sql = f"{RUN_ROWS} WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"
        for row in self.query(sql, (*values, -1 if limit is None else limit)):
            yield run_row(row)

    def find_runs(self, name: str, limit: int = 2) -> list[RunRow]:
        """Return the runs that `name` may mean: a remote run id, a local id or its start.

        The newest first.
        """
        end = name[:-1] + chr(ord(name[-1]) + 1) if name else ""
        where = "remote_run_id = ? OR (runs.id >= ? AND runs.id < ?)"
        sql = f"{RUN_ROWS} WHERE {where} ORDER BY seq DESC LIMIT ?"
        return [run_row(row) for row in self.query(sql, (name, name, end, limit))]

    def summaries(
        self, *, monitor: str | None = None, since: float | None = None
    ) -> Iterator[RunSummary]:
        """Yield summaries of the runs that `runs` would yield, in the same order."""
        rows = self.query(
            "SELECT monitor, outcome, started_at, duration FROM runs"
            " WHERE (:monitor IS NULL OR monitor = :monitor)"
            " AND (:since IS NULL OR started_at >= :since) ORDER BY seq DESC",
            {"monitor": monitor, "since": since},
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

    # Reports

    def claim(self, queue: MonitorQueue, limit: int) -> list[Queued]:
        """Lease the oldest queued reports of a monitor, up to the first that somebody holds.

        What is behind that one has to wait for it, or it would arrive first.
        """
        wanted = {**queue._asdict(), "limit": limit}
        where = (
            " WHERE state = 'queued' AND base_url = :base_url AND monitor_id = :monitor_id"
            " AND run_id != :own_run AND (:own_report IS NULL OR id < :own_report)"
            " ORDER BY id LIMIT :limit"
        )
        if not list(self.query(f"SELECT id FROM reports{where}", {**wanted, "limit": 1})):
            return []  # as on most days: without a lock that others wait for
        with self.transaction() as db:
            rows = db.execute(f"{QUEUED}{where}", wanted).fetchall()
            owner = queue.owner
            free = list(takewhile(lambda row: row[-2] == owner or not _is_held(*row[-2:]), rows))
            db.executemany(
                "UPDATE reports SET owner = ?, owned_at = ? WHERE id = ?",
                [(owner, time.time(), row[0]) for row in free],
            )
        return [queued(row) for row in free]

    def newest_report(self, queue: MonitorQueue) -> int:
        """Return the id of a monitor's newest report, whatever became of it; 0 without any."""
        rows = self.query(
            "SELECT max(id) FROM reports WHERE base_url = ? AND monitor_id = ?", queue[:2]
        )
        return int(str(next(rows)[0] or 0))

    def is_contested(self, queue: MonitorQueue) -> bool:
        """Tell whether another living process holds a queued report of this monitor.

        Of two runs that end together only the older one's counts for the other; they would
        wait for each other otherwise.
        """
        rows = self.query(
            "SELECT owner, owned_at FROM reports WHERE state = 'queued' AND base_url = :base_url"
            " AND monitor_id = :monitor_id AND owner IS NOT NULL AND owner != :owner"
            " AND (:own_report IS NULL OR id < :own_report)",
            queue._asdict(),
        )
        return any(_is_held(str(holder), float(str(at))) for holder, at in rows)

    def settle(
        self,
        report_id: int,
        state: ReportState,
        error: str = "",
        run_id: str | None = None,
        blamed: str = "",
    ) -> None:
        """Write down what an attempt brought, and end the lease.

        run_id: the remote run that a delivered report closed, if the server named one.
        blamed: the fingerprint of the settings to correct first, "" for none (`readdress`).
        """
        with self.transaction() as db:
            db.execute(
                "UPDATE reports SET state = ?, attempts = attempts + 1, last_error = ?,"
                " settled_at = ?, owner = NULL, owned_at = NULL WHERE id = ?",
                (state, error or None, time.time(), report_id),
            )
            note_blame(db, report_id, blamed)
            if run_id:
                db.execute(
                    "UPDATE runs SET remote_run_id = coalesce(remote_run_id, ?) WHERE id ="
                    " (SELECT run_id FROM reports WHERE id = ?)",
                    (run_id, report_id),
                )

    def settle_run(self, run_id: str) -> None:
        """Write down that the report of a run was delivered, if it is still queued."""
        rows = self.query("SELECT id FROM reports WHERE run_id = ? AND state = 'queued'", (run_id,))
        for (report_id,) in list(rows):
            self.settle(int(str(report_id)), "delivered")

    def supersede(self, report_ids: Iterable[int]) -> None:
        """Settle successes that newer outcomes made pointless."""
        with self.transaction() as db:
            db.executemany(
                "UPDATE reports SET state = 'superseded', settled_at = ?, owner = NULL,"
                " owned_at = NULL WHERE id = ?",
                [(time.time(), report_id) for report_id in report_ids],
            )

    def renew(self, owner: str, report_ids: Iterable[int]) -> bool:
        """Prolong leases of `owner`; False if one of them has passed to another process."""
        with self.transaction() as db:
            held = [
                db.execute(
                    "UPDATE reports SET owned_at = ? WHERE id = ? AND owner = ?",
                    (time.time(), report_id, owner),
                ).rowcount
                for report_id in report_ids
            ]
        return all(held)

    def release(self, owner: str, report_ids: Iterable[int]) -> None:
        """End leases of `owner` on reports that it did not get to: somebody else may."""
        with self.transaction() as db:
            db.executemany(
                "UPDATE reports SET owner = NULL, owned_at = NULL WHERE id = ? AND owner = ?",
                [(report_id, owner) for report_id in report_ids],
            )

    def requeue_refused(self, base_url: str) -> int:
        """Queue again what the server had refused; return how many reports that are."""
        with self.transaction() as db:
            return db.execute(
                "UPDATE reports SET state = 'queued' WHERE state = 'refused' AND base_url = ?",
                (base_url,),
            ).rowcount

    def queued_monitors(self, base_url: str) -> list[str]:
        """Return the monitor ids that have queued reports, the longest waiting first."""
        rows = self.query(
            "SELECT monitor_id, min(id) FROM reports WHERE state = 'queued' AND base_url = ?"
            " GROUP BY monitor_id ORDER BY 2",
            (base_url,),
        )
        return [str(monitor_id) for monitor_id, _ in rows]

    def queued_elsewhere(self, base_url: str) -> list[tuple[str, int]]:
        """Return which other base URLs have queued reports, and how many."""
        rows = self.query(
            "SELECT base_url, count(*) FROM reports WHERE state = 'queued' AND base_url != ?"
            " GROUP BY base_url",
            (base_url,),
        )
        return [(str(url), int(str(count))) for url, count in rows]

    def queue(self, base_url: str | None = None) -> tuple[int, float | None]:
        """Return how many reports are queued, and when the oldest one's run ended."""
        rows = self.query(
            "SELECT count(*), min(ended_at) FROM reports WHERE state = 'queued'"
            " AND (:base_url IS NULL OR base_url = :base_url)",
            {"base_url": base_url},
        )
        count, oldest = next(rows)
        return int(str(count)), None if oldest is None else float(str(oldest))


def _is_held(holder: str | None, since: float | None) -> bool:
    if holder is None or since is None:
        return False
    alive = processes.is_holder_alive(holder)
    # The other machine's clock may be a little ahead of ours.
    return abs(time.time() - since) < LEASE_SECONDS if alive is None else alive


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
