"""Hands one e-mail over to an SMTP server, encrypted wherever the server can.

smtplib blocks, so each e-mail has a thread of its own. It is a daemon thread because nothing
interrupts the lookup of a host name: neither a sandbox that stops nor the next attempt waits.
"""

import asyncio
import base64
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from email.message import EmailMessage
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from crontify_cli.sandbox.reasons import cause_of, reason_of

_TIMEOUT = 10.0  # seconds to connect, and for each answer
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


class MailError(Exception):
    """The server did not accept the e-mail; the text says why, without the password."""


async def hand_over(url: str, mail: EmailMessage) -> None:
    """Send an e-mail through the server at an `smtp:` or `smtps:` URL.

    If this is cancelled, the connection is closed at once. Raises MailError.
    """
    session = _Session(_server_of(url))
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(problem: Exception | None) -> None:
        if done.cancelled():
            return
        if problem:
            done.set_exception(problem)
        else:
            done.set_result(None)

    def work() -> None:
        problem: Exception | None = None
        try:
            session.send(mail)
        except Exception as error:  # raised again in the event loop
            problem = error
        with suppress(RuntimeError):  # the loop is closed: the sandbox has stopped
            loop.call_soon_threadsafe(settle, problem)

    threading.Thread(target=work, name="mail", daemon=True).start()
    try:
        await done
    finally:
        session.abort()


class _Server(NamedTuple):
    has_tls_from_start: bool
    host: str
    port: int
    user: str
    password: str


def _server_of(url: str) -> _Server:
    parts = urlsplit(url)
    is_smtps = parts.scheme == "smtps"
    return _Server(
        is_smtps,
        parts.hostname or "",
        parts.port or (465 if is_smtps else 25),
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


class _Session:
    """One conversation with the server; `abort` is called from another thread."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._smtp: smtplib.SMTP | None = None
        self._is_aborted = False

    def send(self, mail: EmailMessage) -> None:
        """Send the e-mail; raises MailError."""
        try:
            self._smtp = smtp = self._connect()
            try:
                self._log_in(smtp)
                if not self._is_aborted:
                    smtp.send_message(mail)
            finally:
                # The e-mail is accepted or refused; no answer to this changes that.
                with suppress(OSError, smtplib.SMTPException):
                    smtp.quit()
                smtp.close()
        except (OSError, smtplib.SMTPException) as error:
            raise MailError(self._describe(error)) from None

    def abort(self) -> None:
        """Close the connection under the thread that waits for it."""
        self._is_aborted = True
        sock = self._smtp.sock if self._smtp else None
        if sock:
            # Not SSLSocket.shutdown: it switches the encryption off first.
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        host, port = self._server.host, self._server.port
        if self._server.has_tls_from_start:
            return smtplib.SMTP_SSL(host, port, timeout=_TIMEOUT, context=context)
        smtp = smtplib.SMTP(host, port, timeout=_TIMEOUT)
        try:
            smtp.ehlo()
            if smtp.has_extn("starttls"):
                smtp.starttls(context=context)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _log_in(self, smtp: smtplib.SMTP) -> None:
        host, user, password = self._server.host, self._server.user, self._server.password
        if not user:
            return
        if not isinstance(smtp.sock, ssl.SSLSocket) and host not in _THIS_MACHINE:
            raise MailError(f"{host} does not offer TLS: the password was not sent")
        if not (user + password).isascii():
            raise MailError("the user or the password of smtp_url is not ASCII")
        smtp.login(user, password)

    def _describe(self, error: OSError | smtplib.SMTPException) -> str:
        """Return what happened, in words, without the password even if the server repeated it."""
        words = _words(error)
        if isinstance(error, smtplib.SMTPAuthenticationError):
            words = f"the login was refused: {words}"
        for secret in self._forms_of_the_password():
            words = words.replace(secret, "***")
        return words

    def _forms_of_the_password(self) -> Iterator[str]:
        user, password = self._server.user, self._server.password
        if password:
            for text in (password, f"\0{user}\0{password}"):
                yield text
                yield base64.b64encode(text.encode()).decode()


def _words(error: OSError | smtplib.SMTPException) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
        return _answer(code, text)
    if isinstance(error, smtplib.SMTPResponseException):
        return _answer(error.smtp_code, error.smtp_error)
    if isinstance(cause_of(error), TimeoutError):
        return f"no answer within {_TIMEOUT:.0f} seconds"
    return reason_of(error)


def _answer(code: int, text: bytes | str) -> str:
    return f"{code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"
