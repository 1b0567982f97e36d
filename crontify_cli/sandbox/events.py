"""The event stream: what happens to an account's monitors, as server-sent events.

A stream never slows down a ping: events are queued without being formatted, sent in batches,
and counted instead of sent where a client falls behind.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator

from crontify_cli.sandbox.live import as_json
from crontify_cli.sandbox.records import Account, Attempt, Event, RefusedRequest

_INTERVAL = 0.2  # seconds between two batches
_MAX_QUEUED = 50  # events per batch, the newest: nobody reads more
_HEARTBEAT = 15.0  # seconds; a client that hears nothing for longer should connect again


class EventHub:
    """Passes events on to the open streams. Everything runs in the event loop's thread."""

    def __init__(self) -> None:
        self._streams: set[_Stream] = set()

    def publish(self, event: Event | Attempt) -> None:
        """Queue the event for the streams of its account; never blocks."""
        # A refused request belongs to no account: most were refused for lack of a valid key.
        if not isinstance(event, RefusedRequest):
            for stream in self._streams:
                if stream.account == event.account:
                    stream.add(event)

    async def stream(self, account: Account) -> AsyncIterator[str]:
        """Yield the account's events in the format text/event-stream until the hub is closed."""
        stream = _Stream(account.row)
        self._streams.add(stream)
        try:
            yield ": connected\n\n"
            while not stream.closed:
                yield await stream.next_batch()
        finally:
            self._streams.discard(stream)

    def close(self) -> None:
        """End all streams, so that they do not hold up the end of the server."""
        for stream in self._streams:
            stream.close()


class _Stream:
    def __init__(self, account: int) -> None:
        self.account = account
        self.closed = False
        self._events: deque[Event | Attempt] = deque(maxlen=_MAX_QUEUED)
        self._lost = 0
        self._wake = asyncio.Event()

    def add(self, event: Event | Attempt) -> None:
        self._lost += len(self._events) == _MAX_QUEUED
        self._events.append(event)
        self._wake.set()

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def next_batch(self) -> str:
        """Wait for events, and return them; a comment if there are none for a while."""
        try:
            await asyncio.wait_for(self._wake.wait(), _HEARTBEAT)
        except TimeoutError:
            return ": no events\n\n"
        if not self.closed:
            await asyncio.sleep(_INTERVAL)
        self._wake.clear()
        return "".join(f"data: {json.dumps(data)}\n\n" for data in self._take())

    def _take(self) -> Iterator[dict[str, object]]:
        events, self._events = self._events, deque(maxlen=_MAX_QUEUED)
        lost, self._lost = self._lost, 0
        if lost:
            yield {"event": "lost", "count": lost}
        yield from map(as_json, events)
