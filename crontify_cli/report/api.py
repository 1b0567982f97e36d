"""Crontify's HTTP API (the only httpx): a request out, the facts of its answer back.

httpx's exceptions are translated here and nowhere else. CONTRACT.md, "Requests"
and "Answers", is the rule; what to do about an answer is `policy.py`'s.
"""

import contextlib
import email.utils
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Literal, NamedTuple

from crontify_cli import __version__
from crontify_cli.errors import CrontifyError
from crontify_cli.model import Answer, Ping

if TYPE_CHECKING:
    import ssl

    from crontify_cli.config import Settings

MAX_BODY = 1024 * 1024
"""Bytes of an answer that are read; what we want of it is far less."""
MAX_RETRY_AFTER = 86400.0
_SHOWN = 200


def _import_httpx() -> ModuleType:
    """Import httpx without its own command line and asyncio's half, which are half its weight.

    None in `sys.modules` makes an import fail as if the package were not installed,
    which httpx and httpcore are prepared for.
    """
    unwanted = [name for name in ("httpx._main", "anyio", "trio") if name not in sys.modules]
    blank: dict[str, ModuleType | None] = dict.fromkeys(unwanted)
    sys.modules.update(blank)  # type: ignore[arg-type]  # None is what the import system documents
    try:
        import httpx
    finally:
        for name in unwanted:
            del sys.modules[name]
    return httpx


if TYPE_CHECKING:
    import httpx
else:
    httpx = _import_httpx()


class LogAnswer(NamedTuple):
    """What came of asking for a run's log.

    fate: "log" (`content` is it), "no log", "refused" (an HTTP error), "unreachable".
    """

    fate: Literal["log", "no log", "refused", "unreachable"]
    content: str = ""
    status: int | None = None
    message: str = ""


class Api:
    """A client of one server with one kept connection; to be used by one thread."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        token: str | None = None,
        connect_timeout: float = 5.0,
        http_timeout: float = 10.0,
        proxy: str | None = None,
        ca_bundle: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = api_key
        self._token = token
        self._limit = http_timeout
        self._connect_timeout = min(connect_timeout, http_timeout)
        self._socket: socket.socket | None = None
        self._client = httpx.Client(
            timeout=httpx.Timeout(http_timeout, connect=self._connect_timeout),
            headers={"User-Agent": f"crontify-cli/{__version__}", **(headers or {})},
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
            verify=_tls(self._base_url, ca_bundle),
            proxy=proxy,
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def ping(self, ping: Ping) -> Answer:
        """Make one attempt to deliver `ping`."""
        url = f"{self._base_url}/ping/{ping.monitor_id}/{ping.kind}"
        headers = {"X-API-Key": self._key or ""}
        content = _body(ping)
        if content:
            headers["Content-Type"] = "application/json"
        request = self._client.build_request("POST", url, headers=headers, content=content)
        try:
            response, body = self._exchange(request)
        except httpx.HTTPError as error:
            sent = not isinstance(error, _UNSENT)
            return Answer("unknown" if sent else "unsent", message=self._clean(_cause(error)))
        if response.is_success:
            return Answer("received", response.status_code, _run_id(body))
        message = self._message(response, body)
        return Answer(
            "refused",
            response.status_code,
            message=message,
            retry_after=_retry_after(response.headers, message),
        )

    def log(self, monitor_id: str, run_id: str) -> LogAnswer:
        """Fetch a run's log with the user's token, in the bare or the wrapped form."""
        url = f"{self._base_url}/monitors/{monitor_id}/runs/{run_id}/log"
        headers = {"Authorization": f"Bearer {self._token or ''}"}
        try:
            response, body = self._exchange(self._client.build_request("GET", url, headers=headers))
        except httpx.HTTPError as error:
            return LogAnswer("unreachable", message=self._clean(_cause(error)))
        if not response.is_success:
            message = self._message(response, body)
            return LogAnswer("refused", status=response.status_code, message=message)
        answer = _object(body)
        data = answer.get("data")
        log = data if isinstance(data, dict) else answer
        content = log.get("content")
        if log.get("hasLog") and isinstance(content, str):
            return LogAnswer("log", content, response.status_code)
        if "hasLog" in log:
            return LogAnswer("no log", status=response.status_code)
        message = "the answer is not a log's"
        return LogAnswer("refused", status=response.status_code, message=message)

    def get(self, path: str) -> dict[str, object]:
        """Fetch `path` (below the base URL) with the user's token; the object it answers with.

        For the lists that the sandbox has beyond the document. Raises CrontifyError.
        """
        headers = {"Authorization": f"Bearer {self._token or ''}"}
        request = self._client.build_request("GET", f"{self._base_url}{path}", headers=headers)
        try:
            response, body = self._exchange(request)
        except httpx.HTTPError as error:
            raise CrontifyError(f"{path}: {self._clean(_cause(error))}") from None
        if not response.is_success:
            words = self._message(response, body)
            raise CrontifyError(f"{path}: HTTP {response.status_code}: {words}")
        return _object(body)

    def _exchange(self, request: "httpx.Request") -> "tuple[httpx.Response, bytes]":
        """Send a request; return the answer with the beginning of its body.

        httpx's timeouts are a socket operation's, so a server that sends a byte a second
        would keep us for ever: after `http_timeout` as a whole the socket is shut. A
        status that has come is an answer, whatever becomes of its body.
        """
        request.extensions["trace"] = self._trace
        alarm = threading.Timer(self._limit + self._connect_timeout, self._shut)
        alarm.daemon = True
        alarm.start()
        try:
            response = self._client.send(request, stream=True)
            body = b""
            try:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MAX_BODY:
                        break
            except httpx.HTTPError:
                pass
            finally:
                response.close()
            return response, body
        finally:
            alarm.cancel()

    def _trace(self, event: str, info: Mapping[str, object]) -> None:
        """Remember the connection's socket; httpx calls this with what it is about to do."""
        if event == "connection.connect_tcp.complete":
            stream = info["return_value"]
            self._socket = stream.get_extra_info("socket")  # type: ignore[attr-defined]  # httpcore's NetworkStream

    def _shut(self) -> None:
        if self._socket:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _message(self, response: "httpx.Response", body: bytes) -> str:
        if response.is_redirect:
            return self._clean(f"it points to {response.headers.get('Location', 'nowhere')}")
        return self._clean(_error_words(body))

    def _clean(self, text: str) -> str:
        for secret in filter(None, (self._key, self._token)):
            text = text.replace(secret, "[masked]")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())


