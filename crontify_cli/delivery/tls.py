"""TLS: which certificates are trusted, and a stream that is encrypted.

Not imported for plain HTTP, because loading OpenSSL takes a fifth of a run's CPU time.
"""

import contextlib
import errno
import os
import ssl
import time
from collections.abc import Callable
from typing import TypeVar

from crontify_cli.delivery.network import (
    ConnectFailure,
    ConnectionTrace,
    Stream,
    connecting,
)
from crontify_cli.errors import CrontifyError, in_words, one_line, say

_RECORD = 16 * 1024
"""The largest TLS record (RFC 8446, 5.1). An incomplete record cannot be read by anyone."""

_Result = TypeVar("_Result")


class Tls:
    """The certificates to trust: `ca_bundle`, a file or a folder, or else the system's.

    Raises CrontifyError if `ca_bundle` or the environment names nothing usable.
    """

    def __init__(self, ca_bundle: str | None = None) -> None:
        self.context = trusted(ca_bundle)
        self.context.set_alpn_protocols(["http/1.1"])
        self._source = _trust_source(ca_bundle)

    def secured(self, stream: Stream, host: str, until: float, trace: ConnectionTrace) -> Stream:
        """Return `stream`, encrypted, after a handshake with `host`; raises Failure."""
        try:
            with connecting():
                secure = TlsStream(stream, self.context, host, until)
        except ConnectFailure as failure:
            if isinstance(error := failure.__cause__, ssl.SSLCertVerificationError):
                named = f" ({self._source} is set)" if self._source else ""
                words = f"its certificate is not trusted: {error.verify_message}{named}"
                raise ConnectFailure(words) from error
            raise
        trace.secured, trace.tls = time.monotonic(), secure.session.version() or ""
        trace.certificate = secure.session.getpeercert() or {}
        return secure


class TlsStream:
    """A `Stream` over another one, which may itself be encrypted.

    session: the TLS session. Raises OSError if the handshake fails.
    """

    def __init__(self, stream: Stream, context: ssl.SSLContext, host: str, until: float) -> None:
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._unsent = self._early = b""
        # As bytes, as in `Network.connect`.
        name = host.encode("ascii")
        self.session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        try:
            self._perform(self.session.do_handshake, until)
        except ssl.SSLError:
            with contextlib.suppress(OSError):
                self._flush(until)  # tells the server why
            raise

    def send(self, data: bytes, until: float) -> int:
        self._flush(until)
        if self._early:
            return 0
        return self._perform(lambda: self.session.write(data[:_RECORD]), until)

    def receive(self, until: float) -> bytes:
        if early := self._early:
            self._early = b""
            return early
        try:
            return self._perform(lambda: self.session.read(65536), until)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""  # some servers end the connection without ending TLS

    def has_input(self) -> bool:
        # What came with the answer, such as the end of TLS, does not wait in the socket.
        return bool(self._early or self._incoming.pending) or self._stream.has_input()

    def close(self) -> None:
        self._stream.close()

    def _perform(self, step: Callable[[], _Result], until: float) -> _Result:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush(until)
                self._feed(until)
            else:
                self._flush(until)
                return result

    def _flush(self, until: float) -> None:
        self._unsent += self._outgoing.read()
        while self._unsent and not self._early:
            sent = self._stream.send(self._unsent, until)
            self._unsent = self._unsent[sent:]
            if not sent:
                self._read_ahead(until)

    def _read_ahead(self, until: float) -> None:
        """Decrypt what has come before the other side took all of what we send.

        It may be a message of TLS itself, which is not for the reader.
        """
        self._feed(until)
        with contextlib.suppress(ssl.SSLWantReadError):
            self._early += self.session.read(65536)

    def _feed(self, until: float) -> None:
        if data := self._stream.receive(until):
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


def trusted(ca_bundle: str | None = None) -> ssl.SSLContext:
    """Return a TLS context that trusts `ca_bundle`, else the system's certificates.

    Which are, in this order: what `SSL_CERT_FILE` and `SSL_CERT_DIR` name; OpenSSL's
    folder of hashed certificates, of which only the one needed is read, while a
    bundle costs tens of milliseconds of parsing; OpenSSL's bundle; certifi's.

    Raises CrontifyError if `ca_bundle` or the environment names nothing usable.
    """
    source = _trust_source(ca_bundle)
    named: tuple[str | None, str | None]
    if ca_bundle:
        named = (None, ca_bundle) if os.path.isdir(ca_bundle) else (ca_bundle, None)
    elif source:
        named = os.environ.get("SSL_CERT_FILE") or None, os.environ.get("SSL_CERT_DIR") or None
    else:
        named = _system_certificates()
    _drop_unusable_key_log()
    try:
        return ssl.create_default_context(cafile=named[0], capath=named[1])
    except OSError as error:  # SSLError is one
        raise CrontifyError(
            f"cannot read certificates from {source or 'the system'}"
            f" {named[0] or named[1]!r}: {in_words(error)}"
        ) from None


def _trust_source(ca_bundle: str | None) -> str:
    """Return the setting or variable that says which certificates to trust, "" for none."""
    if ca_bundle:
        return "ca_bundle"
    return next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), "")


def _drop_unusable_key_log() -> None:
    """Ignore SSLKEYLOGFILE if it cannot be written: no connection may fail because of it.

    Nor if it is another user's, who could read the keys, or have us write to any file by a link.
    """
    path = os.environ.get("SSLKEYLOGFILE")
    if not path:
        return
    try:
        if os.path.lexists(path):
            _check_owner(os.lstat(path))
        # Non-blocking, so that a FIFO without a reader is an error, too.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        try:
            _check_owner(os.fstat(fd))
            os.write(fd, b"#\n")  # a comment: on a full disk a file can be opened, not written
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        del os.environ["SSLKEYLOGFILE"]  # where the ssl module reads it
        words = one_line(f"{path}: {getattr(error, 'strerror', None) or error}")
        say(f"SSLKEYLOGFILE is ignored, since it cannot be written: {words}")


def _check_owner(status: os.stat_result) -> None:
    if status.st_uid not in (os.geteuid(), 0):
        words = f"it belongs to another user (uid {status.st_uid})"
        raise PermissionError(errno.EPERM, words)


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
