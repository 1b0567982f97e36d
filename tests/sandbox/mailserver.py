"""SMTP servers on loopback: one that works as its keyword arguments say, and one that hangs."""

import asyncio
import contextlib
import email
import email.policy
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from email.message import EmailMessage
from typing import Any, NamedTuple

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.server import Certificate
from tests.waiting import PATIENCE


class Mail(NamedTuple):
    """An e-mail that was accepted."""

    sender: str
    recipients: Sequence[str]
    message: EmailMessage


class MailServer:
    """A real SMTP server; `clear` and `encrypted` are the bytes it has received either way.

    certificate: for STARTTLS, or for TLS from the start with is_smtps. login: the only user and
    password, which everyone must send. refusals: how many e-mails are refused first. refusal:
    what is answered to a wrong password. last_words: the answer to QUIT.
    """

    def __init__(
        self,
        *,
        certificate: Certificate | None = None,
        is_smtps: bool = False,
        login: tuple[str, str] | None = None,
        mechanism: str = "",
        refusals: int = 0,
        refusal: str = "535 5.7.8 wrong user or password",
        last_words: str = "221 Bye",
        address: str = "127.0.0.1",
    ) -> None:
        self.mails: list[Mail] = []
        self.clear = b""
        self.encrypted = b""
        self.port = 0
        self._context = _context_of(certificate)
        self._is_smtps = is_smtps
        self._login = login
        self._mechanism = mechanism
        self._refusals = refusals
        self._refusal = refusal
        self._last_words = last_words
        self._address = address
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "MailServer":
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *args: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        tls = self._context if self._is_smtps else None
        server = self._loop.run_until_complete(
            self._loop.create_server(self._protocol, self._address, 0, ssl=tls)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        with contextlib.closing(self._loop):
            self._loop.run_forever()
            server.close()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    def _protocol(self) -> SMTP:
        return _Recorded(
            self,
            hostname="mail.test",
            tls_context=None if self._is_smtps else self._context,
            authenticator=self._authenticate,
            auth_required=self._login is not None,
            auth_require_tls=False,
            auth_exclude_mechanism={"LOGIN", "PLAIN"} - {self._mechanism or "PLAIN"},
            loop=self._loop,
        )

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        if (data.login.decode(), data.password.decode()) == self._login:
            return AuthResult(success=True)
        return AuthResult(success=False, handled=False, message=self._refusal)

    # The hooks of aiosmtpd.

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, sender: str, options: list[str]
    ) -> str:
        if self._refusals:
            self._refusals -= 1
            return "451 try again later"
        envelope.mail_from = sender
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(Mail(envelope.mail_from or "", list(envelope.rcpt_tos), message))
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return self._last_words

    def keep(self, data: bytes, *, is_encrypted: bool) -> None:
        """Keep what has arrived."""
        if is_encrypted:
            self.encrypted += data
        else:
            self.clear += data


class _Recorded(SMTP):
    def __init__(self, server: MailServer, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server

    def data_received(self, data: bytes) -> None:
        assert self.transport
        secure = self.transport.get_extra_info("sslcontext") is not None
        self._server.keep(data, is_encrypted=secure)
        super().data_received(data)


def _context_of(certificate: Certificate | None) -> ssl.SSLContext | None:
    if not certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    return context


@contextlib.contextmanager
def silent(*answers: str) -> Iterator[tuple[int, threading.Event]]:
    """Yield the port of a server that says nothing after `answers`, and whether it got there.

    The first answer is the greeting, each other one follows a line of the client's.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []
    is_silent = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                connection.settimeout(PATIENCE)
                with contextlib.suppress(OSError), connection.makefile("rb") as lines:
                    for answer in answers:
                        connection.sendall(f"{answer}\r\n".encode())
                        lines.readline()
                    is_silent.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], is_silent
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            connection.close()
        thread.join()
