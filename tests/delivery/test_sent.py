"""Whether a ping was sent is known, wherever the connection fails."""

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from crontify_cli.delivery.api import Api
from crontify_cli.delivery.network import TcpStream
from crontify_cli.delivery.tls import TlsStream
from crontify_cli.model import Answer, Ping
from tests.delivery.peer import (
    PATIENCE,
    Proxy,
    Script,
    answering,
    await_end,
    each_byte,
    peer,
    read_request,
    reset,
)
from tests.faults import deaf_url, empty, self_signed
from tests.server import KEY, PREFIX, ApiServer, Certificate
from tests.waiting import SOON, within_any

START = Ping("m", "start")
LARGE = Ping("m", "fail", {}, "it broke", "x" * 20_000_000)
"""More than the buffers of a connection hold."""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def ask(url: str, ping: Ping = START, **more: object) -> Answer:
    with Api(url, KEY, **more) as api:  # type: ignore[arg-type]  # each test's own settings
        return api.ping(ping)


def assert_set(event: threading.Event) -> None:
    assert event.wait(20)


# A connection that fails.


def cut_in_head(sock: socket.socket) -> None:
    sock.recv(10)
    reset(sock)


def cut_in_body(sock: socket.socket) -> None:
    sock.recv(65536)
    reset(sock)


def cut_after_request(sock: socket.socket) -> None:
    read_request(sock)
    reset(sock)


@pytest.mark.parametrize(
    ("script", "ping"),
    [
        (cut_in_head, START),
        (cut_in_body, LARGE),
        (cut_after_request, START),
        (answering(), START),
        (answering(b"HTTP/1.1 2"), START),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Le"), START),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n"), START),
        (answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"), START),
        (answering(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"), START),
    ],
)
def test_what_may_have_left_is_unknown(script: Script, ping: Ping) -> None:
    with peer(script) as url:
        answer = ask(url, ping)
    assert (answer.fate, answer.status) == ("unknown", None)
    assert answer.message.startswith("no answer from 127.0.0.1:")


def kept_then(end: Callable[[socket.socket], None], ended: threading.Event) -> Script:
    """Answer the first ping, then end the connection."""

    def script(sock: socket.socket) -> None:
        answering(OK)(sock)
        end(sock)
        ended.set()

    return script


@pytest.mark.parametrize("end", [socket.socket.close, reset])
def test_a_ping_does_not_use_a_connection_that_the_server_has_ended(
    end: Callable[[socket.socket], None],
) -> None:
    ended = threading.Event()
    with peer(kept_then(end, ended), answering(OK)) as url, Api(url, KEY) as api:
        assert api.ping(START).fate == "received"
        assert_set(ended)
        assert api.ping(START).fate == "received"


@pytest.fixture
def unnoticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends the connection right after we have looked whether it has."""
    monkeypatch.setattr(TcpStream, "has_input", lambda _: False)


@pytest.mark.usefixtures("unnoticed")
def test_a_ping_of_which_a_reset_connection_took_nothing_is_sent_on_another_one() -> None:
    ended = threading.Event()
    with peer(kept_then(reset, ended), answering(OK)) as url, Api(url, KEY) as api:
        api.ping(START)
        assert_set(ended)
        assert api.ping(START).fate == "received"


@pytest.mark.usefixtures("unnoticed")
def test_a_ping_that_crosses_with_the_end_of_the_connection_is_not_sent_again() -> None:
    """The kernel took it, so nobody knows whether the server did."""
    ended = threading.Event()
    with (
        peer(kept_then(socket.socket.close, ended), answering(OK)) as url,
        Api(url, KEY) as api,
    ):
        api.ping(START)
        assert_set(ended)
        assert api.ping(START).fate == "unknown"
        assert api.ping(START).fate == "received"  # by the second connection


def test_a_refusal_before_the_whole_request_was_read_is_an_answer() -> None:
    def script(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        sock.shutdown(socket.SHUT_RDWR)

    with peer(script) as url:
        answer = ask(url, LARGE)
    assert (answer.fate, answer.status) == ("refused", 413)


TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("secured", [False, True])
@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_refusal_from_a_server_that_reads_no_more_is_not_waited_for_until_the_deadline(
    first: bytes, secured: bool, tmp_path: Path
) -> None:
    """The rest of the request stays unsent, and its connection is not used again."""
    made = self_signed(tmp_path) if secured else None
    has_answer = threading.Event()

    def refuse(sock: socket.socket) -> None:
        with served(sock, made) as end:
            end.recv(1000)
            end.sendall(first + TOO_LARGE)
            assert_set(has_answer)

    def accept(sock: socket.socket) -> None:
        with served(sock, made) as end:
            answering(OK)(end)

    with peer(refuse, accept) as url:
        url = url.replace("http:", "https:") if made else url
        ca_bundle = str(made.certificate) if made else None
        with Api(url, KEY, ca_bundle=ca_bundle, http_timeout=PATIENCE) as api:
            assert api.ping(LARGE).status == 413
            has_answer.set()
            assert api.ping(START).fate == "received"


@pytest.mark.parametrize("secured", [False, True])
def test_a_request_goes_on_after_an_interim_answer_that_came_while_it_was_sent(
    secured: bool, tmp_path: Path
) -> None:
    made = self_signed(tmp_path) if secured else None
    received = []

    def script(sock: socket.socket) -> None:
        with served(sock, made) as end:
            begun = end.recv(1000)
            end.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(SOON)  # until the client can send no more
            received.append(read_request(end, begun))
            end.sendall(OK)

    with peer(script) as url:
        url = url.replace("http:", "https:") if made else url
        ca_bundle = str(made.certificate) if made else None
        answer = ask(url, LARGE, ca_bundle=ca_bundle, http_timeout=PATIENCE)
    assert answer.fate == "received"
    assert received[0].endswith(b'x"}')


@contextlib.contextmanager
def served(sock: socket.socket, certificate: Certificate | None) -> Iterator[socket.socket]:
    """Yield the server's end of a connection, by TLS if there is a certificate."""
    if certificate is None:
        yield sock
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    with context.wrap_socket(sock.dup(), server_side=True) as end:
        yield end


# An answer that comes in an unusual way.


@pytest.mark.parametrize(
    "pieces",
    [
        each_byte(OK),
        (b"HTTP/1.1 100 Continue\r\n\r\n", OK),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n", OK),
        (OK.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 90_000 + b"\r\n\r\n"),),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
            b"1\r\n}\r\n0\r\n\r\n",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n{}",),  # its end is that of the connection
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",),
        (b"HTTP/1.1 204 No Content\r\n\r\n",),
    ],
)
def test_a_whole_answer_is_read_however_it_comes(pieces: tuple[bytes, ...]) -> None:
    with peer(answering(*pieces)) as url:
        assert ask(url).fate == "received"


