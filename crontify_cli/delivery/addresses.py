"""The addresses of servers and proxies, checked before they are used.

httpx reads those that are not simple: it knows international names, IPv6 and escapes.
"""

import re
from typing import TYPE_CHECKING

from crontify_cli.errors import CrontifyError
from crontify_cli.urls import Url, simple

if TYPE_CHECKING:
    import httpx


def checked_url(what: str, text: str, schemes: tuple[str, ...]) -> Url:
    """Return `text` as a URL; raises CrontifyError that names `what` if its scheme is another."""
    url = simple(text.strip()) or _unusual(text.strip())
    if url is None or url.scheme not in schemes or not re.fullmatch(r"[\w.:-]+", url.host):
        raise CrontifyError(f"{what} is not a URL that begins with {_any_of(schemes)}")
    return url


def joined(url: Url, location: str) -> Url | None:
    """Return where a redirect from `url` to `location` leads, None if that is no address."""
    import httpx

    try:
        there = httpx.URL(str(url)).join(location)
    except (httpx.InvalidURL, ValueError):
        return None
    return _parts(there.copy_with(fragment=None))._replace(userinfo="")


def _unusual(text: str) -> Url | None:
    import httpx

    try:
        return _parts(httpx.URL(text))
    except (httpx.InvalidURL, ValueError):
        return None


def _parts(url: "httpx.URL") -> Url:
    fragment = f"#{url.fragment}" if url.fragment else ""
    return Url(
        url.scheme,
        url.raw_host.decode("ascii"),
        url.port,
        url.raw_path.decode("ascii") + fragment,
        url.userinfo.decode("ascii"),
    )


def _any_of(schemes: tuple[str, ...]) -> str:
    *some, last = (f"{scheme}://" for scheme in schemes)
    return f"{', '.join(some)} or {last}"
