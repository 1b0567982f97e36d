"""A receiver of alerts on loopback: a webhook that can misbehave."""

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import until

Behaviour = Callable[["Request"], None]
"""Answers a request, or does something worse with it."""


class Request(BaseHTTPRequestHandler):
    """A request to the receiver."""

    server: "Receiver"

    def do_POST(self) -> None:
        """Do what comes next in the receiver's list of behaviours; otherwise accept the alert."""
        behaviour = self.server.next_behaviour()
        behaviour(self)

    def read(self) -> dict[str, Any]:
        """Return the body, which must be a JSON object."""
        assert self.headers["Content-Type"] == "application/json"
        found = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert isinstance(found, dict)
        return found

    def answer(self, status: int, body: str = "", **headers: str) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: object) -> None:
        """Print nothing."""


def accept(request: Request) -> None:
    """Accept the alert."""
    request.server.accept(request.path, dict(request.headers), request.read())
    request.answer(200, "ok")


def refuse(status: int, body: str = "", **headers: str) -> Behaviour:
    """Return a behaviour that answers with a status."""

    def behave(request: Request) -> None:
        request.read()
        request.answer(status, body, **headers)

    return behave


def reset(request: Request) -> None:
    """Reset the connection before anything is read."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # The handler keeps the connection open through its files.
    for stream in (request.rfile, request.wfile):
        with contextlib.suppress(OSError):
            stream.close()
    request.connection.close()


def reset_after_reading(request: Request) -> None:
    """Read the alert, and reset the connection instead of answering."""
    request.read()
    reset(request)


class Receiver(ThreadingHTTPServer):
    """A webhook; `bodies`: what it has accepted, in order, with `paths` and `headers`."""

    daemon_threads = True

    def __init__(self, *behaviours: Behaviour, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Request)  # it has SO_REUSEADDR
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook"
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.count = 0
        self._behaviours = list(behaviours)
        self._lock = threading.Lock()

    def next_behaviour(self) -> Behaviour:
        """Return what to do with the next request."""
        with self._lock:
            self.count += 1
            return self._behaviours.pop(0) if self._behaviours else accept

    def accept(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> None:
        """Keep an alert."""
        with self._lock:
            self.paths.append(path)
            self.headers.append(headers)
            self.bodies.append(body)

    def until_accepted(self, count: int) -> list[dict[str, Any]]:
        """Wait for that many alerts, and return them."""
        until(lambda: len(self.bodies) >= count, f"{count} alerts have arrived")
        return self.bodies

    def handle_error(self, *args: object) -> None:
        """Ignore connections that were reset."""


@contextlib.contextmanager
def receiving(*behaviours: Behaviour, port: int = 0) -> Iterator[Receiver]:
    """Yield a receiver, which behaves as listed once each and then accepts everything."""
    with Receiver(*behaviours, port=port) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()
