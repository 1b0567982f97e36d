"""The Crontify HTTP API: requests out, the facts of their answers back.

CONTRACT.md, "Requests". The one place where httpx's exceptions become an `Answer`: nothing
that a network can do raises from here.
"""

import contextlib
import json
import math
import re
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

from crontify_cli import __version__
from crontify_cli.delivery import answers
from crontify_cli.delivery.http import (
    ConnectionTrace,
    Network,
    Transport,
    checked_url,
    environment_proxy,
    httpcore,
    httpx,
    origin,
    proxy_url,
    trusted,
)
from crontify_cli.errors import CrontifyError
from crontify_cli.model import Answer, Ping
from crontify_cli.report.excerpt import one_line
from crontify_cli.report.mask import Masker

if TYPE_CHECKING:
    from crontify_cli.config import Settings


_MOST_BYTES = 1024 * 1024
"""Of an answer; what is longer is not read."""

_FRAMING = ("connection", "content-length", "transfer-encoding", "upgrade")
_REDIRECTS = 3
_SAME_BODY = (307, 308)


class LogAnswer(NamedTuple):
    """What came of asking for a run's log.

    fate, status, message: as in `Answer`; an answer that is no log is "refused".
    has_log, content: what the server has; content is None where has_log is False.
    """

    fate: Literal["received", "refused", "unsent", "unknown"]
    status: int | None = None
    has_log: bool = False
    content: str | None = None
    message: str = ""


class Probe(NamedTuple):
    """What came of asking whether the API is there.

    status: of its answer, None where none came; message: what it said or why there was none.
    seconds: from the beginning to the answer. ahead: by how many seconds our clock is ahead
        of the answer's `Date`, None where it has none. via: the proxy, in words, or nothing.
    """

    status: int | None
    message: str
    seconds: float
    ahead: float | None
    via: str


def open_api(settings: "Settings", api_key: str | None, token: str | None = None) -> "Api":
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


class _Reply(NamedTuple):
    """One HTTP answer, whole or as far as it came, or why there is none."""

    fate: Literal["answered", "unsent", "unknown"]
    status: int = 0
    headers: Mapping[str, str] = {}
    location: str = ""
    body: bytes = b""
    message: str = ""
    whole: bool = True


