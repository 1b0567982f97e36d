"""The tests' own Crontify API on loopback; `tests/faults.py` makes it misbehave.

Written from the seed document alone, on bare sockets and threads: it shares no
line with the sandbox, so that a misreading of the contract is not tested with
itself, and a test can do to a connection what no framework would.
"""

import contextlib
import json
import re
import select
import socket
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from tests.waiting import PATIENCE

KEY = "ck_test_0123456789abcdef"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJlLW9mLXRoZS10ZXN0cw"
PREFIX = "/api/v1"


class Request(NamedTuple):
    """One request as it came in; header names in lower case, `arrived` on the monotonic clock."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    arrived: float
    connection: int

    @property
    def json(self) -> Any:
        """The body as JSON, strictly: NaN and Infinity are none."""
        return json.loads(self.body, parse_constant=_no_constant)

    @property
    def kind(self) -> str:
        """`start`, `success`, `fail`, `log`: the last word of the path."""
        return self.path.rpartition("/")[2]


class Behaviour(NamedTuple):
    """What to do with one request; with `before_reading`, before a byte of it was read."""

    act: "Callable[[Exchange], None]"
    before_reading: bool = False


class Exchange:
    """One request on its connection, for a behaviour to do with as it likes.

    Unless the behaviour calls `reply`, the connection is closed after it.
    """

    def __init__(self, api: "ApiServer", sock: socket.socket, request: Request | None) -> None:
        self.api = api
        self.sock = sock
        self._request = request
        self.keep = False

    @property
    def request(self) -> Request:
        assert self._request, "this behaviour needs the request to be read first"
        return self._request

    def reply(self, status: int, body: object = b"", headers: Mapping[str, str] = {}) -> None:
        """Send a whole answer: bytes as they are, anything else as JSON."""
        self.sock.sendall(response(status, body, headers))
        self.keep = True

    def wait(self, seconds: float) -> None:
        """Wait as long, or until the server is stopped."""
        self.api.stopped.wait(seconds)


def response(status: int, body: object = b"", headers: Mapping[str, str] = {}) -> bytes:
    """Return the bytes of an answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
    fields = {"Content-Length": str(len(content)), "Content-Type": "application/json"} | {**headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} {phrase}\r\n{head}\r\n".encode("latin-1") + content


class Certificate(NamedTuple):
    """Paths of a PEM certificate and of its private key."""

    certificate: Path
    key: Path


