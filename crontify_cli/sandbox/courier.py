"""Delivers the alerts in the outbox while the sandbox serves."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from crontify_cli.errors import one_line, say
from crontify_cli.sandbox.database import describe_error, exclusive
from crontify_cli.sandbox.identity import now
from crontify_cli.sandbox.outbox import TIMEOUT, Job, Result, has_pending, settle, take_due
from crontify_cli.sandbox.records import Attempt

if TYPE_CHECKING:
    from crontify_cli.sandbox.post import Sender

_LEASE = round(2 * TIMEOUT * 1000)
_LONGEST_SLEEP = 60.0  # seconds; another program may have queued something
_RETRY = 1.0  # seconds until the database is tried again
_CLOSING = 2.0  # seconds for deliveries in progress when the server stops


class Courier:
    """Sends what is due, at most one alert at a time to each channel.

    make_sender: called in a thread when there is something to send for the first time.
    on_attempt: called after an attempt has been recorded.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        make_sender: "Callable[[], Sender]",
        on_attempt: Callable[[Attempt], None],
    ) -> None:
        self._connection = connection
        self._path = path
        self._make_sender = make_sender
        self._on_attempt = on_attempt
        self._sender: Sender | None = None
        self._making_sender = asyncio.Lock()
        self._wake = asyncio.Event()
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Look for alerts soon, because there are new ones."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled; then wait a moment for what is being sent."""
        try:
            while True:
                self._wake.clear()
                pause = await self._start_due()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause)
        finally:
            await self._end_deliveries()
            if self._sender:
                await self._sender.close()

    async def _start_due(self) -> float:
        """Start what is due, and return the seconds until something else is."""
        try:
            if not has_pending(self._connection):
                return _LONGEST_SLEEP
            async with exclusive(self._connection):
                jobs, next_at = take_due(self._connection, now(), _LEASE, self._tasks.keys())
        except sqlite3.Error as error:
            say(f"warning: alerts are not delivered: {describe_error(error, self._path)}")
            return _LONGEST_SLEEP
        for job in jobs:
            self._tasks[job.channel] = asyncio.create_task(self._deliver(job))
        if next_at is None:
            return _LONGEST_SLEEP
        return min(max(0.0, (next_at - now()) / 1000), _LONGEST_SLEEP)

    async def _end_deliveries(self) -> None:
        """Give the deliveries in progress a moment, then interrupt them; they stay queued."""
        if self._tasks:
            _, unfinished = await asyncio.wait(self._tasks.values(), timeout=_CLOSING)
            for task in unfinished:
                task.cancel()
            if unfinished:
                await asyncio.wait(unfinished, timeout=_CLOSING)

    async def _deliver(self, job: Job) -> None:
        began = now()
        try:
            try:
                result = await self._send(job)
            except asyncio.CancelledError:
                result = Result(began, now() - began, None, "interrupted: the sandbox was stopped")
            await self._settle(job, result)
        finally:
            del self._tasks[job.channel]
            self._wake.set()

    async def _send(self, job: Job) -> Result:
        try:
            async with self._making_sender:
                if not self._sender:
                    self._sender = await asyncio.to_thread(self._make_sender)
            return await self._sender.send(job.kind, job.url, job.message)
        except Exception as error:  # otherwise nobody would see why nothing arrives
            reason = one_line(f"internal error: {type(error).__name__}: {error}", 200)
            return Result(now(), 0, None, reason)

    async def _settle(self, job: Job, result: Result) -> None:
        """Record the result; until that has worked, the channel gets nothing else."""
        while True:
            try:
                async with exclusive(self._connection):
                    attempt = settle(self._connection, job, result)
                break
            except sqlite3.Error:
                await asyncio.sleep(_RETRY)
        self._on_attempt(attempt)
