"""Group commit: requests that arrive together are committed together, then answered.

All database work runs in the event loop's thread. A separate thread would be slower:
every statement releases the interpreter lock, and a busy loop returns it up to 5 ms later.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from crontify_cli.sandbox.database import describe_error, rollback
from crontify_cli.sandbox.records import Refusal

T = TypeVar("T")


class Committer:
    """Runs writes of several requests in one transaction on one connection."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self._path = path
        self._waiting: list[asyncio.Future[None]] = []

    async def write(self, work: Callable[[], T]) -> T:
        """Run `work` and return its result once it is committed.

        A Refusal raised by `work` is passed on; `work` must not have written anything then.
        Raises Refusal (503) if the database cannot be written: all writes of this commit
        are rolled back, and all of their requests are refused.
        """
        loop = asyncio.get_running_loop()
        try:
            if not self.connection.in_transaction:
                self.connection.execute("BEGIN IMMEDIATE")
                # The loop runs this after the requests that are already scheduled.
                loop.call_soon(self._commit)
            result = work()
        except Refusal:
            raise
        except sqlite3.Error as error:
            refusal = self._refusal(error)
            self._fail(refusal)
            raise refusal from error
        except BaseException:  # an internal error: half of `work` must not be committed
            self._fail(Refusal(503, "The ping was not recorded: another request failed; try again"))
            raise
        done = loop.create_future()
        self._waiting.append(done)
        await done
        return result

    def _commit(self) -> None:
        if not self.connection.in_transaction:
            return
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(self._refusal(error))
            return
        for done in self._take_waiting():
            done.set_result(None)

    def _fail(self, refusal: Refusal) -> None:
        try:
            rollback(self.connection)
        finally:
            for done in self._take_waiting():
                done.set_exception(refusal)

    def _take_waiting(self) -> list[asyncio.Future[None]]:
        waiting, self._waiting = self._waiting, []
        # The future of a client that has disconnected is already cancelled.
        return [done for done in waiting if not done.done()]

    def _refusal(self, error: sqlite3.Error) -> Refusal:
        return Refusal(503, describe_error(error, self._path))
