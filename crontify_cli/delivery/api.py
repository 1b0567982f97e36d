"""The Crontify HTTP API: requests out, the facts of their answers back.

CONTRACT.md, "Requests". The one place where a `Failure` becomes an `Answer`: nothing that
a network can do raises from here.
"""

import math
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from crontify_cli import __version__
from crontify_cli.delivery import answers, request
from crontify_cli.delivery.addresses import joined
from crontify_cli.delivery.connection import Connection, Request
from crontify_cli.delivery.network import (
    AnswerTimeoutFailure,
    ConnectFailure,
    ConnectionTrace,
    ConnectTimeoutFailure,
    Network,
    NoTimeToConnectFailure,
    ProxyFailure,
    TimeoutFailure,
)
from crontify_cli.delivery.proxy import choose_proxy
from crontify_cli.delivery.stage import Trying
from crontify_cli.model import Answer, Ping
from crontify_cli.report.excerpt import one_line
from crontify_cli.report.mask import Masker

if TYPE_CHECKING:
    from crontify_cli.config import Settings
    from crontify_cli.delivery.tls import Tls


NO_MONITOR = NO_RUN = "crontify-doctor"
"""Names of a monitor and a run that do not exist, for requests that change nothing."""

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
    problem: why what answered cannot be the API, "" if it can be.
    seconds: from the beginning to the answer. ahead: by how many seconds our clock is ahead
        of the answer's `Date`, None where it has none. via: the proxy, in words, or nothing.
    """

    status: int | None
    message: str
    seconds: float
    ahead: float | None
    via: str
    problem: str = ""


def open_api(
    settings: "Settings",
    api_key: str | None,
    token: str | None = None,
    patience: Callable[[], float] = lambda: math.inf,
    observe: Callable[[Trying], None] = lambda _: None,
) -> "Api":
    """Return a client as the settings have it; the arguments are those of `Api`."""
    return Api(
        settings.base_url,
        api_key,
        token=token,
        connect_timeout=settings.connect_timeout,
        http_timeout=settings.http_timeout,
        proxy=settings.proxy.reveal() if settings.proxy else None,
        ca_bundle=settings.ca_bundle,
        headers={name: value.reveal() for name, value in settings.headers.items()},
        key_setting=settings.api_key.setting if settings.api_key else "",
        patience=patience,
        observe=observe,
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
    proxy: its URL; None for what the environment says. Not used for loopback.
    ca_bundle: file or folder of certificates to trust instead of the system's.
    headers: sent with every request.
    key_setting: where the API key was configured, for messages.
    patience: for how many more seconds to wait for a connection; asked while it waits.
    observe: told how far each ping has come.

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
        key_setting: str = "",
        patience: Callable[[], float] = lambda: math.inf,
        observe: Callable[[Trying], None] = lambda _: None,
    ) -> None:
        self._key = request.header("the API key", api_key)
        self._key_setting = key_setting
        self._token = request.header("the token", token)
        self._connect_timeout = connect_timeout
        self._http_timeout = http_timeout
        self._within = math.inf
        self._is_answering = False
        extra = request.headers(headers or {})
        self._mask = Masker(extra.values(), own=(self._key, self._token))
        self._base = request.base(base_url)
        self._network = Network(patience, connect_timeout)
        self._observe = observe
        self.connected_at = self.answered_at = (
            0.0  # by `time.monotonic()`; 0.0 before the first answer
        )
        through = choose_proxy(self._base, proxy)
        pairs = sorted(f"{name}:{value}" for name, value in extra.items())
        self._identity = (str(self._base), self._key, proxy or "", *pairs)
        self._host = self._base.netloc
        self._via = f" through the proxy {through}" if through else ""
        is_secure = "https" in (self._base.scheme, through.url.scheme if through else "")
        tls = _tls(ca_bundle) if is_secure else None
        self._connection = Connection(
            self._network, self._base, tls, through.url if through else None
        )
        self._headers = {
            "Connection": "keep-alive",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"crontify-cli/{__version__}",
        }
        self._extra = extra

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def ping(self, ping: Ping, within: float = math.inf) -> Answer:
        """Send one ping, once; within: seconds for it, if that is less than `http_timeout`."""
        self._observe(Trying(self._host, "connection"))
        answer = self._ping(ping, within)
        refused = f"{answer.status}: " if answer.fate == "refused" else ""
        problem = "" if answer.fate == "received" else f"{refused}{answer.message}"
        self._observe(Trying(self._host, "", problem))
        return answer

    def _ping(self, ping: Ping, within: float) -> Answer:
        self._within = within
        path = f"/ping/{request.path_part(ping.monitor_id)}/{ping.kind}"
        body = request.body(ping)
        headers = {"X-API-Key": self._key} if self._key else {}
        if body:
            headers["Content-Type"] = "application/json"
        reply = self._request("POST", path, headers, body)
        if reply.fate != "answered":
            return Answer(reply.fate, message=reply.message)
        if 200 <= reply.status < 300:
            return self._accepted(reply)
        field, date = reply.headers.get("retry-after"), reply.headers.get("date")
        wait = answers.retry_after(reply.status, field, date, reply.message, time.time())
        # A 5xx page is of a gateway in front of the API; with a 429 its words tell how long.
        is_final = reply.status < 500 and reply.status not in answers.ASKS_TO_WAIT
        is_api = not (is_final and answers.is_page(reply.body))
        words = reply.message if is_api else f"{self._host} answered a web page, not the API"
        return Answer("refused", reply.status, None, words, wait, is_api, self._key_setting)

    def _accepted(self, reply: "_Reply") -> Answer:
        """Return the answer to a ping that was answered 2xx, which a web page may be, too."""
        doubt = answers.doubt(reply.body)
        if doubt == "page" or (doubt == "other" and reply.whole):
            what = "a web page, not the API" if doubt == "page" else "something that is not the API"
            words = f"{self._host} answered {what}: check base_url"
            return Answer("unknown", reply.status, message=words, is_api=False)
        if not reply.whole:
            return Answer("unknown", message=f"{self._host} broke its answer off")
        if doubt == "unsuccessful":
            said = answers.server_words(reply.status, reply.body, self._mask)
            return Answer("unknown", reply.status, message=f"{self._host} answered: {said}")
        return Answer("received", reply.status, answers.run_id(reply.body))

    def fingerprint(self, monitor_id: str) -> str:
        """Return a hash of the settings that decide whether the server accepts a ping.

        It changes with the base URL, the key, the proxy, the headers and the monitor's id, and
        tells nothing about them.
        """
        import hashlib

        return hashlib.sha256("\0".join((*self._identity, monitor_id)).encode()).hexdigest()[:16]

    def log(self, monitor_id: str, run_id: str) -> LogAnswer:
        """Ask for the log of one run."""
        monitor, run = request.path_part(monitor_id), request.path_part(run_id)
        path = f"/monitors/{monitor}/runs/{run}/log"
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        reply = self._request("GET", path, headers)
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
        """Ask for the log of a run that does not exist, once, with neither key nor token.

        The API documents 401 for that. The request changes nothing, whoever answers it.
        """
        began = time.monotonic()
        reply = self._ask(NO_MONITOR)
        seconds = time.monotonic() - began
        status = reply.status if reply.fate == "answered" else None
        date = answers.moment(reply.headers.get("date", ""))
        ahead = None if date is None else time.time() - date
        problem = self._why_not_api(reply) if status else ""
        return Probe(status, reply.message, seconds, ahead, self._via, problem)

    def silence(self, monitor_id: str, within: float = math.inf) -> Answer | None:
        """Return None if the server answers requests, else what came of asking it by a probe.

        It is asked only if the last request timed out, or if there was none.
        """
        if self._is_answering:
            return None
        self._within = within
        reply = self._ask(monitor_id)
        return None if reply.fate == "answered" else Answer(reply.fate, message=reply.message)

    def _ask(self, monitor_id: str) -> _Reply:
        path = f"/monitors/{request.path_part(monitor_id)}/runs/{NO_RUN}/log"
        return self._request("GET", path, {"Cache-Control": "no-cache"})

    def _why_not_api(self, reply: "_Reply") -> str:
        """Return why this is not how the API answers a request for a log, "" if it may be."""
        if 300 <= reply.status < 400 or reply.status >= 500:
            return ""
        if answers.is_page(reply.body):
            return f"{self._host} answered a web page, not the API"
        if 200 <= reply.status < 300:
            try:
                answers.log(reply.body)
            except ValueError:
                return f"{self._host} answered something that is not the API"
        if reply.status == 404 and not re.search(r"(?i)\b(monitor|run)\b.*not", reply.message):
            return f"{self._host} has no API at this address (404: {reply.message})"
        return ""

    @property
    def trace(self) -> ConnectionTrace:
        """How far the connection has come: for another thread to see where a request hangs."""
        return self._network.trace

    def _request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> _Reply:
        """Send one request, following the server on its own ground, and read the answer."""
        self._network.deadline = time.monotonic() + min(self._http_timeout, self._within)
        target = self._base._replace(path=self._base.path + path)
        fields = request.merged(self._headers, self._extra, headers)
        for _ in range(_REDIRECTS + 1):
            reply = self._once(Request(method, target.path, fields, body))
            if not 300 <= reply.status < 400 or not reply.location:
                return reply
            there = joined(target, reply.location)
            if there is None:
                return reply
            if reply.status not in _SAME_BODY or there.origin != target.origin:
                words = one_line(str(there), mask=self._mask)
                return reply._replace(message=f"{self._host} redirects to {words}")
            target = there
        return reply._replace(message=f"{self._host} redirects in a circle")

    def _once(self, message: Request) -> _Reply:
        sent = False

        def on_sent() -> None:
            nonlocal sent
            sent = True
            self.connected_at = time.monotonic()
            self._observe(Trying(self._host, "answer"))

        try:
            response = self._connection.send(message, on_sent)
        except Exception as error:  # the boundary: whatever it was, the job's report goes on
            if isinstance(error, TimeoutFailure):
                self._is_answering = False
            return _Reply("unknown" if sent else "unsent", message=self._why(error))
        self.answered_at = time.monotonic()
        self._is_answering = True
        status, headers, body, whole = response
        is_success = 200 <= status < 300
        words = "" if is_success else answers.server_words(status, body, self._mask)
        return _Reply("answered", status, headers, headers.get("location", ""), body, words, whole)

    def _why(self, error: Exception) -> str:
        """Return in one line why there was no answer, for a person who knows no Python."""
        server = f"{self._host}{self._via}"
        if isinstance(error, NoTimeToConnectFailure):
            return f"no time was left to connect to {server}"
        if isinstance(error, ConnectTimeoutFailure):
            took = round(time.monotonic() - self._network.trace.began, 1)
            return f"no connection to {server} within {min(took, self._connect_timeout):g}s"
        if isinstance(error, AnswerTimeoutFailure):
            return f"no answer from {server} within {self._http_timeout:g}s"
        what = one_line(str(error), mask=self._mask) or type(error).__name__
        if isinstance(error, ProxyFailure):
            return f"cannot connect to {server}: the proxy refused: {what}"
        if isinstance(error, ConnectFailure):
            return f"cannot connect to {server}: {what}"
        return f"no answer from {server}: {what}"


def _tls(ca_bundle: str | None) -> "Tls":
    from crontify_cli.delivery.tls import Tls  # loads OpenSSL

    return Tls(ca_bundle)
