"""Requests that the sandbox refuses before it spends time or memory on them."""

import contextlib
import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.programs import need
from tests.sandbox.server import Server, serving
from tests.waiting import PATIENCE

ONE_BYTE_CHUNK = b"1\r\nx\r\n"
IMPATIENT = """\
import sys
from crontify_cli.sandbox import protocol
protocol.REQUEST_SECONDS = 2.0
from crontify_cli.__main__ import main
sys.exit(main())
"""
"""`crontify`, with a time limit for requests that a test can wait for."""


def _connect(server: Server) -> socket.socket:
    url = urlsplit(server.url)
    return socket.create_connection((url.hostname, url.port), timeout=PATIENCE)


def _head(server: Server, method: str, path: str, *lines: str) -> bytes:
    url = urlsplit(server.url)
    head = [f"{method} {url.path}{path} HTTP/1.1", f"Host: {url.netloc}", *lines]
    return "\r\n".join([*head, "", ""]).encode()


def _answer(connection: socket.socket) -> tuple[int, str]:
    """Return the status and the message of an answer."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, json.loads(response.read())["message"]


def _with_host(server: Server, host: str | None) -> tuple[int, str]:
    url = urlsplit(server.url)
    lines = [f"GET {url.path}/monitors HTTP/1.{0 if host is None else 1}"]
    if host is not None:
        lines.append(f"Host: {host}")
    with _connect(server) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        return _answer(connection)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8787", "localhost.evil.example", "127.0.0.1.evil.example"),
        *("192.0.2.7", "[2001:db8::1]:80", "", "localhost:80:80", "user@localhost", "[::1", "\xff"),
        None,
    ],
)
def test_an_unknown_host_is_refused_whatever_else_is_right(
    server: Server, host: str | None
) -> None:
    status, message = _with_host(server, host)
    assert status == 400
    assert "Host" in message
    assert message.isprintable()


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:9", "127.0.0.1", "127.3.2.1:80", "[::1]:8787", "localhost."]
)
def test_the_names_of_loopback_are_known_with_any_port(server: Server, host: str) -> None:
    status, message = _with_host(server, host)
    assert (status, "token" in message) == (401, True)


def test_the_name_given_to_host_is_known(tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db", "--host", "0.0.0.0") as server:
        assert _with_host(server, "192.0.2.7:80")[0] == 401  # whichever address this machine has
        assert _with_host(server, f"{socket.gethostname()}:80")[0] == 401
        assert _with_host(server, "evil.example")[0] == 400


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("access", [(), ("X-API-Key: ck_live_wrong",)])
def test_a_body_without_a_valid_key_is_refused_unread(server: Server, access: str) -> None:
    before = _cpu_seconds(server.process.pid)
    head = _head(server, "POST", "/ping/clx/fail", "Transfer-Encoding: chunked", *access)
    with _connect(server) as connection:
        connection.sendall(head)
        status, message = _answer(connection)  # although not one byte of the body was sent
        assert status == 401
        assert "API key" in message
        with contextlib.suppress(ConnectionError):  # the server may have had enough
            connection.sendall(ONE_BYTE_CHUNK * 600_000)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
    # Reading so many chunks takes seconds.
    assert _cpu_seconds(server.process.pid) - before < 1


@pytest.mark.parametrize("path", ["/monitors", "/nowhere"])
def test_a_body_for_another_address_requires_a_token(server: Server, path: str) -> None:
    for access, status in (("X-Other: y", 401), (f"Authorization: Bearer {server.token}", 4)):
        with _connect(server) as connection:
            connection.sendall(_head(server, "PUT", path, access, "Content-Length: 1000000"))
            if status == 401:
                assert _answer(connection)[0] == 401
                continue
            connection.sendall(b"x" * 1_000_000)
            assert _answer(connection)[0] in (404, 405)


def test_a_length_above_the_limit_is_refused_before_the_body_is_sent(server: Server) -> None:
    access = f"X-API-Key: {server.api_key}"
    with _connect(server) as connection:
        connection.sendall(
            _head(server, "POST", "/ping/clx/fail", access, "Content-Length: 1048577")
        )
        assert _answer(connection)[0] == 413


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A sandbox that gives a request two seconds instead of ten."""
    program = [sys.executable, "-c", IMPATIENT]
    with serving(tmp_path_factory.mktemp("impatient") / "sandbox.db", program=program) as running:
        yield running


@pytest.mark.parametrize(
    "sent", ["", "POST /api/v1/pi", "head", "body"], ids=["nothing", "a line", "head", "body"]
)
def test_a_request_that_stays_incomplete_is_dropped(impatient: Server, sent: str) -> None:
    head = _head(
        impatient, "POST", "/ping/clx/fail", f"X-API-Key: {impatient.api_key}", "Content-Length: 9"
    )
    text = {"head": head[:-2], "body": head + b"{"}.get(sent, sent.encode())
    with _connect(impatient) as connection:
        connection.sendall(text)
        assert connection.recv(1) == b""  # closed; a timeout of the test's socket otherwise


def test_a_request_that_trickles_in_is_dropped(impatient: Server) -> None:
    with _connect(impatient) as connection:
        deadline = time.monotonic() + PATIENCE
        connection.sendall(b"GET /api/v1/monitors HTTP/1.1\r\nX-Long: ")
        connection.settimeout(0.1)
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                try:
                    connection.sendall(b"x")
                    if connection.recv(1) == b"":
                        return
                except ConnectionError:
                    return
        pytest.fail("the connection is still open")


def test_a_complete_request_has_as_much_time_as_its_answer_takes(impatient: Server) -> None:
    """A connection that is kept open is not dropped while requests come in over it."""
    # A machine that is busy for two seconds can drop one.
    assert any(_stays_open(impatient) for _ in range(5))


def _stays_open(server: Server) -> bool:
    """Tell whether a connection lasts while each of its pauses is shorter than the time limit."""
    url = urlsplit(server.url)
    assert url.hostname
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.connect()
        first = connection.sock
        for _ in range(7):
            try:
                connection.request("GET", f"{url.path}/monitors")
                assert connection.getresponse().read()
            except (ConnectionError, http.client.HTTPException):
                return False
            time.sleep(0.4)
        return connection.sock is first


def test_half_open_requests_do_not_keep_others_out(tmp_path: Path) -> None:
    need("prlimit")
    program = [sys.executable, "-c", IMPATIENT]
    limited = serving(tmp_path / "sandbox.db", before=["prlimit", "--nofile=64"], program=program)
    with limited as server, contextlib.ExitStack() as held:
        for _ in range(100):
            held.enter_context(_connect(server)).sendall(b"GET / HTTP/1.1\r\n")
        assert server.get("/monitors").status_code == 200
