"""What the tables of runs and of statistics have in common."""

from collections.abc import Sequence
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


_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "_.-:=+*#"


class Bar(NamedTuple):
    """A bar in three pieces: up to the usual, beyond it, and what is missing to it."""

    within: str
    beyond: str
    missing: str


def bar(value: float, usual: float, width: int, *, ascii_only: bool = False) -> Bar:
    """Return a bar of at most `width` characters for `value`; `usual` reaches to their middle.

    A value beyond twice the usual fills all of them.
    """
    full, half, track = ("=", "-", ".") if ascii_only else ("━", "╸", "╌")
    middle = width // 2
    halves = min(width * 2, max(1, round(value / usual * middle * 2))) if usual > 0 else 0
    drawn = full * (halves // 2) + half * (halves % 2)
    return Bar(drawn[:middle], drawn[middle:], track * (middle - len(drawn)))


def sparkline(values: Sequence[float], *, ascii_only: bool = False) -> str:
    """Return a character a value, its height from zero to the largest."""
    blocks = _ASCII_BLOCKS if ascii_only else _BLOCKS
    top = max(values, default=0.0)
    last = len(blocks) - 1
    return "".join(blocks[round(value / top * last) if top > 0 else 0] for value in values)
