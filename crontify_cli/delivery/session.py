"""Opens what reporting a run takes: the settings and the key, and the journal."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.delivery.handover import Mask, Prepared
from crontify_cli.delivery.told import Notices
from crontify_cli.errors import CrontifyError
from crontify_cli.model import Run

if TYPE_CHECKING:
    from crontify_cli.config import Loaded, MonitorSettings
    from crontify_cli.delivery.api import Api
    from crontify_cli.delivery.journal import Journal
    from crontify_cli.delivery.outbox import Outbox


class Session(NamedTuple):
    """What reporting a run takes; of the thread alone. Without a journal, nothing is queued."""

    prepared: Prepared
    api: "Api"
    journal: "Journal | None"
    outbox: "Outbox | None"


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
            notices.say(f"{error}, begun anew")
    return None
