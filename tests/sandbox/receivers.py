"""Receivers of alerts on loopback: a webhook that can misbehave, and an SMTP server."""

import contextlib
import email
import email.policy
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from email.message import EmailMessage
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
        super().__init__(("127.0.0.1", port), Request)
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


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class MailServer:
    """An SMTP server for one client after the other (RFC 5321); refuses the first ones."""

    def __init__(self, refusals: int = 0) -> None:
        self.mails: list[tuple[str, list[str], EmailMessage]] = []
        self._refusals = refusals
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "MailServer":
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(30)
            with connection, contextlib.suppress(OSError):
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        sender, recipients = "", list[str]()

        def say(line: str) -> None:
            connection.sendall(f"{line}\r\n".encode())

        say("220 ready")
        for raw in lines:
            line = raw.decode().strip()
            verb = line[:4].upper()
            if verb == "MAIL" and self._refusals:
                self._refusals -= 1
                say("451 try again later")
            elif verb == "MAIL":
                sender = line.partition("<")[2].partition(">")[0]
                say("250 ok")
            elif verb == "RCPT":
                recipients.append(line.partition("<")[2].partition(">")[0])
                say("250 ok")
            elif verb == "DATA":
                say("354 go on")
                body = b"".join(iter(lines.readline, b".\r\n"))
                mail = email.message_from_bytes(body, policy=email.policy.default)
                assert isinstance(mail, EmailMessage)
                self.mails.append((sender, recipients, mail))
                say("250 ok")
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")
