"""Positions in a text."""

from collections.abc import Iterable

Span = tuple[int, int]
"""Where something is found in a text: its first byte, and the one after its last."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order; those that overlap become one."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start < result[-1][1]:
            result[-1] = result[-1][0], max(end, result[-1][1])
        else:
            result.append((start, end))
    return result
