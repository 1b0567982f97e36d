"""How requests reach the server: sockets, TLS and proxies; one connection, one deadline.

The only httpx and httpcore: whatever speaks HTTP takes the two from here.
"""

import contextlib
import errno
import math
import os
import re
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from crontify_cli.errors import CrontifyError, in_words, one_line, say


@contextlib.contextmanager
def _without(*modules: str) -> Iterator[None]:
    """Make imports of these fail meanwhile, as where they are not installed.

    None in sys.modules does that: the import system's documentation.
    """
    absent = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # typeshed knows no None there
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


# httpx imports its own command line, with click, rich and pygments: half of its time.
# httpcore imports what only its asynchronous half needs.
with _without("httpx._main", "anyio", "trio"):
    import httpcore as httpcore
    import httpx as httpx

    # Not public, but all that the public backend returns: it cannot interrupt a connect.
    from httpcore._backends.sync import SyncStream


NO_TIME = "no time left"
_SLICE = 0.1
"""Seconds after which a connection attempt asks whether it is still wanted."""


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


class Network(httpcore.SyncBackend):
    """Sockets whose every operation ends at `deadline`, on the monotonic clock.

    patience: returns for how many more seconds a connection may be waited for; it is asked
        again and again while one is made.
    """

    deadline = math.inf
    trace = ConnectionTrace()

    def __init__(self, patience: Callable[[], float] = lambda: math.inf) -> None:
        self._patience = patience

    def left(self, timeout: float | None, late: type[Exception]) -> float:
        """Return the seconds for an operation; raises `late` if there are none left."""
        left = min(math.inf if timeout is None else timeout, self.deadline - time.monotonic())
        if left <= 0:
            raise late("the time for the request is over")
        return left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Try each of the host's addresses, so that a dead first one leaves time for the next."""
        trace = self.trace = ConnectionTrace()
        trace.host, trace.began = host, time.monotonic()
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(in_words(error)) from error
        addresses = list(dict.fromkeys((family, where) for family, *_, where in found))
        trace.addresses = tuple(dict.fromkeys(str(where[0]) for _, where in addresses))
        trace.looked_up = time.monotonic()
        until = time.monotonic() + self.left(timeout, httpcore.ConnectTimeout)
        failed: Exception | None = None
        for at, (family, where) in enumerate(addresses):
            left = min(until - time.monotonic(), self._patience())
            if left <= 0:
                break
            share = min(left, max(1.0, left / (len(addresses) - at)))
            try:
                stream = SyncStream(self._connected(family, where, time.monotonic() + share))
            except TimeoutError as error:
                failed = httpcore.ConnectTimeout(str(error))
            except OSError as error:
                failed = httpcore.ConnectError(in_words(error))
                failed.__cause__ = error
            else:
                trace.connected = time.monotonic()
                return _Stream(stream, self)
        raise failed or httpcore.ConnectTimeout(NO_TIME)

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
        poll = select.poll()
        poll.register(sock, select.POLLOUT)
        while True:
            left = min(until - time.monotonic(), self._patience())
            if poll.poll(max(0.0, min(left, _SLICE)) * 1000):
                return
            if left <= 0:
                raise TimeoutError("timed out")


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, network: Network) -> None:
        self._stream = stream
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._network.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._network.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._network.left(timeout, httpcore.ConnectTimeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, left)
        trace, secure = self._network.trace, stream.get_extra_info("ssl_object")
        trace.secured, trace.tls = time.monotonic(), secure.version() or ""
        trace.certificate = secure.getpeercert() or {}
        return _Stream(stream, self._network)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def trusted(ca_bundle: str | None = None) -> ssl.SSLContext:
    """Return a TLS context that trusts `ca_bundle`, else the system's certificates.

    Which are, in this order: what `SSL_CERT_FILE` and `SSL_CERT_DIR` name; OpenSSL's
    folder of hashed certificates, of which only the one needed is read, while a
    bundle costs tens of milliseconds of parsing; OpenSSL's bundle; certifi's.

    Raises CrontifyError if `ca_bundle` or the environment names nothing usable.
    """
    source = trust_source(ca_bundle)
    named: tuple[str | None, str | None]
    if ca_bundle:
        named = (None, ca_bundle) if os.path.isdir(ca_bundle) else (ca_bundle, None)
    elif source:
        named = os.environ.get("SSL_CERT_FILE") or None, os.environ.get("SSL_CERT_DIR") or None
    else:
        named = _system_certificates()
    _drop_unusable_key_log()
    try:
        return ssl.create_default_context(cafile=named[0], capath=named[1])
    except OSError as error:  # SSLError is one
        raise CrontifyError(
            f"cannot read certificates from {source or 'the system'}"
            f" {named[0] or named[1]!r}: {error.strerror or error}"
        ) from None


