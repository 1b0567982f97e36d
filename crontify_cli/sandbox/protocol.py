"""The sandbox's HTTP connections: they end if a request stays incomplete, or is refused unread."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 10.0
"""How long the head of a request may take to arrive, and then its body."""
_MAX_DISCARDED = 16 * 1024 * 1024


class Protocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a time limit for requests.

    After an answer to a request whose body was not read, the connection is closed. What the
    client still sends is discarded first, since it never sees the answer if the connection
    is reset (RFC 9112, section 9.6).
    """

    _deadline: asyncio.TimerHandle | None = None
    _awaited: object = None  # a state of h11, whose type it does not export
    _discarded: int | None = None
    """Bytes discarded since the answer; None while the connection is in use."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # asyncio's own type of the argument is the base class, as uvicorn notes, too.
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_deadline(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._discarded is not None:
            self._discarded += len(data)
            if self._discarded > _MAX_DISCARDED:
                self.transport.abort()
            return
        super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        unread = self.conn.their_state is h11.SEND_BODY
        super().on_response_complete()
        if unread and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._discarded = 0
            self._set_deadline(REQUEST_SECONDS)
            self.transport.write_eof()

    def _watch(self) -> None:
        """Start the time limit of the head or the body if we have begun to wait for it."""
        awaited = self.conn.their_state
        if awaited is self._awaited:
            return
        self._awaited = awaited
        self._set_deadline(REQUEST_SECONDS if awaited in (h11.IDLE, h11.SEND_BODY) else None)

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self.transport.abort) if seconds else None
