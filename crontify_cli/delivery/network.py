"""Sockets: connects to a name, and reads and writes so that each operation ends in time.

Times are moments on the monotonic clock (`until`), so that everything that one request takes
can share a deadline.

`_socket` replaces `socket`, which builds enums and loads `selectors`: a twentieth of a run over
http.
"""

import _socket as socket
import errno
import math
import os
import select
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from crontify_cli.errors import in_words

_SLICE = 0.1
"""Seconds after which a connection attempt asks whether it is still wanted."""


class Failure(Exception):  # noqa: N818 - what a request came to; the subclasses say how
    """Why a request has no answer. The text is the cause in words, "" if the class says it all."""


class TimeoutFailure(Failure):
    """The time was over."""


class NoTimeToConnectFailure(TimeoutFailure):
    """No time was left to try to connect."""


class ConnectTimeoutFailure(TimeoutFailure):
    """No connection was made in time."""


class ConnectFailure(Failure):
    """The name was not found, no address accepted a connection, or TLS failed."""


class ProxyFailure(Failure):
    """The proxy refused to connect us to the server."""


class AnswerTimeoutFailure(TimeoutFailure):
    """The answer did not come in time."""


class AnswerFailure(Failure):
    """The connection was lost, or what came is not HTTP."""


class ConnectionTrace:
    """How far the last connection came; times on the monotonic clock, 0.0 for never.

    host: what was looked up, the proxy's name where there is one; addresses: what it is.
    certificate: the server's, as `ssl.SSLSocket.getpeercert` has it. tls: `TLSv1.3`.
    """

    host = ""
    addresses: tuple[str, ...] = ()
    began = looked_up = connected = secured = 0.0
    tls = ""
    certificate: Mapping[str, Any] = {}  # Any: as typeshed has it


class Stream(Protocol):
    """A connection. Its methods raise TimeoutError at `until`, and OSError if it is lost."""

    def send(self, data: bytes, until: float) -> int:
        """Send the beginning of `data`; return how many bytes. If it raises, none were sent."""

    def receive(self, until: float) -> bytes:
        """Return the bytes that come next, b"" if the other side has ended the connection."""

    def has_input(self) -> bool:
        """Tell whether something has come, be it the end."""

    def close(self) -> None:
        """Close the connection."""


class TcpStream:
    """A connected socket, as a `Stream`."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def send(self, data: bytes, until: float) -> int:
        while True:
            self._await(select.POLLOUT, until)
            try:
                return self._socket.send(data)
            except BlockingIOError:
                continue

    def receive(self, until: float) -> bytes:
        while True:
            self._await(select.POLLIN, until)
            try:
                return self._socket.recv(65536)
            except BlockingIOError:
                continue

    def has_input(self) -> bool:
        return _is_ready(self._socket, select.POLLIN, 0)

    def close(self) -> None:
        self._socket.close()

    def _await(self, event: int, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0 or not _is_ready(self._socket, event, left):
            raise TimeoutError("timed out")


def _is_ready(sock: socket.socket, event: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(sock, event)
    return bool(poll.poll(None if seconds == math.inf else math.ceil(seconds * 1000)))


@contextmanager
def connecting() -> Iterator[None]:
    """Turn the errors of a stream into those of a connection that is not made yet."""
    try:
        yield
    except TimeoutError as error:
        raise ConnectTimeoutFailure from error
    except OSError as error:
        raise ConnectFailure(in_words(error)) from error


class Network:
    """Makes connections, and keeps the deadline of the request that they are for.

    patience: returns for how many more seconds a connection may be waited for; it is asked
        again and again while one is made.
    connect_timeout: seconds for a connection.
    """

    deadline = math.inf
    trace = ConnectionTrace()

    def __init__(
        self, patience: Callable[[], float] = lambda: math.inf, connect_timeout: float = math.inf
    ) -> None:
        self._patience = patience
        self._connect_timeout = connect_timeout

    def until_connected(self) -> float:
        """Return until when a step of a connection that begins now has to be done."""
        return min(self.deadline, time.monotonic() + self._connect_timeout)

    def connect(self, host: str, port: int) -> TcpStream:
        """Return a connection; raises Failure.

        Each of the host's addresses is tried, and a dead first one leaves time for the next.
        """
        trace = self.trace = ConnectionTrace()
        trace.host, trace.began = host, time.monotonic()
        try:
            # As bytes, since text goes through the codec for international names, a slow one.
            found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ConnectFailure(in_words(error)) from error
        addresses = list(dict.fromkeys((family, where) for family, *_, where in found))
        trace.addresses = tuple(dict.fromkeys(str(where[0]) for _, where in addresses))
        trace.looked_up = time.monotonic()
        until = self.until_connected()
        failed: Failure = NoTimeToConnectFailure()
        for at, (family, where) in enumerate(addresses):
            left = min(until - time.monotonic(), self._patience())
            if left <= 0:
                break
            share = min(left, max(1.0, left / (len(addresses) - at)))
            try:
                with connecting():
                    sock = self._connected(family, where, time.monotonic() + share)
            except Failure as failure:
                failed = failure
            else:
                trace.connected = time.monotonic()
                return TcpStream(sock)
        raise failed

    def _connected(self, family: int, where: tuple[Any, ...], until: float) -> socket.socket:
        """Return a connected socket; raises OSError, which is TimeoutError if it takes too long."""
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = sock.connect_ex(where)
            if code in (errno.EINPROGRESS, errno.EINTR):
                self._await_connection(sock, until)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
        except BaseException:
            sock.close()
            raise
        return sock

    def _await_connection(self, sock: socket.socket, until: float) -> None:
        while True:
            left = min(until - time.monotonic(), self._patience())
            if _is_ready(sock, select.POLLOUT, max(0.0, min(left, _SLICE))):
                return
            if left <= 0:
                raise TimeoutError("timed out")