@pytest.mark.parametrize(
    "first",
    [
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        OK + b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b" " * 1_500_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nnot a chunk\r\n",
    ],
)
def test_a_connection_that_cannot_be_kept_is_not_used_again(first: bytes) -> None:
    def script(sock: socket.socket) -> None:
        answering(first)(sock)
        await_end(sock)

    with peer(script, answering(OK)) as url, Api(url, KEY) as api:
        api.ping(START)
        assert api.ping(START).fate == "received"


# The deadline, in every phase.


def silent(sock: socket.socket) -> None:
    await_end(sock)


def silent_after(*pieces: bytes) -> Script:
    def script(sock: socket.socket) -> None:
        answering(*pieces)(sock)
        await_end(sock)

    return script


@pytest.mark.parametrize(
    ("scheme", "script", "ping", "fate", "words"),
    [
        ("https", silent, START, "unsent", "no connection to"),
        ("http", silent_after(), START, "unknown", "no answer from"),
        ("http", silent_after(b"HTTP/1.1 200 OK\r\nX:"), START, "unknown", "no answer from"),
        ("http", silent_after(OK[:-1]), START, "unknown", "broke its answer off"),
    ],
)
def test_the_deadline_holds_in_every_phase(
    scheme: str, script: Script, ping: Ping, fate: str, words: str
) -> None:

    def attempt(seconds: float) -> Answer:
        with peer(script) as url:
            url = url.replace("http", scheme)
            return ask(url, ping, http_timeout=seconds, connect_timeout=seconds)

    answer = within_any(attempt, lambda answer: words in answer.message)
    assert answer.fate == fate
    assert words in answer.message


def test_the_deadline_holds_while_the_server_does_not_read() -> None:

    def attempt(seconds: float) -> Answer:
        has_answer = threading.Event()
        with peer(lambda _: assert_set(has_answer)) as url:
            answer = ask(url, LARGE, http_timeout=seconds)
            has_answer.set()
            return answer

    answer = within_any(attempt, lambda answer: answer.fate != "unsent")
    assert (answer.fate, "no answer from" in answer.message) == ("unknown", True)


def test_the_deadline_of_the_request_bounds_the_connection_too() -> None:
    with deaf_url() as url:
        answer = ask(url, http_timeout=SOON, connect_timeout=60)
    assert answer.fate == "unsent"
    found = re.search(r"within ([0-9.]+)s", answer.message)
    assert found, answer.message
    assert SOON <= float(found[1]) < 60


def test_without_any_time_nothing_is_sent(api: ApiServer) -> None:
    with Api(api.url, KEY) as client:
        assert client.ping(START, within=0).fate == "unsent"
        client.ping(START)
        assert client.ping(START, within=0).fate == "unsent"
    assert len(api.requests) == 1


# Proxies.

