"""Waiting for what another process does, by what can be seen of it."""

import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 30.0
"""Seconds: far beyond what anything takes on a loaded machine."""


def until(true: Callable[[], object], what: str) -> None:
    """Return as soon as `true()` is; fail, naming `what`, if that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.01)


def until_exists(path: Path) -> None:
    """Return as soon as there is such a file."""
    until(path.exists, f"{path.name} exists")


def until_gone(pid: int) -> None:
    """Return as soon as no process of that pid runs; a zombie is gone."""
    until(lambda: not is_running(pid), f"process {pid} has ended")


def is_running(pid: int) -> bool:
    """Tell whether `pid` is a process that is not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
