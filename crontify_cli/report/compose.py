"""Makes a run's final report out of how it ended and what it printed."""

from collections.abc import Callable
from typing import NamedTuple

from crontify_cli.model import Meta, Ping
from crontify_cli.report.cause import end_of, find_causes, joined
from crontify_cli.report.excerpt import clean, cut, excerpt, units


class Output(NamedTuple):
    """What was kept of a job's output: its head and tail, and how many bytes lie between.

    errors: the end of its stderr, or of all output if it wrote nothing there; None where
        nobody saw how the run ended.
    """

    head: bytes
    dropped: int
    tail: bytes
    errors: bytes | None = None

    @property
    def total(self) -> int:
        """Bytes that the job wrote in all."""
        return len(self.head) + self.dropped + len(self.tail)


class Composed(NamedTuple):
    """A report, and the whole kept log, masked, for the local copy."""

    ping: Ping
    log: str


def compose(
    monitor_id: str,
    succeeded: bool,
    reason: str,
    meta: Meta,
    output: Output,
    mask: Callable[[str], str],
    *,
    with_log: bool = True,
) -> Composed:
    """Return the final ping for a run, within CONTRACT.md's limits, and its local log.

    reason: how the run ended, in words. mask: takes secrets out of a text.
    """
    log = _whole(output, mask)
    if succeeded:
        return Composed(Ping(monitor_id, "success", meta), log)
    reason = mask(reason)
    # If nobody saw the end, what was printed last is not its cause.
    room = LIMIT - units(reason) - 2
    cause = "" if output.errors is None else cause_of(output.errors, mask, room)
    log_output = excerpt(output.head, output.dropped, output.tail, mask) if with_log else ""
    ping = Ping(monitor_id, "fail", meta, error_message(reason, cause), log_output or None)
    return Composed(ping, log)


def _whole(output: Output, mask: Callable[[str], str]) -> str:
    if not output.dropped:
        return mask(clean(output.head + output.tail))
    gap = f"\n[… {output.dropped:,} bytes omitted …]\n"
    return mask(clean(output.head)) + gap + mask(clean(output.tail))


LIMIT = 500
"""CONTRACT.md, "Requests": UTF-16 units of `errorMessage`."""


def cause_of(errors: bytes, mask: Callable[[str], str], room: int = LIMIT) -> str:
    """Return what the end of a job's output names as its cause, "" if it names none.

    At most `room` UTF-16 units. mask: takes secrets out of a text; called before any
    line is chosen, and again for what JSON had written with escapes.
    """
    # A NUL separates names, as those of `find -print0`, from a message that follows.
    text = mask(clean(end_of(errors).replace(b"\0", b"\n")))
    return joined([mask(line) for line in find_causes(text)], room)


def error_message(reason: str, cause: str, limit: int = LIMIT) -> str:
    """Return `exited with code 1: ValueError: bad row 17`, at most `limit` UTF-16 units.

    cause: as `cause_of` found it; empty if there is none.
    """
    text = f"{reason}: {cause}" if cause else reason
    return text if units(text) <= limit else cut(text, max(0, limit - 1)) + "…"[:limit]
