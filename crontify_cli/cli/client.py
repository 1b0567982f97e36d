"""Opens the API client of a command that talks to the server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.config import Loaded, Settings, api_key, check_base_url, load
from crontify_cli.delivery.told import NO_KEY
from crontify_cli.errors import CrontifyError, say

if TYPE_CHECKING:
    from crontify_cli.delivery.api import Api
    from crontify_cli.delivery.stage import Trying


CORRECT_FIRST = "nothing was sent: correct the settings first, then try again"


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
    is no API key, or if the settings allow no connection or have a problem because of
    which nothing must be sent.
    """
    client = client_for(read_settings().settings)
    with client.api:
        yield client


def client_for(settings: Settings, observe: "Callable[[Trying], None] | None" = None) -> Client:
    """Read the API key, and return a client for pings; raises CrontifyError as `open_client`.

    observe: told how far each ping has come.
    """
    key = api_key(settings)
    if key is None:
        raise CrontifyError(NO_KEY)
    return Client(settings, key, connect(settings, key, observe=observe))


def read_settings() -> Loaded:
    """Read the settings, and print their problems and warnings on stderr.

    Raises CrontifyError if a setting is wrong without which nothing must be sent.
    """
    loaded = load_settings()
    if loaded.obstacles:
        raise CrontifyError(CORRECT_FIRST)
    return loaded


def connect(
    settings: Settings,
    key: str | None = None,
    token: str | None = None,
    *,
    observe: "Callable[[Trying], None] | None" = None,
) -> "Api":
    """Return an API client for `settings`; raises CrontifyError if they allow no connection.

    key: for pings. token: for logs. observe: told how far each ping has come.
    """
    from crontify_cli.delivery.api import open_api  # httpx is slow to import

    check_base_url(settings)
    return open_api(settings, key, token, observe=observe or (lambda _: None))
