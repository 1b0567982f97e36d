"""Opens the API client of a command that talks to the server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from crontify_cli.config import Settings, api_key, check_base_url, load
from crontify_cli.delivery.api import Api, open_api
from crontify_cli.delivery.reporter import NO_KEY
from crontify_cli.errors import CrontifyError, say


class Client(NamedTuple):
    """What it takes to send pings: the settings, the API key, and the client that uses both."""

    settings: Settings
    key: str
    api: Api


@contextmanager
def open_client() -> Iterator[Client]:
    """Read the settings and the API key, and open a client for pings.

    Problems and warnings of the config file go to stderr. Raises CrontifyError if there
    is no API key, or if the settings allow no connection.
    """
    loaded = load()
    for line in (*loaded.problems, *loaded.warnings):
        say(line)
    key = api_key(loaded.settings)
    if key is None:
        raise CrontifyError(NO_KEY)
    with connect(loaded.settings, key) as api:
        yield Client(loaded.settings, key, api)


def connect(settings: Settings, key: str | None = None, token: str | None = None) -> Api:
    """Return an API client for `settings`; raises CrontifyError if they allow no connection.

    key: for pings. token: for logs.
    """
    check_base_url(settings)
    return open_api(settings, key, token)
