"""One ping that a person or a script asked for, sent like the reports of a run."""

import os
import time
from collections.abc import Callable
from typing import NamedTuple

from crontify_cli import processes
from crontify_cli.config import Settings
from crontify_cli.delivery.backlog import Backlog, settle
from crontify_cli.delivery.journal import Journal, JournalError, completed
from crontify_cli.delivery.outbox import Outbox
from crontify_cli.delivery.sending import Deadlines, Delivery, Sender, SendResult, Waits
from crontify_cli.errors import in_words
from crontify_cli.model import Ending, Outcome, Ping, Run, new_run


class Context(NamedTuple):
    """What sending a ping takes.

    state: the state directory. sender: makes one attempt. mask: masks the secrets in a text.
    wait: spends a pause. warn: takes a line for a person. keep: is called when the ping is in
    the queue, where it stays if sending it is interrupted.
    """

    state: str
    settings: Settings
    sender: Sender
    mask: Callable[[str], str]
    wait: Waits
    warn: Callable[[str], None]
    keep: Callable[[], None]


class Result(NamedTuple):
    """What became of the ping. queued: it is in the journal, to be sent later."""

    sent: SendResult
    queued: bool


def send_ping(monitor: str, ping: Ping, context: Context, *, queue: bool) -> Result:
    """Send `ping` for the monitor of that name, after what is queued for it.

    An outcome is on disk before the first attempt, unless `queue` is False. A start is
    never queued: a late one would have a wrong time.
    """
    settings, warn = context.settings, context.warn
    deadlines = Deadlines.after(time.monotonic(), settings.report_timeout, settings.rate_limit_wait)
    delivery = Delivery(context.sender, deadlines, context.wait)
    if not queue:
        return Result(delivery.send(ping), False)
    owner = processes.identity()
    run = _run(monitor, ping, settings, context.mask)
    report_id = None
    try:
        journal = Journal.open(context.state)
        if ping.kind != "start":
            report_id = journal.finish(run, _ending(ping), ping, owner)
            context.keep()
    except (JournalError, OSError) as error:
        warn(f"the ping is not in the journal and is sent directly: {in_words(error)}")
        return Result(delivery.send(ping), False)
    if journal.warning:
        warn(journal.warning)
    outbox = Outbox(context.state, journal, settings, owner, context.mask, run.id)
    backlog = Backlog()
    try:
        outbox.recover(monitor)
        outbox.readdress(context.sender, monitor)
        backlog = outbox.deliver_before(ping.monitor_id, delivery, report_id)
    except JournalError as error:
        warn(f"{error}: what is queued for {monitor} cannot be sent first")
    if backlog.holds_back and backlog.failure:  # it must not overtake what came before it
        return Result(backlog.failure, report_id is not None)
    sent = delivery.send(ping)
    if report_id is None:
        return Result(sent, False)
    try:
        settle(journal, report_id, sent)
    except JournalError as error:
        warn(f"{error}: the report may be sent a second time")
    return Result(sent, sent.report_state == "queued")


def _run(monitor: str, ping: Ping, settings: Settings, mask: Callable[[str], str]) -> Run:
    command = ("crontify", "ping", ping.kind, monitor)
    return completed(new_run(os.urandom(6).hex(), monitor, command), settings, mask)


def _ending(ping: Ping) -> Ending:
    outcome: Outcome = "success" if ping.kind == "success" else "fail"
    reason = ping.error_message or f"reported by crontify ping {ping.kind}"
    log = ping.log_output
    return Ending(outcome, reason, None, time.time(), None, ping.meta, log)
