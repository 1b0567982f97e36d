"""What the tables of runs and of statistics have in common."""

from typing import NamedTuple

GAP = 2
"""Columns between two columns of a table."""


class View(NamedTuple):
    """What a drawing depends on beside its data. now: seconds since the epoch."""

    width: int
    now: float
    ascii_only: bool = False


def cause(message: str, exit_code: int | None) -> str:
    """Return a message without the exit code, where that has a column of its own."""
    reason, colon, words = message.partition(": ")
    return words if colon and reason.endswith(f"exited with code {exit_code}") else message