class Api:
    """One client with one kept-alive connection; for use by one thread.

    base_url: with or without a trailing slash.
    api_key: for pings; token: the user's JWT, for logs.
    connect_timeout: seconds for a connection; http_timeout: for a whole request,
        however slowly the answer trickles in. Neither bounds the name lookup,
        which the system's resolver does not let be interrupted.
    proxy: its URL; None for what the environment says (`HTTPS_PROXY`, `NO_PROXY`).
    ca_bundle: file or folder of certificates to trust instead of the system's.
    headers: sent with every request.

    Raises CrontifyError for a value that no request could be made with.
    """

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
        self._key = _header("the API key", api_key)
        self._token = _header("the token", token)
        self._connect_timeout = connect_timeout
        self._http_timeout = http_timeout
        extra = _headers(headers or {})
        self._mask = Masker(extra.values(), own=(self._key, self._token))
        self._base = _base(base_url)
        self._network = Network()
        through = proxy_url(proxy) if proxy else environment_proxy(self._base)
        self._host = self._base.netloc.decode("ascii")
        self._via = f" through the proxy {through.netloc.decode('ascii')}" if through else ""
        secure = "https" in (self._base.scheme, through.scheme if through else "")
        context = trusted(ca_bundle) if secure else None
        self._client = httpx.Client(
            transport=Transport(self._network, context, through),
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": f"crontify-cli/{__version__}",
                **extra,
            },
            timeout=httpx.Timeout(http_timeout, connect=connect_timeout),
            trust_env=False,
        )

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def ping(self, ping: Ping) -> Answer:
        """Send one ping, once."""
        url = f"{self._base}/ping/{quote(ping.monitor_id, safe='')}/{ping.kind}"
        body = _body(ping)
        headers = {"X-API-Key": self._key} if self._key else {}
        if body:
            headers["Content-Type"] = "application/json"
        reply = self._request("POST", url, headers, body)
        if reply.fate != "answered":
            return Answer(reply.fate, message=reply.message)
        if 200 <= reply.status < 300:
            return Answer("received", reply.status, answers.run_id(reply.body))
        field, date = reply.headers.get("retry-after"), reply.headers.get("date")
        wait = answers.retry_after(reply.status, field, date, reply.message, time.time())
        return Answer("refused", reply.status, None, reply.message, wait)

    def log(self, monitor_id: str, run_id: str) -> LogAnswer:
        """Ask for the log of one run."""
        monitor, run = quote(monitor_id, safe=""), quote(run_id, safe="")
        url = f"{self._base}/monitors/{monitor}/runs/{run}/log"
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        reply = self._request("GET", url, headers, b"")
        if reply.fate != "answered":
            return LogAnswer(reply.fate, message=reply.message)
        if not 200 <= reply.status < 300:
            return LogAnswer("refused", reply.status, message=reply.message)
        if not reply.whole:
            return LogAnswer("unknown", reply.status, message=f"{self._host} broke its answer off")
        try:
            return LogAnswer("received", reply.status, *answers.log(reply.body))
        except ValueError as error:
            return LogAnswer("refused", reply.status, message=str(error))

    def probe(self) -> Probe:
        """Ask for the base URL itself, once, with neither key nor token.

        The seed documents nothing there, so that whatever answers has taken no report and
        changed no run; an answer of any status shows that it can be reached.
        """
        began = time.monotonic()
        reply = self._request("GET", str(self._base), {"Cache-Control": "no-cache"})
        seconds = time.monotonic() - began
        status = reply.status if reply.fate == "answered" else None
        date = answers.moment(reply.headers.get("date", ""))
        ahead = None if date is None else time.time() - date
        return Probe(status, reply.message, seconds, ahead, self._via)

    @property
    def trace(self) -> ConnectionTrace:
        """How far the connection has come: for another thread to see where a request hangs."""
        return self._network.trace

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> _Reply:
        """Send one request, following the server on its own ground, and read the answer."""
        self._network.deadline = time.monotonic() + self._http_timeout
        target = httpx.URL(url)
        for _ in range(_REDIRECTS + 1):
            reply = self._once(method, target, headers, body)
            if not 300 <= reply.status < 400 or not reply.location:
                return reply
            try:
                there = target.join(reply.location).copy_with(username=None, password=None)
            except (httpx.InvalidURL, ValueError):
                return reply
            if reply.status not in _SAME_BODY or origin(there) != origin(target):
                words = one_line(str(there), mask=self._mask)
                return reply._replace(message=f"{self._host} redirects to {words}")
            target = there
        return reply._replace(message=f"{self._host} redirects in a circle")

    def _once(self, method: str, url: httpx.URL, headers: Mapping[str, str], body: bytes) -> _Reply:
        sent = False

        def trace(event: str, info: Mapping[str, Any]) -> None:  # what httpcore hands over
            nonlocal sent
            if event == "http11.send_request_headers.started":
                sent = sent or info["request"].method != b"CONNECT"  # which is for the proxy

        try:
            request = self._client.build_request(
                method, url, headers=headers, content=body or None, extensions={"trace": trace}
            )
            with contextlib.closing(self._client.send(request, stream=True)) as response:
                return self._read(response)
        except Exception as error:  # the boundary: whatever it was, the job's report goes on
            return _Reply("unknown" if sent else "unsent", message=self._why(error))

    def _read(self, response: httpx.Response) -> _Reply:
        """Read the answer as far as it is of use: its status alone says what became of us."""
        body, whole = bytearray(), False
        with contextlib.suppress(Exception):
            for piece in response.iter_raw():
                body += piece
                if len(body) > _MOST_BYTES:
                    break
            else:
                whole = True
        status, content = response.status_code, bytes(body[:_MOST_BYTES])
        words = "" if response.is_success else answers.server_words(status, content, self._mask)
        location = str(response.extensions["location"])
        return _Reply("answered", status, response.headers, location, content, words, whole)

    def _why(self, error: Exception) -> str:
        """Return in one line why there was no answer, for a person who knows no Python."""
        if isinstance(error, httpcore.ConnectTimeout):
            return f"no connection to {self._host}{self._via} within {self._connect_timeout:g}s"
        if isinstance(error, httpcore.TimeoutException):
            return f"no answer from {self._host}{self._via} within {self._http_timeout:g}s"
        cause: BaseException = error
        while cause.__cause__ or cause.__context__:
            cause = cause.__cause__ or cause.__context__ or cause
        words = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
        if isinstance(cause, ssl.SSLCertVerificationError):
            words = f"its certificate is not trusted: {cause.verify_message}"
        elif isinstance(error, httpcore.ProxyError):
            words = f"the proxy refused: {words}"
        what = one_line(words, mask=self._mask) or type(cause).__name__
        if isinstance(error, httpcore.ConnectError | httpcore.ProxyError):
            return f"cannot connect to {self._host}{self._via}: {what}"
        return f"no answer from {self._host}{self._via}: {what}"


def _body(ping: Ping) -> bytes:
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


def _header(what: str, value: str | None) -> str:
    value = (value or "").strip()
    if not (value.isascii() and value.isprintable()):
        raise CrontifyError(f"{what} has characters that cannot be sent in a header")
    return value


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the user's headers; those that frame the request are not theirs to set."""
    for name in headers:
        if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) or name.lower() in _FRAMING:
            raise CrontifyError(f"headers: {name!r} is not a header that can be set")
    return {name: _header(f"header {name}", value) for name, value in headers.items()}


def _base(base_url: str) -> httpx.URL:
    url = checked_url("base_url", base_url, ("http", "https"))
    if url.userinfo or url.query or url.fragment:
        raise CrontifyError("base_url must have neither a password nor a '?' or '#' in it")
    return url.copy_with(path=url.path.rstrip("/"))
