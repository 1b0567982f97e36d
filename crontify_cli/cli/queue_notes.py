"""What `queue`, `status`, `runs`, `flush` and `doctor` say of the reports that wait."""

from collections.abc import Iterable
from typing import NamedTuple

from crontify_cli.cli.moments import brief
from crontify_cli.cli.output import count
from crontify_cli.delivery.delays import plausible
from crontify_cli.delivery.waiting import Waiting


class Note(NamedTuple):
    """One line about the reports that wait for one server.

    found: how many, since when and why. sends: which command sends them.
    is_ours: whether the server is the one in the settings.
    waited: how long the oldest has waited, in seconds.
    """

    found: str
    sends: str
    base_url: str
    is_ours: bool
    reports: int
    waited: float

    @property
    def advice(self) -> str:
        """What to do."""
        return f"'crontify queue' shows {self.them}, {self.sends}"

    @property
    def them(self) -> str:
        """The reports, as a pronoun."""
        return "it" if self.reports == 1 else "them"

    def __str__(self) -> str:
        return f"{self.found}; {self.advice}"


def is_same(server: str, base_url: str) -> bool:
    """Whether two base URLs are of the same server."""
    return server.rstrip("/") == base_url.rstrip("/")


def flush_command(base_url: str) -> str:
    """Return the command that sends what waits for another server than the one in the settings."""
    return f"CRONTIFY_BASE_URL={base_url} crontify flush"


def notes(
    every: Iterable[Waiting], base_url: str, now: float, *, tried: bool = False
) -> list[Note]:
    """Return a note for each server, the one in the settings first.

    every: the oldest first. now: seconds since the epoch. tried: whether they were just sent.
    """
    by_server: dict[str, list[Waiting]] = {}
    for each in every:
        server = base_url if is_same(each.base_url, base_url) else each.base_url
        by_server.setdefault(server, []).append(each)
    servers = sorted(by_server, key=lambda server: server != base_url)
    return [
        _note(server, by_server[server], server == base_url, now, tried and server == base_url)
        for server in servers
    ]


def _note(server: str, group: list[Waiting], ours: bool, now: float, tried: bool) -> Note:
    waited = plausible(now - group[0].since) or 0.0
    died = sum(each.outcome == "died" for each in group)
    whose = f" ({died} of runs that died)" if died else ""
    where = "" if ours else f" for another server, {server}"
    failed = [each for each in group if each.error]
    latest = max(failed, key=lambda each: each.tried_at or 0.0, default=None)
    why = f": {latest.error}" if latest else ""
    oldest = "" if len(group) == 1 else "the oldest "
    queued = f"{count(len(group), 'report')} {'still ' if tried else ''}queued{whose}{where}"
    found = f"{queued}, {oldest}for {brief(waited)}{why}"
    command = "crontify flush" if ours else flush_command(server)
    them = "it" if len(group) == 1 else "them"
    sends = f"'{command}' sends {them}"
    return Note(found, sends, server, ours, len(group), waited)
