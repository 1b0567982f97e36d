"""The HTTP connection: one request at a time, and exact knowledge whether it was sent.

h11 writes and reads the messages, on our own network code. callgrind counts 530 million
instructions for an `exec` of `true` over http with httpx, 266 with h11 alone; loading
httpcore, httpx's engine, would add 90. httpcore knows when it begins to send a request;
here it is known whether the kernel took a byte of it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import h11

from crontify_cli.delivery.network import (
    AnswerFailure,
    AnswerTimeoutFailure,
    Failure,
    Network,
    ProxyFailure,
    Stream,
)
from crontify_cli.errors import in_words
from crontify_cli.urls import Url

if TYPE_CHECKING:
    from crontify_cli.delivery.tls import Tls

IDLE = 4.0
"""Seconds after which an unused connection is not used again: many servers close
theirs after 5, and a request that crosses with that has an unknown fate."""

LONGEST_BODY = 1024 * 1024
"""Bytes of an answer; what is longer is not read."""
_LONGEST_HEAD = 100 * 1024


class Request(NamedTuple):
    """A request.

    path: with the query. headers: all but the length and a proxy's; `Host` if it is not the
    server's own name.
    """

    method: str
    path: str
    headers: Sequence[tuple[str, str]]
    body: bytes = b""


class Response(NamedTuple):
    """An answer.

    headers: by name in lower case; of repeated ones the first.
    body: as far as it came. is_whole: whether it came to its end, within `LONGEST_BODY`.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool


class _NothingSent(AnswerFailure):
    """The connection was lost before it took a byte of the request."""


class Connection:
    """Requests to one server, on one connection that is kept for the next request.

    origin: the server, of which only scheme, host and port matter.
    tls: for https; None if neither the server nor the proxy needs it.
    proxy: for requests to the server, None for none.
    """

    def __init__(self, network: Network, origin: Url, tls: "Tls | None", proxy: Url | None) -> None:
        self._network = network
        self._origin = origin
        self._tls = tls
        self._proxy = proxy
        is_http = origin.scheme == "http" and proxy and not proxy.scheme.startswith("socks")
        self._is_forwarded = bool(is_http)  # the proxy gets the request itself
        self._stream: Stream | None = None
        self._http = _new_http()
        self._kept_until = 0.0

    def close(self) -> None:
        """Close the connection; the next request makes another one."""
        if self._stream:
            self._stream.close()
        self._stream = None

    def send(self, request: Request, on_sent: Callable[[], None]) -> Response:
        """Send a request, once, and return the answer, until the network's deadline.

        on_sent: called when the first byte has been sent. If it was not called, the server
            has nothing of the request.
        Raises Failure if there is no answer, or not all of its head.
        """
        try:
            if stream := self._kept():
                with suppress(_NothingSent):  # the server has just closed it
                    return self._exchange(stream, request, on_sent)
            self.close()
            return self._exchange(self._open(), request, on_sent)
        except BaseException:
            self.close()
            raise

    # Connecting

    def _kept(self) -> Stream | None:
        """Return the connection of the request before, unless the server may have closed it."""
        if self._stream and time.monotonic() < self._kept_until and not self._stream.has_input():
            return self._stream
        return None

    def _open(self) -> Stream:
        """Connect, by way of the proxy; `self._stream` is always the one to close."""
        origin, proxy = self._origin, self._proxy
        self._http = _new_http()
        self._stream = self._network.connect(*(proxy or origin).where)
        if proxy and proxy.scheme == "https":
            self._secure(proxy.host)
        if proxy and proxy.scheme.startswith("socks"):
            from crontify_cli.delivery.socks import connect_through

            until = self._network.until_connected()
            connect_through(self._stream, origin.where, _login(proxy), until)
        elif proxy and not self._is_forwarded:
            self._tunnel(self._stream)
        if origin.scheme == "https":
            self._secure(origin.host)
        return self._stream

    def _secure(self, host: str) -> None:
        assert self._tls
        assert self._stream
        network = self._network
        until = network.until_connected()
        self._stream = self._tls.secured(self._stream, host, until, network.trace)

    def _tunnel(self, stream: Stream) -> None:
        """Let the proxy connect us to the server (RFC 9110, 9.3.6)."""
        http, until = _new_http(), self._network.deadline
        host, port = self._origin.where
        where = f"{f'[{host}]' if ':' in host else host}:{port}"
        headers = [("Host", where), ("Accept", "*/*"), *self._authorization()]
        data = _written(http, Request("CONNECT", where, headers))
        with _answering():
            while data:
                data = data[stream.send(data, until) :]
            answer = _read_head(http, stream, until)
        if not 200 <= answer.status_code < 300:
            reason = bytes(answer.reason).decode("ascii", "ignore")
            raise ProxyFailure(f"{answer.status_code} {reason}")

    def _authorization(self) -> list[tuple[str, str]]:
        login = _login(self._proxy) if self._proxy else None
        if login is None:
            return []
        from base64 import b64encode

        return [("Proxy-Authorization", f"Basic {b64encode(':'.join(login).encode()).decode()}")]

    # Request and answer

    def _exchange(self, stream: Stream, request: Request, on_sent: Callable[[], None]) -> Response:
        http, until = self._http, self._network.deadline
        data = _written(http, self._addressed(request))
        with _answering():
            early = _send(http, stream, data, until, on_sent)
            head = early or _read_head(http, stream, until)
        body, is_whole = bytearray(), False
        with suppress(Failure), _answering():
            while len(body) <= LONGEST_BODY and not is_whole:
                event = _next_event(http, stream, until)
                body += event.data if isinstance(event, h11.Data) else b""
                is_whole = isinstance(event, h11.EndOfMessage)
        # What came after the answer would be taken for the one to the next request.
        is_clean = is_whole and not early and not http.trailing_data[0]
        if is_clean and http.our_state is http.their_state is h11.DONE:
            http.start_next_cycle()
            self._kept_until = time.monotonic() + IDLE
        else:
            self.close()
        fields = reversed([(n.decode().lower(), v.decode("latin-1")) for n, v in head.headers])
        return Response(head.status_code, dict(fields), bytes(body[:LONGEST_BODY]), is_whole)

    def _addressed(self, request: Request) -> Request:
        """Return the request with the headers that say where it goes and how long it is."""
        method, path, headers, body = request
        own, origin = [], self._origin
        if not any(name.lower() == "host" for name, _ in headers):
            own.append(("Host", origin.netloc))
        if self._is_forwarded:
            path = f"{origin.scheme}://{origin.netloc}{path}"
            own += self._authorization()
        length = [("Content-Length", str(len(body)))] if body or method == "POST" else []
        return Request(method, path, [*own, *headers, *length], body)


