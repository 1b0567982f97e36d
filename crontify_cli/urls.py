"""The parts of a URL: of a simple one without a URL library, which takes long to load."""

import re
from typing import NamedTuple

DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}

# What every URL library reads in the same way: nothing to normalize, decode or refuse.
_SIMPLE = (
    r"(https?|socks5h?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::([1-9][0-9]{0,4}))?"
    r"((?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?)"
)


class Url(NamedTuple):
    """The parts of a URL, in ASCII.

    host: without brackets. port: None for the scheme's own. path: what a request names, with
    the query; may be empty. userinfo: `USER:PASSWORD`, percent-encoded.
    """

    scheme: str
    host: str
    port: int | None
    path: str = ""
    userinfo: str = ""

    @property
    def netloc(self) -> str:
        """Host and port, as the header `Host` has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int | None]:
        """What has to be the same for a key to go there too."""
        return self.scheme, self.host, self.port

    @property
    def where(self) -> tuple[str, int]:
        """Host and port to connect to."""
        return self.host, self.port or DEFAULT_PORTS[self.scheme]

    def __str__(self) -> str:
        user = f"{self.userinfo}@" if self.userinfo else ""
        return f"{self.scheme}://{user}{self.netloc}{self.path}"


def simple(text: str) -> Url | None:
    """Return the parts of a URL that every library reads alike, or None for any other text."""
    found = re.fullmatch(_SIMPLE, text)
    if not found:
        return None
    scheme, host, port, path = found.groups()
    number = int(port) if port else None
    if number in (DEFAULT_PORTS[scheme], 0) or (number or 0) > 65535:
        return None
    if host.rpartition(".")[2].isdigit() and not is_ipv4(host):
        return None
    return Url(scheme, host, number, path)


def is_ipv4(host: str) -> bool:
    """Tell whether `host` is an IPv4 address of four decimal numbers."""
    parts = host.split(".")
    return len(parts) == 4 and all(
        part.isascii() and part.isdigit() and int(part) < 256 and part == str(int(part))
        for part in parts
    )
