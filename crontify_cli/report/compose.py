"""Makes a run's final report out of how it ended and what it printed."""

from collections.abc import Callable
from typing import NamedTuple

from crontify_cli.model import Meta, Ping
from crontify_cli.report.excerpt import clean, excerpt
from crontify_cli.report.message import error_message, last_telling_line


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
    # Where nobody saw the end, the last line printed is not its cause.
    line = "" if output.errors is None else last_telling_line(output.errors, mask)
    log_output = excerpt(output.head, output.dropped, output.tail, mask) if with_log else ""
    ping = Ping(monitor_id, "fail", meta, error_message(mask(reason), line), log_output or None)
    return Composed(ping, log)


def _whole(output: Output, mask: Callable[[str], str]) -> str:
    if not output.dropped:
        return mask(clean(output.head + output.tail))
    gap = f"\n[… {output.dropped:,} bytes omitted …]\n"
    return mask(clean(output.head)) + gap + mask(clean(output.tail))
