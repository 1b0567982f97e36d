"""Opens the API client of a command that talks to the server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.config import Loaded, Settings, api_key, check_base_url, load
from crontify_cli.delivery.reporter import NO_KEY
from crontify_cli.errors import CrontifyError, say

if TYPE_CHECKING:
    from crontify_cli.delivery.api import Api


class Client(NamedTuple):
    """What it takes to send pings: the settings, the API key, and the client that uses both."""

    settings: Settings
    key: str
    api: "Api"


def load_settings() -> Loaded:
    """Load the settings; print problems and warnings on stderr, and go on with the rest."""
    loaded = load()
    for line in (*loaded.problems, *loaded.warnings):
        say(line)
    return loaded


@contextmanager
def open_client() -> Iterator[Client]:
    """Read the settings and the API key, and open a client for pings.

    Problems and warnings of the config file go to stderr. Raises CrontifyError if there
    is no API key, or if the settings allow no connection.
    """
    settings = load_settings().settings
    key = api_key(settings)
    if key is None:
        raise CrontifyError(NO_KEY)
    with connect(settings, key) as api:
        yield Client(settings, key, api)


def connect(settings: Settings, key: str | None = None, token: str | None = None) -> "Api":
    """Return an API client for `settings`; raises CrontifyError if they allow no connection.

    key: for pings. token: for logs.
    """
    from crontify_cli.delivery.api import open_api  # httpx is slow to import

    check_base_url(settings)
    return open_api(settings, key, token)
