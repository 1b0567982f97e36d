"""Group commit: requests that arrive together are committed together, then answered.

All database work is done in the event loop's own thread. A thread of its own would
cost more than it saves: every statement gives up the interpreter lock, and a
busy loop gives it back up to 5 ms later.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from crontify_cli.sandbox.database import abandon, explain
from crontify_cli.sandbox.records import Refusal

T = TypeVar("T")


class Committer:
    """Runs writes in a shared transaction on one connection."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self._path = path
        self._waiting: list[asyncio.Future[None]] = []

    async def write(self, work: Callable[[], T]) -> T:
        """Run `work` and return its result once that is committed.

        A Refusal of `work` passes through: it has written nothing then. Raises Refusal
        (503) when the database cannot be written: then every write of this commit is
        undone, and each of them is refused.
        """
        loop = asyncio.get_running_loop()
        try:
            if not self.connection.in_transaction:
                self.connection.execute("BEGIN IMMEDIATE")
                # After the requests that are already in line.
                loop.call_soon(self._commit)
            result = work()
        except Refusal:
            raise
        except sqlite3.Error as error:
            self._fail(self._refusal(error))
            raise self._refusal(error) from error
        except BaseException:  # a fault of ours: half of `work` must not be committed
            self._fail(Refusal(503, "not recorded: another request in line broke"))
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
            abandon(self.connection)
        finally:
            for done in self._take_waiting():
                done.set_exception(refusal)

    def _take_waiting(self) -> list[asyncio.Future[None]]:
        waiting, self._waiting = self._waiting, []
        return [done for done in waiting if not done.done()]  # who hung up is done

    def _refusal(self, error: sqlite3.Error) -> Refusal:
        return Refusal(503, explain(error, self._path))
