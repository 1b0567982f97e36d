"""One ping that a person or a script asked for, on the same way as a run's own reports."""

import os
import time
from collections.abc import Callable
from typing import NamedTuple

from crontify_cli import processes
from crontify_cli.config import Settings
from crontify_cli.delivery.backlog import Backlog, Budget, Sender, Sent, Waits, send
from crontify_cli.delivery.journal import (
    Journal,
    JournalError,
    ReportState,
    completed,
)
from crontify_cli.delivery.outbox import Outbox
from crontify_cli.model import Ending, Outcome, Ping, new_run


class Way(NamedTuple):
    """How the ping goes out.

    state: the state directory. sender: sends one ping. mask: takes secrets out of a text.
    wait: spends a pause. warn: takes a line for a person.
    """

    state: str
    settings: Settings
    sender: Sender
    mask: Callable[[str], str]
    wait: Waits
    warn: Callable[[str], None]


class Result(NamedTuple):
    """What became of the ping. queued: it stands in the journal, to be sent later."""

    sent: Sent
    queued: bool


def report(monitor: str, ping: Ping, way: Way, *, queue: bool) -> Result:
    """Send `ping` for the monitor of that name, its backlog first.

    An outcome is on disk before its first attempt, unless `queue` is False. A start is
    never queued: a late one would have a false time (DESIGN.md, "Delivery rules").
    """
    settings = way.settings
    budget = Budget.after(time.monotonic(), settings.report_timeout, settings.rate_limit_wait)
    if not queue:
        return Result(send(way.sender, ping, budget, way.wait), False)
    owner = processes.identity()
    command = ("crontify", "ping", ping.kind, monitor)
    run = completed(new_run(os.urandom(6).hex(), monitor, command), settings, way.mask)
    report_id = None
    try:
        journal = Journal.open(way.state)
        if ping.kind != "start":
            report_id = journal.finish(run, _ending(ping), ping, owner)
    except (JournalError, OSError) as error:
        way.warn(f"the ping is not in the journal and goes out directly: {error}")
        return Result(send(way.sender, ping, budget, way.wait), False)
    if journal.warning:
        way.warn(journal.warning)
    outbox = Outbox(way.state, journal, settings, way.sender, owner, way.mask, run.id)
    backlog = Backlog()
    try:
        outbox.recover(monitor)
        backlog = outbox.deliver_before(ping.monitor_id, budget, way.wait, report_id)
    except JournalError as error:
        way.warn(f"{error}: what is queued of {monitor} cannot go out first")
    if backlog.left and backlog.failure:  # it must not overtake what came before it
        return Result(backlog.failure, report_id is not None)
    sent = send(way.sender, ping, budget, way.wait)
    if report_id is None:
        return Result(sent, False)
    states: dict[str, ReportState] = {"delivered": "delivered", "refused": "refused"}
    state = states.get(sent.verdict, "queued")
    try:
        journal.settle(report_id, state, error=sent.message, run_id=sent.answer.run_id)
    except JournalError as error:
        way.warn(f"{error}: the report may be sent a second time")
    return Result(sent, state == "queued")


def _ending(ping: Ping) -> Ending:
    outcome: Outcome = "success" if ping.kind == "success" else "fail"
    reason = ping.error_message or f"reported by crontify ping {ping.kind}"
    log = ping.log_output
    return Ending(outcome, reason, None, time.time(), None, ping.meta, log)