# Nothing of the request can have reached the server.
_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


def open_api(settings: "Settings", api_key: str | None, token: str | None = None) -> Api:
    """Return a client as the settings have it."""
    return Api(
        settings.base_url,
        api_key,
        token=token,
        connect_timeout=settings.connect_timeout,
        http_timeout=settings.http_timeout,
        proxy=settings.proxy.reveal() if settings.proxy else None,
        ca_bundle=settings.ca_bundle,
        headers={name: value.reveal() for name, value in settings.headers.items()},
    )


def _tls(base_url: str, ca_bundle: str | None) -> "ssl.SSLContext":
    """Return what to trust: the named bundle, the system's certificates, or certifi's.

    OpenSSL reads its hashed folder as it needs it; certifi's bundle is parsed whole,
    which takes as long as everything else that is loaded here.
    """
    import ssl

    if base_url.startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody: no redirect is followed
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_bundle:
        context.load_verify_locations(ca_bundle)
        return context
    paths = ssl.get_default_verify_paths()
    folder = paths.capath
    if os.environ.get("SSL_CERT_FILE") or not folder or not _has_hashes(folder):
        if os.environ.get("SSL_CERT_FILE") or paths.cafile:
            context.load_default_certs()
        else:
            import certifi

            context.load_verify_locations(certifi.where())
        return context
    context.load_verify_locations(capath=folder)
    return context


def _has_hashes(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(re.fullmatch(r"[0-9a-f]{8}\.\d", entry.name) for entry in entries)
    except OSError:
        return False


def _body(ping: Ping) -> bytes:
    fields: dict[str, object] = {}
    if ping.error_message is not None:
        fields["errorMessage"] = ping.error_message
    if ping.meta:
        fields["meta"] = dict(ping.meta)
    if ping.log_output is not None:
        fields["logOutput"] = ping.log_output
    return json.dumps(fields, allow_nan=False).encode() if fields else b""


def _object(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _run_id(body: bytes) -> str | None:
    data = _object(body).get("data")
    run_id = data.get("runId") if isinstance(data, dict) else None
    # It will stand in a URL and on a terminal.
    safe = isinstance(run_id, str) and re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", run_id)
    return str(run_id) if safe else None


def _error_words(body: bytes) -> str:
    """Return the server's own words: CONTRACT.md names the places where they may stand."""
    answer = _object(body)
    error = answer.get("error")
    places = [answer.get("message"), error.get("message") if isinstance(error, dict) else error]
    for words in places:
        if isinstance(words, list):
            words = "; ".join(word for word in words if isinstance(word, str))
        if isinstance(words, str) and words.strip():
            return words[:1000]
    return body.decode("utf-8", "replace")[:_SHOWN]


_SECONDS = re.compile(
    r"(\d{1,6}(?:\.\d{1,3})?)\s{0,3}(s|sec|secs|seconds?|m|min|mins|minutes?)\b", re.IGNORECASE
)


def _retry_after(headers: Mapping[str, str], message: str) -> float | None:
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return min(float(value), MAX_RETRY_AFTER)
    if value and (then := _timestamp(value)) is not None:
        now = _timestamp(headers.get("Date", ""))
        return min(max(0.0, then - (time.time() if now is None else now)), MAX_RETRY_AFTER)
    if match := _SECONDS.search(message):
        unit = 60.0 if match[2].lower().startswith("m") else 1.0
        return min(float(match[1]) * unit, MAX_RETRY_AFTER)
    return None


def _timestamp(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _cause(error: Exception) -> str:
    """Return the cause in words: httpx's own are sometimes empty."""
    words = str(error) or type(error).__name__
    return words if len(words) <= 300 else words[:300]
