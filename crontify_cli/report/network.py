"""Sockets and TLS for the API: bounded in time, and cheap to set up."""

import contextlib
import math
import os
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from typing import Any

from crontify_cli.errors import CrontifyError
from crontify_cli.report.slim import httpcore


class Course:
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
    """Sockets whose every operation ends at `deadline`, on the monotonic clock."""

    deadline = math.inf
    course = Course()

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
        course = self.course = Course()
        course.host, course.began = host, time.monotonic()
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = list(dict.fromkeys(str(where[0]) for *_, where in found))
        course.addresses, course.looked_up = tuple(addresses), time.monotonic()
        until = time.monotonic() + self.left(timeout, httpcore.ConnectTimeout)
        failed: Exception | None = None
        for at, address in enumerate(addresses):
            left = until - time.monotonic()
            if left <= 0:
                break
            share = min(left, max(1.0, left / (len(addresses) - at)))
            try:
                stream = super().connect_tcp(address, port, share, local_address, socket_options)
                course.connected = time.monotonic()
                return _Stream(stream, self)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore.ConnectTimeout("no time left")


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
        course, secure = self._network.course, stream.get_extra_info("ssl_object")
        course.secured, course.tls = time.monotonic(), secure.version() or ""
        course.certificate = secure.getpeercert() or {}
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
    named = os.environ.get("SSL_CERT_FILE") or None, os.environ.get("SSL_CERT_DIR") or None
    if ca_bundle:
        named = (None, ca_bundle) if os.path.isdir(ca_bundle) else (ca_bundle, None)
    if not any(named):
        named = _system_certificates()
    try:
        return ssl.create_default_context(cafile=named[0], capath=named[1])
    except OSError as error:  # SSLError is one
        what = "ca_bundle" if ca_bundle else "SSL_CERT_FILE"
        raise CrontifyError(
            f"cannot read certificates from {what} {named[0] or named[1]!r}:"
            f" {error.strerror or error}"
        ) from None


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
