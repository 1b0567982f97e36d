"""The outbox in the journal: the reports that are queued, who sends them, and what came of it.

A report is a row from before its first attempt until it was delivered, superseded
or refused for good, and stays behind as history. Rows are leased: whoever sends one
writes its own name (`processes.identity`) into it first; a lease ends with its holder.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from crontify_cli import processes
from crontify_cli.delivery.delays import plausible, since_end
from crontify_cli.delivery.journal_file import JournalFile
from crontify_cli.delivery.journal_marks import (
    fold,
    forget,
    included,
    note_trouble,
    note_unanswered,
    troubled_since,
    unanswered_at,
)
from crontify_cli.delivery.journal_rows import (
    CANDIDATES,
    QUEUED,
    QUEUED_OF,
    MonitorQueue,
    Queued,
    ReportState,
    queued,
)
from crontify_cli.delivery.limits import note_accepted
from crontify_cli.delivery.lineup import (
    SENT,
    Candidate,
    Lineup,
    Live,
    Seen,
    line_up,
    what_it_closes,
)
from crontify_cli.delivery.readdress import note_blame
from crontify_cli.report.meta import has_own_numbers

if TYPE_CHECKING:
    import sqlite3

LEASE_SECONDS = 300.0
"""How long a lease holds if its holder cannot be seen from here: it belongs to another
machine or another PID namespace."""

_NEWEST = 1000
"""How many runs, the newest ones, are searched for one that goes on."""
_NEWEST_BEGUN = (
    "SELECT max(seq) FROM runs WHERE seq >= ? AND base_url = ? AND monitor_id = ?"
    " AND start_state IN ('acknowledged', 'unknown')"
)


class JournalQueue(JournalFile):
    """The queued reports of an open journal. Every method raises JournalError if the file fails."""

    def claim(
        self,
        queue: MonitorQueue,
        live: Sequence[str] = (),
        *,
        before_start: bool = False,
        gives_way: bool = False,
    ) -> Lineup | None:
        """Decide what to do with a monitor's queued reports, and lease those to be sent.

        What is superseded or folded is written down. live: the local ids of the monitor's runs
        that go on here, except our own; found before this call, so that the report of a run
        that ends meanwhile is seen. before_start, gives_way: as in `Seen`.
        Returns None if another living process holds one of the reports: what is behind that one
        has to wait for it, or it would arrive first.
        """
        if not list(self.query(f"SELECT 1 FROM reports{QUEUED_OF} LIMIT 1", queue._asdict())):
            return Lineup()  # as on most days: without a lock that others wait for
        now = time.time()
        with self.transaction() as db:
            rows = db.execute(f"{CANDIDATES}{QUEUED_OF} ORDER BY reports.id", queue._asdict())
            candidates = []
            for *values, owner, owned_at in rows:
                if owner != queue.owner and is_held(owner, owned_at):
                    return None
                candidates.append(_candidate(values, troubled_since(db, values[0]), now))
            seen = self._seen(queue, candidates, live)
            seen = seen._replace(before_start=before_start, gives_way=gives_way)
            lineup = line_up(candidates, seen)
            _supersede(db, lineup.superseded, now)
            if lineup.leader is not None:
                fold(db, lineup.leader, lineup.folded, now)
            db.executemany(
                "UPDATE reports SET owner = ?, owned_at = ? WHERE id = ?",
                [(queue.owner, now, report_id) for report_id in lineup.send],
            )
        return lineup

    def report(self, report_id: int) -> Queued:
        """Return a report with its contents, and what it includes."""
        row = next(self.query(f"{QUEUED} WHERE id = ?", (report_id,)))
        return queued(row)._replace(included=included(self, report_id))

    def would_close(self, run_id: str, live: Sequence[str]) -> bool:
        """Tell whether the report of a run would close another run, which goes on here.

        live: as in `claim`.
        """
        own, *others = (self._live(each) for each in (run_id, *live))
        return what_it_closes(own.seq or 0, own.start_state, others) == "open"

    def unended(self, base_url: str, monitor_id: str) -> list[str]:
        """Return the monitor's runs that have no end here and whose wrapper lives, by local id."""
        rows = self.query(
            "SELECT id, wrapper_pid, wrapper_start FROM runs"
            " WHERE seq > (SELECT max(seq) FROM runs) - ? AND outcome IS NULL"
            " AND base_url = ? AND monitor_id = ? AND boot_id = ? AND wrapper_start > 0",
            (_NEWEST, base_url, monitor_id, processes.boot_id()),
        )
        return [
            str(run)
            for run, pid, began in rows
            if processes.is_alive(int(str(pid)), int(str(began)))
        ]

    def _seen(
        self,
        queue: MonitorQueue,
        candidates: Sequence[Candidate],
        live: Sequence[str],
    ) -> Seen:
        monitor = queue.base_url, queue.monitor_id

        def newest(condition: str) -> int:
            where = f"base_url = ? AND monitor_id = ?{condition} ORDER BY id DESC LIMIT 1"
            return _number(self.query(f"SELECT id FROM reports WHERE {where}", monitor))

        begun = [each.seq for each in candidates if each.start_state in SENT]
        started = iter(
            # The runs since then are worth a look only if one of these was begun.
            self.query(_NEWEST_BEGUN, (max(begun), *monitor)) if begun else ()
        )
        return Seen(
            newest(""),
            newest(" AND state = 'delivered'"),
            newest(" AND state = 'delivered' AND kind = 'fail'"),
            _number(started),
            tuple(map(self._live, live)),
        )

    def _live(self, run_id: str) -> Live:
        rows = self.query("SELECT seq, start_state FROM runs WHERE id = ?", (run_id,))
        return Live._make(next(rows, (None, None)))

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
        *,
        is_trouble: bool = False,
        unanswered_at: float | None = None,
    ) -> None:
        """Write down what an attempt brought, and end the lease.

        run_id: the remote run that a delivered report closed, if the server named one.
        blamed: the fingerprint of the settings to correct first, "" for none (`readdress`).
        is_trouble: whether the server answered that it has failed (5xx).
        unanswered_at: when it was last sent without getting an answer, None for never.
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
            if state != "queued":
                forget(db, [report_id])
            if is_trouble:
                note_trouble(db, report_id, time.time())
            if unanswered_at and state == "queued":
                note_unanswered(db, report_id, unanswered_at)
            if run_id:
                db.execute(
                    "UPDATE runs SET remote_run_id = coalesce(remote_run_id, ?) WHERE id ="
                    " (SELECT run_id FROM reports WHERE id = ?)",
                    (run_id, report_id),
                )

    def unanswered_at(self, report_id: int) -> float | None:
        """Return when a queued report was last sent without getting an answer, None for never."""
        return unanswered_at(self, report_id)

    def settle_run(self, run_id: str) -> None:
        """Write down that the report of a run was delivered, if it is still queued."""
        rows = self.query("SELECT id FROM reports WHERE run_id = ? AND state = 'queued'", (run_id,))
        for (report_id,) in list(rows):
            self.settle(int(str(report_id)), "delivered")

    def supersede(self, report_ids: Sequence[int]) -> None:
        """Settle successes that newer outcomes made pointless."""
        with self.transaction() as db:
            _supersede(db, report_ids, time.time())

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


def _number(rows: Iterator[tuple[object, ...]]) -> int:
    """Return the number in the first row, 0 without any."""
    return int(str(next(rows, (None,))[0] or 0))


def _supersede(db: "sqlite3.Connection", report_ids: Sequence[int], now: float) -> None:
    db.executemany(
        "UPDATE reports SET state = 'superseded', settled_at = ?, owner = NULL, owned_at = NULL"
        " WHERE id = ?",
        [(now, report_id) for report_id in report_ids],
    )
    forget(db, report_ids)


def _candidate(values: Sequence[object], since: float | None, now: float) -> Candidate:
    """Return what a row of `CANDIDATES` says; since: when the server began to fail on it."""
    number, kind, meta, ended_at, seq, state, boot_id, started, duration = values
    age = since_end(
        ended_at,  # type: ignore[arg-type]  # as the schema has them, here and below
        now,
        boot_id=boot_id,  # type: ignore[arg-type]
        started=started,  # type: ignore[arg-type]
        duration=duration,  # type: ignore[arg-type]
    )
    numbers = has_own_numbers(json.loads(str(meta)))
    trouble = None if since is None else plausible(now - since)
    return Candidate(number, kind, seq, state, numbers, age, trouble)  # type: ignore[arg-type]
