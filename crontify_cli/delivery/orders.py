"""What the main thread tells the reporting thread: the outcome of the run, or to stop."""

from queue import Empty, SimpleQueue

from crontify_cli.delivery.handover import Outcome


class Orders:
    """The orders of one run. `finish` and `stop` are for the main thread, the rest is not.

    outcome, is_stopped: what was ordered, as far as it has been taken.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[Outcome | None] = SimpleQueue()
        self.outcome: Outcome | None = None
        self.is_stopped = False

    def finish(self, outcome: Outcome) -> None:
        """Hand over the run's outcome."""
        self._queue.put(outcome)

    def stop(self) -> None:
        """Let no further attempt begin."""
        self._queue.put(None)

    @property
    def is_awaited(self) -> bool:
        """Whether there has been no order yet: the job goes on."""
        return self.outcome is None and not self.is_stopped

    def take(self, timeout: float) -> None:
        """Wait for an order, at most `timeout` seconds, and take it."""
        try:
            order = self._queue.get(timeout != 0, timeout)
        except Empty:
            return
        if order is None:
            self.is_stopped = True
        else:
            self.outcome = order