class ApiServer:
    """`with ApiServer() as api:` serves on `api.url` until the block ends.

    What happens to a request: the first behaviour queued for its kind by `script`,
    else the first queued for any kind, else what `choose` returns for it, else
    `default`, which is the seed's right answer.

    key, token: what is accepted; another one is answered 401.
    monitors: the monitors that exist, others are 404; None: every one exists.
    tls: certificate and key files (`self_signed` makes them); None: plain HTTP.
    """

    def __init__(
        self,
        *,
        key: str = KEY,
        token: str = TOKEN,
        monitors: set[str] | None = None,
        tls: Certificate | None = None,
    ) -> None:
        self.key, self.token, self.monitors = key, token, monitors
        self.default: Behaviour = right
        self.choose: Callable[[Request], Behaviour | None] | None = None
        self.requests: list[Request] = []
        self.accepted: list[Request] = []
        self.logs: dict[tuple[str, str], str | None] = {}
        self.connections = 0
        self.stopped = threading.Event()
        self._open_runs: dict[str, str] = {}
        self._runs = 0
        self._scripts: defaultdict[str | None, deque[Behaviour]] = defaultdict(deque)
        self._changed = threading.Condition()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._context: ssl.SSLContext | None = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(tls.certificate, tls.key)
        self._reserved = bound()  # nobody else gets the port, not even between down and up
        self.port: int = self._reserved.getsockname()[1]
        self._listener = bound(self.port)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}{PREFIX}"

    def __enter__(self) -> "ApiServer":
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._close_all()
        self._reserved.close()
        for thread in self._threads:
            thread.join(10)

    def script(self, *behaviours: Behaviour, kind: str | None = None) -> None:
        """Queue behaviours for the next requests, of one kind only if `kind` is given."""
        with self._changed:
            self._scripts[kind].extend(behaviours)

    def heal(self) -> None:
        """Forget the behaviours that are queued or chosen, and be right from now on."""
        with self._changed:
            self._scripts.clear()
            self.choose, self.default = None, right

    def kinds(self) -> list[str]:
        """Return the kinds of all requests so far, in order of arrival."""
        return [request.kind for request in self.requests]

    def wait_for(self, count: int, timeout: float = PATIENCE) -> list[Request]:
        """Return the requests once there are `count` of them; AssertionError after `timeout` s."""
        with self._changed:
            done = self._changed.wait_for(lambda: len(self.requests) >= count, timeout)
            assert done, f"{len(self.requests)} of {count} requests: {self.kinds()}"
            return list(self.requests)

    def down(self) -> None:
        """Refuse every connection from now on and end the open ones; the port stays ours."""
        self._close_all()
        self._listener = bound(self.port)

    def up(self) -> None:
        """Serve again after `down`."""
        self._listen()

    def _listen(self) -> None:
        self._listener.listen(1024)
        self._start(self._accept, self._listener)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads = [old for old in self._threads if old.is_alive()] + [thread]
        thread.start()

    def _close_all(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        with self._changed:
            sockets = list(self._sockets)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while not self.stopped.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self._changed:
                self.connections += 1
                self._sockets.add(sock)
            self._start(self._serve, sock, self.connections)

    def _serve(self, plain: socket.socket, number: int) -> None:
        sock = plain
        with contextlib.suppress(OSError), contextlib.ExitStack() as closing:
            closing.callback(lambda: self._forget(plain, sock))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context:
                sock = self._context.wrap_socket(plain, server_side=True)
                with self._changed:
                    self._sockets = self._sockets - {plain} | {sock}
            buffer = bytearray()
            while not self.stopped.is_set() and self._exchange(sock, buffer, number):
                pass

    def _forget(self, *sockets: socket.socket) -> None:
        with self._changed:
            self._sockets -= set(sockets)
        for sock in sockets:
            sock.close()

    def _exchange(self, sock: socket.socket, buffer: bytearray, number: int) -> bool:
        if not buffer:
            select.select([sock], [], [])
        with self._changed:
            first = next(iter(self._scripts[None]), None)
            if first and first.before_reading:
                self._scripts[None].popleft()
        if first and first.before_reading:
            first.act(Exchange(self, sock, None))
            return False
        request = _read(sock, buffer, number)
        if not request:
            return False
        exchange = Exchange(self, sock, request)
        self._record(request).act(exchange)
        return exchange.keep and request.headers.get("connection", "").lower() != "close"

    def _record(self, request: Request) -> Behaviour:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            for kind in (request.kind, None):
                if self._scripts[kind]:
                    return self._scripts[kind].popleft()
        return (self.choose and self.choose(request)) or self.default

    def take(self, request: Request) -> tuple[int, object]:
        """Return status and body of the seed's right answer, and note what was taken."""
        with self._changed:
            if match := re.fullmatch(PREFIX + r"/ping/([^/]+)/(start|success|fail)", request.path):
                return self._take_ping(request, *match.groups())
            if match := re.fullmatch(PREFIX + r"/monitors/([^/]+)/runs/([^/]+)/log", request.path):
                return self._give_log(request, *match.groups())
        return error(404, f"Cannot {request.method} {request.path}")

    def _take_ping(self, request: Request, monitor: str, kind: str) -> tuple[int, object]:
        if request.method != "POST":
            return error(404, f"Cannot {request.method} {request.path}")
        if request.headers.get("x-api-key") != self.key:
            return error(401, "Missing or invalid API key")
        if self.monitors is not None and monitor not in self.monitors:
            return error(404, "Monitor not found")
        if problem := _problem(request, kind):
            return error(400, [problem])
        if kind == "start" or monitor not in self._open_runs:
            self._runs += 1
            self._open_runs[monitor] = f"clrun{self._runs:04d}"
        run = self._open_runs[monitor]
        if kind != "start":
            del self._open_runs[monitor]
            log = request.json.get("logOutput") if request.body else None
            self.logs[monitor, run] = log[:10_000] if log else None
        self.accepted.append(request)
        status = {"start": "running", "success": "success", "fail": "failed"}[kind]
        return 200, {
            "success": True,
            "data": {
                "received": True,
                "monitorId": monitor,
                "runId": run,
                "status": status,
                "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
            },
        }

    def _give_log(self, request: Request, monitor: str, run: str) -> tuple[int, object]:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return error(401, "Unauthorized")
        if (monitor, run) not in self.logs:
            return error(404, "Run not found")
        log = self.logs[monitor, run]
        return 200, {"hasLog": log is not None, "content": log}


def settings(api: ApiServer) -> dict[str, str]:
    """Return the environment in which `crontify` reports to `api`."""
    return {"CRONTIFY_API_KEY": KEY, "CRONTIFY_BASE_URL": api.url}


def _problem(request: Request, kind: str) -> str | None:
    """Return what a strict server finds wrong with a ping's body, None if nothing."""
    if not request.body:
        return None
    if kind == "start":
        return "a start has no body"
    if request.headers.get("content-type") != "application/json":
        return "Content-Type must be application/json"
    try:
        body = request.json
        json.dumps(body, ensure_ascii=False).encode()
    except ValueError as error:
        return f"body is not JSON: {error}"
    allowed = {"meta"} if kind == "success" else {"meta", "errorMessage", "logOutput"}
    if not isinstance(body, dict) or body.keys() - allowed:
        return f"body must have only {sorted(allowed)}"
    meta = body.get("meta", {})
    if not isinstance(meta, dict) or any(type(v) not in (int, float) for v in meta.values()):
        return "meta must be numbers"
    for name, most in (("errorMessage", 500), ("logOutput", 1_000_000)):
        text = body.get(name, "")
        if not isinstance(text, str) or "\0" in text:
            return f"{name} must be text without U+0000"
        if len(text.encode("utf-16-le")) > 2 * most:
            return f"{name} must be at most {most} characters"
    return None


def error(status: int, message: str | list[str]) -> tuple[int, object]:
    """Return status and body of a refusal, in the shape that NestJS gives it."""
    body = {"statusCode": status, "message": message, "error": HTTPStatus(status).phrase}
    return status, body


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def bound(port: int = 0, address: str = "127.0.0.1") -> socket.socket:
    """Return a socket that holds a port of a loopback address but does not listen."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    return sock


def _read(sock: socket.socket, buffer: bytearray, number: int) -> Request | None:
    """Take one request from the connection; None if it ends before there is a whole one."""
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        if not _more(sock, buffer):
            return None
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    assert "transfer-encoding" not in headers, "the client is expected to know the length"
    length = end + 4 + int(headers.get("content-length", 0))
    while len(buffer) < length:
        if not _more(sock, buffer):
            return None
    body = bytes(buffer[end + 4 : length])
    del buffer[:length]
    return Request(method, path, headers, body, time.monotonic(), number)


def _more(sock: socket.socket, buffer: bytearray) -> bool:
    data = sock.recv(65536)
    buffer += data
    return bool(data)


# The behaviours.


def _right(exchange: Exchange) -> None:
    exchange.reply(*exchange.api.take(exchange.request))


right = Behaviour(_right)
"""The seed's answer."""


def answer(status: int, body: object = b"", headers: Mapping[str, str] = {}) -> Behaviour:
    """Answer with this; bytes go out as they are, anything else as JSON."""
    return Behaviour(lambda exchange: exchange.reply(status, body, headers))
