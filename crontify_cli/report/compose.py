"""Composes the final report of a run from how it ended and what it printed."""

from typing import NamedTuple

from crontify_cli.model import Meta, Ping
from crontify_cli.report.excerpt import Mask, clean, cut, excerpt, units, untorn

LIMIT = 500
"""CONTRACT.md, "Requests": UTF-16 units of `errorMessage`."""


class Output(NamedTuple):
    """The part of a job's output that was kept: its beginning, its end, and the gap's size.

    dropped: the number of bytes missing between head and tail.
    errors: the end of stderr, or of the whole output if stderr is empty; None if nobody saw
        how the run ended.
    """

    head: bytes
    dropped: int
    tail: bytes
    errors: bytes | None = None

    def end(self) -> bytes:
        """Return the end of the output, without a line that the gap has torn."""
        return self.tail.partition(b"\n")[2] if self.dropped else self.head + self.tail


class Composed(NamedTuple):
    """A report, and the whole recorded log, masked, for the local copy."""

    ping: Ping
    log: str


def compose(
    monitor_id: str,
    succeeded: bool,
    reason: str,
    meta: Meta,
    output: Output,
    mask: Mask,
    *,
    with_log: bool = True,
) -> Composed:
    """Return the final ping of a run, within the limits of CONTRACT.md, and its local log.

    reason: how the run ended, in words.
    """
    log = _whole_log(output, mask)
    if succeeded:
        return Composed(Ping(monitor_id, "success", meta), log)
    reason = mask(reason)
    # If nobody saw the end, what was printed last need not be its cause.
    room = LIMIT - units(reason) - 2
    cause = "" if output.errors is None else cause_of(output.errors, mask, room)
    log_output = excerpt(output.head, output.dropped, output.tail, mask) if with_log else ""
    ping = Ping(monitor_id, "fail", meta, error_message(reason, cause), log_output or None)
    return Composed(ping, log)


def _whole_log(output: Output, mask: Mask) -> str:
    if not output.dropped:
        return mask(clean(output.head + output.tail))
    head, tail, torn = untorn(output.head, output.tail)
    gap = f"\n[… {output.dropped + torn:,} bytes omitted …]\n"
    return mask(clean(head)) + gap + mask(clean(tail))


def cause_of(errors: bytes, mask: Mask, room: int = LIMIT) -> str:
    """Return what the end of a job's output names as its cause, "" if it names none.

    At most `room` UTF-16 units. mask: called before any line is chosen, and again for what
    JSON had written with escapes.
    """
    from crontify_cli.report.cause import end_of, find_causes, joined  # most runs succeed

    # A NUL separates names, as those of `find -print0`, from a message that follows.
    text = mask(clean(end_of(errors).replace(b"\0", b"\n")))
    return joined([mask(line) for line in find_causes(text)], room)


def error_message(reason: str, cause: str, limit: int = LIMIT) -> str:
    """Return `exited with code 1: ValueError: bad row 17`, at most `limit` UTF-16 units.

    cause: the result of `cause_of`, or empty.
    """
    text = f"{reason}: {cause}" if cause else reason
    return text if units(text) <= limit else cut(text, max(0, limit - 1)) + "…"[:limit]
