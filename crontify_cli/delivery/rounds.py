"""Delivers the queues of many monitors: which comes next, when again, and when to stop.

What the server answers concerns the monitor, which is tried again later while others go on. If
it cannot be reached, or fails on several monitors in a row, the server itself is in trouble.
"""

import heapq
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from crontify_cli.delivery.backlog import CONTEST_PAUSE, Backlog
from crontify_cli.delivery.sending import Deadlines, Delivery

IN_A_ROW = 3
"""How many monitors in a row the server may fail on before it counts as failing as a whole."""

_GLANCE = 0.1
"""Seconds between two looks at the threads."""

Seen = Callable[[str, Backlog], None]
"""Takes a monitor's id and what became of its reports."""


class Turn(NamedTuple):
    """A monitor whose queue is to be delivered from `due` on, by `time.monotonic()`.

    attempts: how often in a row that was put off.
    """

    due: float
    order: int
    monitor_id: str
    attempts: int = 0


class Schedule:
    """The turns of the monitors in `monitors`; each is taken by one thread at a time.

    deadlines: until when turns are taken, except the first. patient: whether a monitor gets
    another turn if the server asks for that, or if another process is sending its reports.
    """

    def __init__(
        self, monitors: Iterable[str], deadlines: Deadlines, *, patient: bool = False
    ) -> None:
        self._turns = [Turn(0.0, order, name) for order, name in enumerate(monitors)]
        self._deadlines = deadlines
        self._patient = patient
        self._changed = threading.Condition()
        self._taken = 0
        self._is_first = True
        self.is_stopped = False
        self._failed_in_a_row = 0
        self._pause_until = 0.0

    def take(self) -> Turn | None:
        """Wait for a monitor whose turn it is; None if there will be no more."""
        with self._changed:
            while not self.is_stopped:
                now = time.monotonic()
                if now > self._deadlines.until and not self._is_first:
                    break
                due = max(self._turns[0].due, self._pause_until) if self._turns else None
                if due is not None and due <= now:
                    self._is_first = False
                    self._taken += 1
                    return heapq.heappop(self._turns)
                if due is None and not self._taken:
                    break
                self._changed.wait(None if due is None else due - now)
            self._changed.notify_all()
            return None

    def put_back(self, turn: Turn, backlog: Backlog) -> None:
        """End a turn: the monitor gets another one, or not; or everything stops."""
        failure = backlog.failure if backlog.left else None
        with self._changed:
            self._taken -= 1
            again_in = failure.again_in if failure else None
            again_in = CONTEST_PAUSE if backlog.is_contested else again_in
            if again_in is not None and self._patient:
                due = time.monotonic() + again_in
                attempts = 0 if backlog.is_contested else turn.attempts + 1
                heapq.heappush(self._turns, turn._replace(due=due, attempts=attempts))
            self._failed_in_a_row += 1
            if not (failure and failure.is_trouble):
                self._failed_in_a_row = 0
            if failure and not failure.concerns_monitor_only:
                self.is_stopped = True
            elif self._failed_in_a_row >= IN_A_ROW:
                self.is_stopped = not self._patient or again_in is None
                self._pause_until = time.monotonic() + (again_in or 0.0)
            self._changed.notify_all()

    def stop(self) -> None:
        """Let no more turns be taken."""
        with self._changed:
            self.is_stopped = True
            self._changed.notify_all()

    def next_due(self) -> float | None:
        """Return when the next turn begins, by `time.monotonic()`; None if one goes on or none."""
        with self._changed:
            if self._taken or not self._turns or self.is_stopped:
                return None
            return max(self._turns[0].due, self._pause_until)


def work(
    schedule: Schedule,
    deliver: Callable[[str, Delivery], Backlog],
    delivery: Delivery,
    seen: Seen,
) -> None:
    """Take turns and deliver, as long as there are any; in one or more threads.

    deliver: delivers the queue of a monitor, by its id.
    """
    while turn := schedule.take():
        backlog = Backlog(left=True)
        try:
            backlog = deliver(
                turn.monitor_id, delivery._replace(defers=True, earlier=turn.attempts)
            )
        finally:
            schedule.put_back(turn, backlog)
        seen(turn.monitor_id, backlog)


def in_threads(
    count: int, one: Callable[[], None], watch: Callable[[], None], stop: Callable[[], None]
) -> None:
    """Call `one` in so many threads, and `watch` again and again until all of them have ended.

    stop: called when we are interrupted, or when one of them raises; that is raised here then.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            one()
        except BaseException as error:
            errors.append(error)
            stop()

    threads = [threading.Thread(target=run, daemon=True) for _ in range(count)]
    try:
        for at, thread in enumerate(threads):
            try:
                thread.start()
            except RuntimeError:  # the system has no more threads for us
                threads = threads[:at]
                break
        if not threads:
            run()
        while any(thread.is_alive() for thread in threads):
            watch()
            threads[-1].join(_GLANCE)
            threads = [thread for thread in threads if thread.is_alive()]
    except BaseException:
        stop()
        raise
    if errors:
        raise errors[0]
