"""Finds runs whose wrapper could not report them, and queues the reports from their records.

A run's record (`crontify_cli.record`) is locked as long as its wrapper lives. Whoever
gets the lock of a dead one holds the right to report it; the journal holds the rest
of "exactly once": a run ends there but one time. A report says what the record knows,
and no more: a wrapper counts as killed only where nothing else is known.
"""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

from crontify_cli import record
from crontify_cli.config import MonitorSettings
from crontify_cli.delivery.journal import Journal
from crontify_cli.delivery.records import (
    Live,
    end,
    has_living_job,
    how_it_was_lost,
    last_change,
    live_runs,
    locked,
    may_report,
    remove,
)
from crontify_cli.model import Ending, Outcome, Run
from crontify_cli.report.compose import Output, compose
from crontify_cli.report.locallog import write_log
from crontify_cli.report.mask import Masker, mask_words
from crontify_cli.report.meta import read_meta_file
from crontify_cli.report.patterns import redaction
from crontify_cli.report.verdict import Facts, judge, read_rules

_NOT_ITSELF = "its own process could not report it"
_UNKNOWN = "the job's outcome is unknown"


class Target(NamedTuple):
    """Where a monitor's reports go, and what its settings say of them."""

    base_url: str
    monitor: MonitorSettings


def recover(
    state: str,
    journal: Journal,
    mask: Callable[[str], str],
    target: Callable[[str], Target],
    *,
    own: str = "",
    is_wanted: Callable[[str], bool] = lambda _monitor: True,
) -> list[str]:
    """Queue a report for each run that nobody else reports; return the local ids of those.

    mask: masks secrets in a text; what the run's record, its monitor and its flags name is
        added to it.
    target: for a monitor's name, where its reports go.
    own: the run of this very process, left alone. is_wanted: of which monitors.
    Raises JournalError.
    """
    recovered = []
    others = [live for live in live_runs(state) if live.run != own and is_wanted(live.monitor)]
    # The journal's newest report is to be that of the newest run.
    for live in sorted(others, key=end):
        with locked(live) as lock:
            if lock is None:
                continue
            goes_on = not may_report(lock.found, live) if lock.found else has_living_job(live)
            if goes_on:
                continue
            row = journal.run(live.run)
            is_sent = bool(lock.found and lock.found.state == record.REPORTED)
            if row is None or row.outcome is None:
                where = target(live.monitor)
                if row and row.base_url:
                    where = Target(row.base_url, where.monitor._replace(id=row.monitor_id))
                stored = _report(state, journal, mask, where, live, lock.found, is_sent=is_sent)
                if stored and not is_sent:
                    recovered.append(live.run)
            elif is_sent:
                journal.settle_run(live.run)
            remove(live)
    return recovered


def _report(
    state: str,
    journal: Journal,
    mask: Callable[[str], str],
    where: Target,
    live: Live,
    found: record.Record | None,
    *,
    is_sent: bool,
) -> bool:
    """Write the run's end into the journal; False if it is there already.

    is_sent: its report was delivered before, so that it is not queued.
    """
    if found is None:
        return _report_unreadable(journal, where, live)
    monitor = where.monitor
    masker = Masker(found.secrets or (), shapes=monitor.mask_shapes)

    def mask_run(text: str) -> str:
        return mask(masker(text))

    run_mask = redaction(mask_run, [*monitor.redact, *found.redact])
    no_log = bool(monitor.no_log) if found.no_log is None else found.no_log
    ending = _ending(journal, found, live, monitor, "" if is_sent else f"; {_NOT_ITSELF}")
    output = _output(found)
    succeeded = ending.outcome in ("success", "tolerated")
    size = {} if found.is_ping else {"output_bytes": found.total}
    meta = {**ending.meta, **size, **read_meta_file(record.meta_path(live.path))[0]}
    ping, log = compose(
        monitor.id, succeeded, ending.reason, meta, output, run_mask, with_log=not no_log
    )
    run = Run(
        live.run,
        live.monitor,
        monitor.id,
        where.base_url,
        mask_words(found.command, run_mask),
        found.wrapper,
        found.job,
        found.boot_id,
        found.started / 1e9,
    )
    ending = ending._replace(
        reason=run_mask(ending.reason), meta=ping.meta, excerpt=ping.log_output
    )
    with contextlib.suppress(OSError):
        if not is_sent:  # else its own process has kept it, from more than its record may hold
            write_log(state, live.run, log)
    return journal.finish(run, ending, ping, None, is_sent=is_sent) is not None


def _output(found: record.Record) -> Output:
    """Return the output of a run; nothing if it may hold secrets that nobody knows."""
    if found.secrets is None:
        return Output(b"", 0, b"")
    output = Output(found.head, found.dropped, found.tail)
    # Where nobody saw the end, the last line printed is not its cause.
    return output if found.status is None else output._replace(errors=output.end())


def _report_unreadable(journal: Journal, where: Target, live: Live) -> bool:
    """Report a run of which only the name of its record is left."""
    reason = f"the record of the run cannot be read, {_UNKNOWN}"
    at = last_change(live)
    ping, _ = compose(where.monitor.id, False, reason, {}, Output(b"", 0, b""), str)
    run = Run(live.run, live.monitor, where.monitor.id, where.base_url, (), (0, 0), (0, 0), "", at)
    return journal.finish(run, Ending("lost", reason, None, at, None), ping, None) is not None


def _ending(
    journal: Journal, found: record.Record, live: Live, monitor: MonitorSettings, note: str
) -> Ending:
    """Return how a run ended, as far as its record knows; note: what to add to the reason."""
    started = found.started / 1e9
    if not found.ended:
        ended = max(started, last_change(live))
        return Ending("lost", f"{how_it_was_lost(found)}, {_UNKNOWN}", None, ended, None)
    ended = found.ended / 1e9
    if found.is_ping:
        kind: Outcome = "success" if found.state == record.SUCCEEDED else "fail"
        return Ending(kind, found.problem, None, ended, None)
    duration = max(0.0, ended - started)
    meta = {"duration_ms": round(duration * 1000)}
    if found.status is None:  # there was no job, or the record is of version 1
        code = found.exit_code
        succeeded = found.state == record.SUCCEEDED
        reason = found.problem or f"ended with exit code {code}"
    else:
        rules = read_rules(found.rules, monitor)
        verdict = judge(Facts(found.status, duration, found.timed_out), rules)
        succeeded, code, reason = verdict
        failures = journal.failures_in_a_row(live.monitor) + 1 if not succeeded else 0
        if 0 < failures <= rules.tolerate:
            meta |= {"exit_code": code, "tolerated_failures": failures}
            return Ending("tolerated", reason, code, ended, duration, meta)
    outcome: Outcome = "success" if succeeded else "fail"
    meta |= {"exit_code": code}
    return Ending(outcome, f"{reason}{note}", code, ended, duration, meta)