LOGIN = (b"user", b"p@ss")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A server's certificate, a proxy's, and a file with both."""
    made = {
        host: self_signed(tmp_path_factory.mktemp(host), host)
        for host in ("crontify.test", "127.0.0.1")
    }
    both = tmp_path_factory.mktemp("ca") / "both.pem"
    both.write_bytes(b"".join(each.certificate.read_bytes() for each in made.values()))
    return {**made, "both": both}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", ["http", "https", "socks5", "socks5 with a login"])
def test_a_ping_goes_through_every_kind_of_proxy(
    scheme: str, kind: str, certificates: dict[str, Any]
) -> None:
    tls = certificates["crontify.test"] if scheme == "https" else None
    login = LOGIN if "login" in kind else None
    if kind.startswith("socks"):
        pytest.importorskip("socksio")
    with (
        ApiServer(tls=tls) as server,
        Proxy(
            server.port,
            certificate=certificates["127.0.0.1"] if kind == "https" else None,
            socks=kind.startswith("socks"),
            login=login,
        ) as proxy,
    ):
        through = proxy.url.replace("//", "//user:p%40ss@") if kind != "socks5" else proxy.url
        url, ca = f"{scheme}://crontify.test{PREFIX}", str(certificates["both"])
        server.default = empty  # through a proxy, http:// is asked for another path
        with Api(url, KEY, proxy=through, ca_bundle=ca) as api:
            assert api.ping(START).fate == "received"
            assert api.ping(Ping("m", "success")).fate == "received"
        assert server.kinds() == ["start", "success"]
        assert server.requests[0].headers["host"] == "crontify.test"
    (asked,) = proxy.asked
    if kind.startswith("socks"):
        assert asked[4:] == b"\x0dcrontify.test" + (443 if tls else 80).to_bytes(2)
    else:
        assert b"\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n" in asked
        assert asked.startswith(
            b"CONNECT crontify.test:443 " if tls else b"POST http://crontify.test/"
        )
        assert (b"X-API-Key" in asked) is (tls is None)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "refused: 407 Proxy Auth"),
        (b"HTTP/1.1 200 OK\r\n\r\nnot TLS", "cannot connect"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no answer"),
    ],
)
def test_what_a_proxy_did_not_pass_on_is_unsent(answer: bytes, words: str) -> None:
    with peer(answering(answer)) as url:
        reply = ask("https://crontify.test/api", proxy=url.removesuffix("/api"))
    assert reply.fate == "unsent"
    assert words in reply.message


@pytest.mark.parametrize(
    ("login", "dialogue", "words"),
    [
        ("", [b"\x05\x02"], "it asks for a password"),
        ("", [b"\x05\x00", b"\x05\x05\x00\x01\0\0\0\0\0\0"], "connection refused"),
        ("", [b"HTTP/1.1 400 Bad Request\r\n\r\n"], "did not answer as a SOCKS5 proxy"),
        ("", [b""], "did not answer as a SOCKS5 proxy"),
        ("u:p@", [b"\x05\x02", b"\x01\x01"], "wrong user or password"),
    ],
)
def test_a_socks_proxy_that_does_not_connect_us_is_explained(
    login: str, dialogue: list[bytes], words: str
) -> None:
    pytest.importorskip("socksio")

    def script(sock: socket.socket) -> None:
        for answer in dialogue:
            sock.recv(1000)
            sock.sendall(answer)

    with peer(script) as url:
        proxy = url.replace("http://", f"socks5://{login}").removesuffix("/api")
        reply = ask("http://crontify.test/api", proxy=proxy)
    assert reply.fate == "unsent"
    assert words in reply.message


def test_a_server_that_resets_an_encrypted_connection_gets_no_ping_twice(tmp_path: Path) -> None:
    made = self_signed(tmp_path)
    with (
        ApiServer(tls=made) as server,
        Api(server.url, KEY, ca_bundle=str(made.certificate)) as api,
    ):
        assert api.ping(START).fate == "received"
        server.down()
        server.up()
        assert api.ping(Ping("m", "success")).fate == "received"
        assert server.kinds() == ["start", "success"]


def test_a_ping_of_which_no_whole_record_was_sent_is_unsent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can read an incomplete TLS record."""
    made, heard = self_signed(tmp_path), []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)

    def script(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as secure, suppress(OSError):
            heard.append(secure.recv(1_000_000))

    send_all, encrypt = TcpStream.send, TlsStream.send

    def cut(stream: TcpStream, data: bytes, until: float) -> int:
        send_all(stream, data[:-100], until)
        raise ConnectionResetError

    def encrypt_and_cut(stream: TlsStream, data: bytes, until: float) -> int:
        monkeypatch.setattr(TcpStream, "send", cut)
        return encrypt(stream, data, until)

    monkeypatch.setattr(TlsStream, "send", encrypt_and_cut)
    large = Ping("m", "fail", {}, "it broke", "x" * 100_000)
    with peer(script) as url:
        answer = ask(url.replace("http", "https"), large, ca_bundle=str(made.certificate))
    assert answer.fate == "unsent"
    assert b"".join(heard) == b""
