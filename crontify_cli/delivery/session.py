"""What reporting a run takes: opens settings, key and journal, and writes to the journal."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.delivery.handover import Mask, Prepared
from crontify_cli.delivery.told import Notices, Told
from crontify_cli.errors import CrontifyError
from crontify_cli.model import Run

if TYPE_CHECKING:
    from crontify_cli.config import Loaded, MonitorSettings
    from crontify_cli.delivery.api import Api
    from crontify_cli.delivery.journal import Journal
    from crontify_cli.delivery.outbox import Outbox
    from crontify_cli.delivery.pacing import Pacing
    from crontify_cli.delivery.sending import Sender, SendResult


class Session(NamedTuple):
    """What reporting a run takes; of the thread alone. Without a journal, nothing is queued.

    sender: makes the attempts, by `api`. pacing: says when to send.
    """

    prepared: Prepared
    api: "Api"
    sender: "Sender"
    pacing: "Pacing"
    journal: "Journal | None" = None
    outbox: "Outbox | None" = None


def open_session(
    state: str | None,
    journal: "Journal | None",
    prepared: Prepared,
    api: "Api",
    run: Run,
    owner: str,
) -> Session:
    """Return the session of a run. owner: this process's name on leases."""
    from crontify_cli.delivery.limits import LearningSender
    from crontify_cli.delivery.outbox import Outbox
    from crontify_cli.delivery.pacing import Pacing

    settings = prepared.settings
    run = run._replace(monitor_id=prepared.monitor.id, base_url=settings.base_url)
    if journal is None or state is None:
        return Session(prepared, api, api, Pacing(run))
    sender = LearningSender(api, journal, settings.base_url)
    outbox = Outbox(state, journal, settings, owner, prepared.mask, run.id)
    return Session(prepared, api, sender, Pacing(run, journal), journal, outbox)


def prepare(
    loaded: "Loaded",
    monitor: "MonitorSettings",
    make_mask: "Callable[[MonitorSettings, tuple[str, ...]], Mask]",
) -> Prepared:
    """Return everything that composing a report takes; reads the key.

    make_mask: for a monitor's settings and our secrets, returns what masks the secrets in a text.
    """
    from crontify_cli import config

    settings, key = loaded.settings, None
    obstacle = next(iter(loaded.obstacles), monitor.obstacle)
    try:
        key = config.api_key(settings)
        config.check_base_url(settings)
    except CrontifyError as error:
        obstacle = obstacle or error.message
    secrets = tuple(filter(None, (key, config.token_at_hand(settings))))
    return Prepared(settings, monitor, key, obstacle, make_mask(monitor, secrets))


def open_journal(state: str, run: Run, prepared: Prepared, notices: Notices) -> "Journal | None":
    """Open the journal and write down that `run` has started; return None if that fails."""
    from crontify_cli.delivery.journal import Journal, JournalError, completed

    run = completed(run, prepared.settings, prepared.mask)
    if prepared.obstacle:  # where its report goes is not known yet
        run = run._replace(monitor_id=run.monitor, base_url="")
    for _ in range(2):
        try:
            journal = Journal.open(state)
            if journal.warning:
                notices.say(journal.warning)
            journal.begin(run)
            return journal
        except JournalError as error:
            if not error.is_set_aside:
                # The main thread meets the same error with the final report, and says so.
                notices.trace(str(error))
                return None
            if error.notice:
                notices.say(error.notice)
    return None


def note_sent(journal: "Journal | None", report_id: int, sent: "SendResult", told: Told) -> bool:
    """Write down what became of the report; return False if the journal fails."""
    from crontify_cli.delivery.backlog import settle
    from crontify_cli.delivery.journal import JournalError

    if journal is None:
        return False
    try:
        settle(journal, report_id, sent)
    except JournalError as error:
        told.journal(error)
        return False
    return True


def tidy_up(state: str | None, journal: "Journal | None", prepared: Prepared, told: Told) -> None:
    """Remove what is older than the settings say, if that is due."""
    if state is None:
        return
    from crontify_cli.delivery.journal import JournalError
    from crontify_cli.delivery.retention import tidy

    try:
        if line := tidy(state, journal, prepared.settings):
            told.notices.say(line)
    except JournalError as error:
        told.journal(error)
