"""The outbox in the journal: the reports that are queued, who sends them, and what came of it.

A report is a row from before its first attempt until it was delivered, superseded
or refused for good, and stays behind as history. Rows are leased: whoever sends one
writes its own name (`processes.identity`) into it first; a lease ends with its holder.
"""

import time
from collections.abc import Iterable
from itertools import takewhile

from crontify_cli import processes
from crontify_cli.delivery.journal_file import JournalFile
from crontify_cli.delivery.journal_rows import QUEUED, MonitorQueue, Queued, ReportState, queued
from crontify_cli.delivery.limits import note_accepted
from crontify_cli.delivery.readdress import note_blame

LEASE_SECONDS = 300.0
"""How long a lease holds if its holder cannot be seen from here: it belongs to another
machine or another PID namespace."""


class JournalQueue(JournalFile):
    """The queued reports of an open journal. Every method raises JournalError if the file fails."""

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
            free = list(takewhile(lambda row: row[-2] == owner or not is_held(*row[-2:]), rows))
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
        return any(is_held(str(holder), float(str(at))) for holder, at in rows)

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
            if state == "delivered":
                where = "SELECT base_url, monitor_id FROM reports WHERE id = ?"
                for base_url, monitor_id in db.execute(where, (report_id,)).fetchall():
                    note_accepted(db, base_url, monitor_id)
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

    def queue(self, base_url: str | None = None) -> tuple[int, float | None]:
        """Return how many reports are queued, and when the oldest one's run ended."""
        rows = self.query(
            "SELECT count(*), min(ended_at) FROM reports WHERE state = 'queued'"
            " AND (:base_url IS NULL OR base_url = :base_url)",
            {"base_url": base_url},
        )
        count, oldest = next(rows)
        return int(str(count)), None if oldest is None else float(str(oldest))


def is_held(holder: str | None, since: float | None) -> bool:
    """Tell whether a lease holds; since: when it was taken, in seconds since the epoch."""
    if holder is None or since is None:
        return False
    alive = processes.is_holder_alive(holder)
    # The other machine's clock may be a little ahead of ours.
    return abs(time.time() - since) < LEASE_SECONDS if alive is None else alive
