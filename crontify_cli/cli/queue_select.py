"""Opens the queue for `crontify queue retry` and `discard`, and chooses reports from it."""

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from crontify_cli import processes
from crontify_cli.config import Settings, api_key
from crontify_cli.delivery.journal import Journal
from crontify_cli.delivery.outbox import Outbox
from crontify_cli.delivery.waiting import waiting
from crontify_cli.errors import CrontifyError, in_words, say
from crontify_cli.report.mask import Masker
from crontify_cli.report.secrets import known_secrets
from crontify_cli.state import state_dir

_SHOWN = 5


class OpenQueue(NamedTuple):
    """The journal, and what it takes to recover dead runs and to send from it."""

    journal: Journal
    outbox: Outbox
    settings: Settings


class Chosen(NamedTuple):
    """A report that was chosen. state: "queued" or "refused"."""

    run: str
    monitor: str
    monitor_id: str
    base_url: str
    outcome: str
    state: str


def open_queue(settings: Settings) -> OpenQueue:
    """Open the queue of this user; raises CrontifyError."""
    state = state_dir()
    try:
        journal = Journal.open(state)
    except OSError as error:
        raise CrontifyError(in_words(error)) from None
    if journal.warning:
        say(journal.warning)
    key = ""
    with suppress(CrontifyError):  # a key that cannot be read here cannot be masked
        key = api_key(settings) or ""
    mask = Masker(known_secrets(), (key,), shapes=False)
    outbox = Outbox(state, journal, settings, processes.identity(), mask)
    return OpenQueue(journal, outbox, settings)


def choose(queue: OpenQueue, names: Iterable[str]) -> list[Chosen]:
    """Return the reports of these monitors and runs, the oldest first; without names, of all.

    names: a monitor by its alias or id, or a run by its id or the beginning of it. Only a run
        that is named also stands for a refused report.
    Raises CrontifyError if a name stands for no report, or for more than one run.
    """
    found = [
        Chosen(*each[:5], "queued")
        for each in waiting(queue.outbox.state, queue.journal, queue.settings)
    ]
    if not names:
        return found
    wanted: dict[str, Chosen] = {}
    for name in names:
        wanted |= {each.run: each for each in _named(queue, found, name)}
    order = {each.run: at for at, each in enumerate(found)}
    return sorted(wanted.values(), key=lambda each: order.get(each.run, -1))


def _named(queue: OpenQueue, found: list[Chosen], name: str) -> list[Chosen]:
    monitor_id = queue.settings.monitor(name).id
    of_monitor = [each for each in found if name == each.monitor or each.monitor_id == monitor_id]
    if of_monitor:
        return of_monitor
    runs = [each for each in found if name and each.run.startswith(name)]
    runs += [
        Chosen(row.id, row.monitor, row.monitor_id, row.base_url, row.outcome or "", "refused")
        for row in queue.journal.find_runs(name, 100)
        if row.report == "refused"
    ]
    if not runs:
        raise CrontifyError(f"no queued report of {name}; 'crontify queue' lists those there are")
    if len(runs) > 1:
        ids = ", ".join(each.run for each in runs[:_SHOWN])
        raise CrontifyError(f"run id {name} is ambiguous: it matches {ids}; type more of it")
    return runs
