"""Threads that take no signals, so that each signal interrupts what the main thread waits for.

The kernel gives a signal to any thread that does not block it. Python's handlers run in the
main thread, but a write(2) there goes on waiting if another thread took the signal: signal(7).
"""

import _signal as signal  # type: ignore[import-not-found]  # see job/process.py

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    T = TypeVar("T")

_mask_of_main: "set[int] | None" = None


def without_signals(start: "Callable[[], T]", signals: "Iterable[int]") -> "T":
    """Call `start` in the main thread; the threads that it starts will not take `signals`."""
    global _mask_of_main
    _mask_of_main = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        return start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, _mask_of_main)


def with_mask_of_main(spawn: "Callable[[], T]") -> "T":
    """Call `spawn`, whose process inherits the main thread's signal mask instead of ours."""
    if _mask_of_main is None:
        return spawn()
    ours = signal.pthread_sigmask(signal.SIG_SETMASK, _mask_of_main)
    try:
        return spawn()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, ours)
