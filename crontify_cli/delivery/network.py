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
HEAD_START = 0.25
"""Seconds that an address has to answer before the next one is tried as well."""


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
        """Send the beginning of `data`; return how many bytes. If it raises, none were sent.

        Return 0 if something has come from the other side, which takes no more for now.
        """

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
            if self._await(select.POLLOUT | select.POLLIN, until) == select.POLLIN:
                return 0
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
        return bool(_ready(self._socket, select.POLLIN, 0))

    def close(self) -> None:
        self._socket.close()

    def _await(self, events: int, until: float) -> int:
        left = until - time.monotonic()
        ready = _ready(self._socket, events, left) if left > 0 else 0
        if not ready:
            raise TimeoutError("timed out")
        return ready


def _ready(sock: socket.socket, events: int, seconds: float) -> int:
    """Wait for one of the events of poll(2); return those that there are."""
    poll = select.poll()
    poll.register(sock, events)
    found = poll.poll(None if seconds == math.inf else math.ceil(seconds * 1000))
    return found[0][1] if found else 0


@contextmanager
def connecting() -> Iterator[None]:
    """Turn the errors of a stream into those of a connection that is not made yet."""
    try:
        yield
    except OSError as error:
        raise _connect_failure(error) from error


def _connect_failure(error: OSError) -> Failure:
    if isinstance(error, TimeoutError):
        return ConnectTimeoutFailure()
    return ConnectFailure(in_words(error))


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
        within = min(self._connect_timeout, self._patience())
        return min(self.deadline, time.monotonic() + within)

    def connect(self, host: str, port: int) -> TcpStream:
        """Return a connection; raises Failure.

        The host's addresses are tried one after the other, each HEAD_START before the next, and
        the first that answers is taken (RFC 8305): several dead ones cost little time.
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
        sock = self._first_connected(addresses, self.until_connected())
        trace.connected = time.monotonic()
        return TcpStream(sock)

    def _first_connected(
        self, addresses: list[tuple[int, tuple[Any, ...]]], until: float
    ) -> socket.socket:
        """Return a socket that is connected to one of the addresses; raises Failure."""
        failed: Failure = NoTimeToConnectFailure()
        waiting, next_at = addresses[::-1], 0.0
        pending: list[socket.socket] = []
        try:
            while waiting or pending:
                now = time.monotonic()
                left = min(until - now, self._patience())
                if left <= 0:
                    raise ConnectTimeoutFailure if pending else failed
                try:
                    if waiting and now >= next_at:
                        pending.append(_begin(*waiting.pop()))
                        next_at = now + HEAD_START
                    pause = max(0.0, next_at - now) if waiting else left
                    if connected := _connected(pending, min(left, pause, _SLICE)):
                        return connected
                except OSError as error:
                    failed, next_at = _connect_failure(error), 0.0
            raise failed
        finally:
            for sock in pending:
                sock.close()


def _begin(family: int, where: tuple[Any, ...]) -> socket.socket:
    """Return a socket that is about to be connected; raises OSError."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(where)
        if code not in (0, errno.EINPROGRESS, errno.EINTR):
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


def _connected(pending: list[socket.socket], seconds: float) -> socket.socket | None:
    """Wait for one of the sockets to be connected, and take it out of `pending`.

    Raises OSError for one that failed, which is taken out as well.
    """
    poll = select.poll()
    for sock in pending:
        poll.register(sock, select.POLLOUT)
    ready = {fd for fd, _ in poll.poll(math.ceil(seconds * 1000))}
    for at, sock in enumerate(pending):
        if sock.fileno() in ready:
            del pending[at]
            if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                sock.close()
                raise OSError(code, os.strerror(code))
            return sock
    return None
