"""The parts of a request to the API: base URL, headers and body, checked before they are used."""

import json
import math
import re
from collections.abc import Mapping

from crontify_cli.delivery.addresses import checked_url
from crontify_cli.errors import CrontifyError
from crontify_cli.model import Ping
from crontify_cli.urls import Url

_FRAMING = ("connection", "content-length", "transfer-encoding", "upgrade")


def body(ping: Ping) -> bytes:
    """Return the JSON of a ping, empty where it has nothing to say.

    As UTF-8 rather than escaped: a third of the size for most scripts, and a
    server's limit for bodies counts bytes. No NaN, U+0000 or half surrogate pair:
    they are not JSON, or not text, to a server.
    """
    content: dict[str, object] = {}
    if ping.kind == "fail" and ping.error_message:
        content["errorMessage"] = _text(ping.error_message)
    if ping.kind != "start" and (
        meta := {name: value for name, value in ping.meta.items() if math.isfinite(value)}
    ):
        content["meta"] = meta
    if ping.kind == "fail" and ping.log_output:
        content["logOutput"] = _text(ping.log_output)
    return json.dumps(content, ensure_ascii=False).encode() if content else b""


def _text(text: str) -> str:
    return (
        text.replace("\0", "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    )


def header(what: str, value: str | None) -> str:
    value = (value or "").strip()
    if not (value.isascii() and value.isprintable()):
        raise CrontifyError(f"{what} has characters that cannot be sent in a header")
    return value


def headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the user's headers; those that frame the request are not theirs to set."""
    for name in headers:
        if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) or name.lower() in _FRAMING:
            raise CrontifyError(f"headers: {name!r} is not a header that can be set")
    return {name: header(f"header {name}", value) for name, value in headers.items()}


def merged(*several: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers of all; of those with the same name the last one."""
    fields = {name.lower(): (name, value) for headers in several for name, value in headers.items()}
    return [*fields.values()]


def base(base_url: str) -> Url:
    url = checked_url("base_url", base_url, ("http", "https"))
    if url.userinfo or "?" in url.path or "#" in url.path:
        raise CrontifyError("base_url must have neither a password nor a '?' or '#' in it")
    return url._replace(path=url.path.rstrip("/"))


def path_part(text: str) -> str:
    """Return `text` as one step of a URL's path."""
    if text.isascii() and all(char.isalnum() or char in "-._~" for char in text):
        return text
    from urllib.parse import quote

    return quote(text, safe="")
