"""The targets of channels: which URLs are accepted, and how they are shown."""

from typing import NamedTuple
from urllib.parse import urlsplit

from crontify_cli.sandbox.records import ChannelKind

_MAX_URL = 2_000
_SHOWN = 4  # characters at the end of a secret, to tell two channels apart


class Target(NamedTuple):
    """Where alerts are sent; `url` is `http:`, `https:` or `mailto:`."""

    kind: ChannelKind
    url: str


def parse_target(url: str, kind: ChannelKind | None = None) -> Target:
    """Return the target of a URL; without `kind`, the host tells which service it is.

    Raises ValueError, with a message for the user, for anything but an http or https URL or
    `mailto:` with one address, and if `kind` does not fit the URL.
    """
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > _MAX_URL:
        raise ValueError(f"not a URL of printable ASCII characters, at most {_MAX_URL}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from None
    if parts.scheme == "mailto":
        name, at, domain = parts.path.rpartition("@")
        is_one = not any(char in ',;<>"%@()[]:\\' for char in name + domain)
        if not (name and at and domain and is_one) or parts.query or parts.fragment:
            raise ValueError("write one address, as in mailto:ops@example.com")
    elif parts.scheme not in ("http", "https") or not host:
        raise ValueError("expected an http or https URL, or mailto:ADDRESS")
    found = _guess_kind(parts.scheme, host or "", parts.path)
    if kind and (kind == "email") != (found == "email"):
        raise ValueError(f"a channel of type {kind} needs another kind of URL")
    return Target(kind or found, url)


def _guess_kind(scheme: str, host: str, path: str) -> ChannelKind:
    if scheme == "mailto":
        return "email"
    if host == "hooks.slack.com":
        return "slack"
    if host in ("discord.com", "discordapp.com") and path.startswith("/api/webhooks/"):
        return "discord"
    return "webhook"


def shorten(url: str) -> str:
    """Return the URL without user, path and query, which may be secrets: `https://host/…abcd`."""
    parts = urlsplit(url)
    if parts.scheme == "mailto":
        return parts.path
    host = parts.netloc.rpartition("@")[2]
    secret = f"{parts.path}?{parts.query}#{parts.fragment}".strip("/?#")
    # The end of a short secret would be much of it.
    end = secret[-_SHOWN:] if len(secret) >= 4 * _SHOWN else ""
    return f"{parts.scheme}://{host}/" + (f"…{end}" if secret else "")
