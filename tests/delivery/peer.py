"""Servers that follow a script on the bare connection, and proxies that connect to a server."""

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence

from tests.server import Certificate

PATIENCE = 20.0
"""Seconds that a server waits for its client."""

Script = Callable[[socket.socket], None]


@contextlib.contextmanager
def peer(*scripts: Script) -> Iterator[str]:
    """Yield the base URL of a server that follows one script for each connection, in order.

    The block ends when all of them have ended, and raises what one of them has raised.
    """
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            for script in scripts:
                sock, _ = listener.accept()
                with sock:
                    sock.settimeout(PATIENCE)
                    script(sock)
        except BaseException as failure:
            failures.append(failure)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        thread.join(PATIENCE)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


def read_request(sock: socket.socket, data: bytes = b"") -> bytes:
    """Read one request, or what comes of it before the end of the connection.

    data: what has been read of it already.
    """
    while b"\r\n\r\n" not in data:
        if not (more := sock.recv(65536)):
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    fields = [line.split(b":") for line in head.lower().split(b"\r\n")[1:]]
    left = next((int(field[1]) for field in fields if field[0] == b"content-length"), 0)
    left -= len(body)
    pieces = [data]  # to add each to one that grows would take the square of the time
    while left > 0 and (more := sock.recv(65536)):
        left -= len(more)
        pieces.append(more)
    return b"".join(pieces)


def answering(*pieces: bytes) -> Script:
    """Read a request, and send the pieces of an answer, each as a segment of its own."""

    def script(sock: socket.socket) -> None:
        read_request(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            sock.sendall(piece)

    return script


def reset(sock: socket.socket) -> None:
    """Reset the connection (RST)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def await_end(sock: socket.socket) -> None:
    """Wait until the client closes the connection, without reading what it has sent."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    assert poll.poll(PATIENCE * 1000), "the client keeps the connection"


class Proxy:
    """A proxy that connects to the port `target` of loopback, whatever it is asked for.

    certificate: for a proxy that is spoken to by TLS. socks: speak SOCKS5 instead of HTTP.
    login: the user and the password that a SOCKS proxy asks for.
    asked: what it was asked for, one text for each connection.
    """

    def __init__(
        self,
        target: int,
        *,
        certificate: Certificate | None = None,
        socks: bool = False,
        login: tuple[bytes, bytes] | None = None,
    ) -> None:
        self._target = target
        self._socks = socks
        self._login = login
        self._context: ssl.SSLContext | None = None
        if certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate.certificate, certificate.key)
        self.asked: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        scheme = "socks5" if socks else "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        self._thread.join(PATIENCE)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.settimeout(PATIENCE)
                with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                    stack.enter_context(client)
                    if self._context:
                        client = self._context.wrap_socket(client, server_side=True)
                        stack.enter_context(client)
                    first = self._socks_dialogue(client) if self._socks else self._http(client)
                    server = socket.create_connection(("127.0.0.1", self._target), PATIENCE)
                    stack.enter_context(server)
                    server.sendall(first)
                    _relay(client, server)

    def _http(self, client: socket.socket) -> bytes:
        """Answer a CONNECT; return what the server is to get first of any other request."""
        request = read_request(client)
        self.asked.append(request)
        if not request.startswith(b"CONNECT"):
            return request
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return b""

    def _socks_dialogue(self, client: socket.socket) -> bytes:
        wanted = b"\x02" if self._login else b"\x00"
        assert client.recv(262)[2:] == wanted  # RFC 1928, 3
        client.sendall(b"\x05" + wanted)
        if self._login:  # RFC 1929
            user, password = self._login
            given = client.recv(513)
            is_right = given == bytes([1, len(user), *user, len(password), *password])
            client.sendall(b"\x01\x00" if is_right else b"\x01\x01")
        self.asked.append(client.recv(262))
        client.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50")
        return b""


def _relay(*ends: socket.socket) -> None:
    """Pass everything on, both ways, until one end closes."""
    first, second = ends
    others = {first: second, second: first}
    while True:
        # What TLS has read already does not make the socket readable.
        pending = [end for end in ends if isinstance(end, ssl.SSLSocket) and end.pending()]
        for end in pending or select.select(ends, [], [], PATIENCE)[0]:
            if not (data := end.recv(65536)):
                return
            others[end].sendall(data)


def each_byte(data: bytes) -> Sequence[bytes]:
    """Return the bytes of `data`, one by one."""
    return [data[at : at + 1] for at in range(len(data))]
