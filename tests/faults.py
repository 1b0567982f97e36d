"""Every way in which a server can misbehave: behaviours for `ApiServer`, and addresses.

api.script(hang_after_reading, rate_limited(2), right)
"""

import contextlib
import math
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

from tests.server import (
    PREFIX,
    Behaviour,
    Certificate,
    Exchange,
    Request,
    answer,
    bound,
    error,
    response,
    right,
)

garbage = answer(200, b"<html>\xff\x00 it works!")
empty = answer(200)


def redirect(address: str, status: int = 302) -> Behaviour:
    """Send the client to another address."""
    return answer(status, b"", {"Location": address})


def rate_limited(
    seconds: int | None = None, *, date: float | None = None, message: str = "Too many requests"
) -> Behaviour:
    """Answer 429 with `Retry-After: seconds`, with the HTTP date in `date` seconds, or neither."""

    def act(exchange: Exchange) -> None:
        headers = {"Retry-After": str(seconds)} if seconds is not None else {}
        if date is not None:
            headers["Retry-After"] = formatdate(time.time() + date, usegmt=True)
        exchange.reply(*error(429, message), headers)

    return Behaviour(act)


class Plan:
    """A plan that accepts one ping of a monitor per `interval` seconds: for `ApiServer.choose`.

    refused: how many pings it has refused.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.refused = 0
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Behaviour | None:
        """Return a refusal if the ping comes too early, else None: it is accepted."""
        monitor = request.path.split("/")[-2]
        with self._lock:
            wait = self._last.get(monitor, -math.inf) + self.interval - request.arrived
            if wait > 0:
                self.refused += 1
                return rate_limited(message=f"Rate limit exceeded: wait {math.ceil(wait)} seconds")
            self._last[monitor] = request.arrived
        return None


def delayed(seconds: float, then: Behaviour = right) -> Behaviour:
    """Wait, then behave."""

    def act(exchange: Exchange) -> None:
        exchange.wait(seconds)
        then.act(exchange)

    return Behaviour(act)


def taken_then(then: Behaviour) -> Behaviour:
    """Take the ping as the right answer would, but let the client see only `then`."""

    def act(exchange: Exchange) -> None:
        exchange.api.take(exchange.request)
        then.act(exchange)

    return Behaviour(act)


def _hang(exchange: Exchange) -> None:
    exchange.wait(3600)


hang_before_reading = Behaviour(_hang, before_reading=True)
hang_after_reading = Behaviour(_hang)


def _reset(exchange: Exchange) -> None:
    exchange.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.sock.close()


reset = Behaviour(_reset)
"""Reset the connection (RST) once the request is read."""

reset_before_reading = Behaviour(_reset, before_reading=True)
close = Behaviour(lambda exchange: None)
"""Close without an answer once the request is read."""


def _reset_mid_body(exchange: Exchange) -> None:
    exchange.sock.sendall(response(200, *exchange.api.take(exchange.request)[1:])[:-20])
    exchange.wait(0.05)  # let the first part arrive: a RST discards what is still on its way
    _reset(exchange)


reset_mid_body = Behaviour(_reset_mid_body)


def flood(size: int = 100_000_000, status: int = 200) -> Behaviour:
    """Answer with a body of `size` bytes, as far as the client reads it."""

    def act(exchange: Exchange) -> None:
        head = f"HTTP/1.1 {status} Flood\r\nContent-Length: {size}\r\n\r\n"
        exchange.sock.sendall(head.encode())
        block = b"x" * 65536
        for at in range(0, size, len(block)):
            exchange.sock.sendall(block[: size - at])
        exchange.keep = True

    return Behaviour(act)


def trickle(data: bytes | None = None, pause: float = 1.0) -> Behaviour:
    """Send the answer (the right one if none is given) one byte every `pause` seconds."""

    def act(exchange: Exchange) -> None:
        for byte in data or response(*exchange.api.take(exchange.request)):
            if exchange.api.stopped.is_set():
                return
            exchange.sock.sendall(bytes([byte]))
            exchange.wait(pause)

    return Behaviour(act)


# Addresses that are none.


@contextlib.contextmanager
def refusing_url() -> Iterator[str]:
    """Yield the URL of a port that is reserved, so that nobody ever listens there."""
    with bound() as sock:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}{PREFIX}"


@contextlib.contextmanager
def deaf(address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Yield a port that never completes a connection: its backlog is full.

    As Linux has it: the kernel drops the SYN of what does not fit.
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(bound(port, address))
        listener.listen(0)
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextlib.contextmanager
def deaf_url() -> Iterator[str]:
    """Yield the URL of such a port."""
    with deaf() as port:
        yield f"http://127.0.0.1:{port}{PREFIX}"


def self_signed(folder: Path, host: str = "127.0.0.1") -> Certificate:
    """Make a certificate for `host` that no system trusts, with the openssl program."""
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    kind = "IP" if host.replace(".", "").isdigit() else "DNS"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        f" -subj /CN={host} -addext subjectAltName={kind}:{host} -keyout {made.key.name}"
        f" -out {made.certificate.name}"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return made