def _new_http() -> h11.Connection:
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)


def _login(proxy: Url) -> tuple[str, str] | None:
    if not proxy.userinfo:
        return None
    from urllib.parse import unquote

    user, _, password = proxy.userinfo.partition(":")
    return unquote(user), unquote(password)


@contextmanager
def _answering() -> Iterator[None]:
    """Turn the errors of a stream and of h11 into those of a request that may be on its way."""
    try:
        yield
    except TimeoutError as error:
        raise AnswerTimeoutFailure from error
    except OSError as error:
        raise AnswerFailure(in_words(error)) from error
    except h11.RemoteProtocolError as error:
        what = str(error).partition(": bytearray(")[0]
        raise AnswerFailure(f"what it sent is not HTTP: {what}") from error


def _written(http: h11.Connection, request: Request) -> bytes:
    """Return the bytes of a request."""
    method, path, headers, body = request
    events = [
        h11.Request(method=method, target=path, headers=list(headers)),
        *([h11.Data(data=body)] if body else []),
        h11.EndOfMessage(),
    ]
    return b"".join(http.send(event) or b"" for event in events)


def _send(
    http: h11.Connection, stream: Stream, data: bytes, until: float, on_sent: Callable[[], None]
) -> h11.Response | None:
    """Send a request, or as much of it as the connection takes before it is lost.

    The server may have answered then, before it has read all of it. If it answers and takes no
    more, the rest is not sent, and the head of its answer is returned (RFC 9112, 9.5).
    """
    is_begun = False
    try:
        while data:
            sent = stream.send(data, until)
            data = data[sent:]
            if not is_begun:
                is_begun = True
                on_sent()
            if not sent and (head := _early_head(http, stream, until)):
                return head
    except TimeoutError:
        raise
    except OSError as error:
        if not is_begun:
            raise _NothingSent(in_words(error)) from error
    return None


def _read_head(http: h11.Connection, stream: Stream, until: float) -> h11.Response:
    """Read the answer's head; those in front of it (1xx) mean nothing to us."""
    while not isinstance(event := _next_event(http, stream, until), h11.Response):
        pass
    return event


def _early_head(http: h11.Connection, stream: Stream, until: float) -> h11.Response | None:
    """Return the answer's head if it has come; else what has come is kept for `_read_head`."""
    _receive(http, stream, until)
    while (event := http.next_event()) is not h11.NEED_DATA:
        if isinstance(event, h11.Response):
            return event
    return None


def _next_event(http: h11.Connection, stream: Stream, until: float) -> object:
    while (event := http.next_event()) is h11.NEED_DATA:
        _receive(http, stream, until)
    return event


def _receive(http: h11.Connection, stream: Stream, until: float) -> None:
    data = stream.receive(until)
    if not data and http.their_state is h11.SEND_RESPONSE:
        raise AnswerFailure("the connection was closed")
    http.receive_data(data)
