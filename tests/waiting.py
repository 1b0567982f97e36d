"""Waiting for what another process does, by what can be seen of it."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.portability.features import absent

PATIENCE = 60.0
"""Seconds: far beyond what anything takes on a loaded machine."""


SOON = 0.4
"""Seconds of a deadline that a test waits for."""

T = TypeVar("T")


def until(true: Callable[[], object], what: str) -> None:
    """Return as soon as `true()` is; fail, naming `what`, if that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.01)


def within_any(attempt: Callable[[float], T], has_reached: Callable[[T], object]) -> T:
    """Return `attempt(seconds)` for the first deadline that was late enough to get so far.

    For a test of a deadline that should pass while the other side is silent: on a busy machine
    the shortest may pass before that.
    """
    for seconds in (SOON, 2.0, 10.0):
        result = attempt(seconds)
        if has_reached(result):
            break
    return result


def until_exists(path: Path) -> None:
    """Return as soon as there is such a file."""
    until(path.exists, f"{path.name} exists")


def until_gone(pid: int) -> None:
    """Return as soon as no process of that pid runs; a zombie is gone."""
    until(lambda: not is_running(pid), f"process {pid} has ended")


def until_idle(pid: int, seconds: float) -> None:
    """Return once no thread of a process has wanted the processor for so many seconds."""
    since = time.monotonic()

    def is_idle() -> bool:
        nonlocal since
        tasks = Path(f"/proc/{pid}/task").iterdir()
        if any(_state(task / "stat") != "S" for task in tasks):
            since = time.monotonic()
        return time.monotonic() - since >= seconds

    until(is_idle, f"process {pid} sleeps")


def is_running(pid: int) -> bool:
    """Tell whether `pid` is a process that is not a zombie.

    Where crontify has no /proc, a zombie runs until somebody has waited for it.
    """
    if "proc" in absent():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True
    return _state(Path(f"/proc/{pid}/stat")) not in ("", "Z", "X")


def _state(stat: Path) -> str:
    """Return the letter that proc(5) has for the state of a process; "" if there is none."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