def trust_source(ca_bundle: str | None) -> str:
    """Return the setting or variable that says which certificates to trust, "" for none."""
    if ca_bundle:
        return "ca_bundle"
    return next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), "")


def _drop_unusable_key_log() -> None:
    """Ignore SSLKEYLOGFILE if it cannot be written: no connection may fail because of it."""
    path = os.environ.get("SSLKEYLOGFILE")
    if not path:
        return
    try:
        # Non-blocking, so that a FIFO without a reader is an error, too.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        os.close(os.open(path, flags, 0o600))
    except (OSError, ValueError) as error:
        del os.environ["SSLKEYLOGFILE"]  # where the ssl module reads it
        words = one_line(f"{path}: {getattr(error, 'strerror', None) or error}")
        say(f"SSLKEYLOGFILE is ignored, since it cannot be written: {words}")


def _system_certificates() -> tuple[str | None, str | None]:
    paths = ssl.get_default_verify_paths()
    with contextlib.suppress(OSError), os.scandir(paths.openssl_capath) as entries:
        # A few may be somebody's own beside a bundle; the system's are more than a hundred.
        if sum(entry.name.endswith(".0") for entry in entries) >= 20:
            return None, paths.openssl_capath
    if os.path.exists(paths.openssl_cafile):
        return paths.openssl_cafile, None
    import certifi

    return certifi.where(), None


_IDLE = 4.0
"""Seconds after which an unused connection is not used again: many servers close
theirs after 5, and a request that crosses with that has an unknown fate."""


def checked_url(what: str, text: str, schemes: tuple[str, ...]) -> httpx.URL:
    """Return `text` as a URL; raises CrontifyError that names `what` if its scheme is another."""
    try:
        url = httpx.URL(text.strip())
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL("")
    if url.scheme not in schemes or not re.fullmatch(r"[\w.:-]+", url.host):
        raise CrontifyError(f"{what} is not a URL that begins with {_any_of(schemes)}")
    return url


def _any_of(schemes: tuple[str, ...]) -> str:
    *some, last = (f"{scheme}://" for scheme in schemes)
    return f"{', '.join(some)} or {last}"


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return what has to be the same for a key to go there too."""
    return url.scheme, url.host, url.port


class Transport(httpx.BaseTransport):
    """httpcore's pool on our own network, which has one deadline for all of a request.

    httpx's own transport bounds each read by itself: an answer that comes byte by
    byte would keep it for ever.
    """

    def __init__(
        self, network: Network, context: ssl.SSLContext | None, proxy: httpx.URL | None
    ) -> None:
        through = None
        if proxy:
            auth = (proxy.username, proxy.password) if proxy.userinfo else None
            through = httpcore.Proxy(
                _core(proxy.copy_with(username=None, password=None)),
                auth=auth,
                ssl_context=context if proxy.scheme == "https" else None,
            )
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            proxy=through,
            max_connections=1,
            keepalive_expiry=_IDLE,
            network_backend=network,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        response = self._pool.handle_request(
            httpcore.Request(
                request.method,
                _core(request.url),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        assert isinstance(response.stream, Iterable)
        # Client would judge a redirect itself, and raise for an address it cannot read.
        location = [value for name, value in response.headers if name.lower() == b"location"]
        return httpx.Response(
            response.status,
            headers=[pair for pair in response.headers if pair[0].lower() != b"location"],
            stream=_Body(response.stream),
            extensions={"location": b"".join(location[:1]).decode("latin-1")},
        )

    def close(self) -> None:
        self._pool.close()


def _core(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        if hasattr(self._stream, "close"):
            self._stream.close()
