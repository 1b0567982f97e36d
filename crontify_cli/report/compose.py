"""Composes the final report of a run from how it ended and what it printed."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from crontify_cli.model import Meta, Ping
from crontify_cli.report.excerpt import Mask, clean, cut, excerpt, units

LIMIT = 500
"""CONTRACT.md, "Requests": UTF-16 units of `errorMessage`."""

_EXAMINED = 64 * 1024
"""Bytes at the end of stderr that are searched for the cause."""

_AFTERWORD = 20
"""Lines after an exception that may still belong to its message."""

_TRACEBACK = r"([ |]*)(?:\+ Exception Group )?Traceback \(most recent call last\):"

# Lines that do not say what went wrong.
_UNTELLING = r"""(?xi)
    \s*+(?:
        [\W_]*                                           # blank, rulers, ^^^^, ~~~~
      | (?<=\s)at\ .* | (?<=\s)\.\.\.\ \d+\ .*           # Java, node, .NET
      | File\ ".*",\ line\ \d+.* | Traceback\ \(most\ recent\ call\ last\):   # Python
      | (?<=\s)from\ \S+:\d+:in\ .*                      # Ruby
      | \#\d+\ .* | Stack\ trace:? | (?<=\s)thrown\ in\ .*   # PHP
      | (?<=\s).*\ called\ at\ .*\ line\ \d+             # Perl's confess
      | (?:note|help|hint|detail|context|statement):\ .* | (?-i:LINE\ \d+:.*)   # advice, SQL
      | ---\ End\ of\ .* | Node\.js\ v[\d.]+
      | goroutine\ \d+\ .* | exit\ status\ \d+           # Go
      | \++\ .*                                          # sh -x
      | make(?:\[\d+\])?:\ .*
      | npm\ (?:ERR!|error)(?:\ A\ complete\ log\ of\ .*|\ .*/_logs/.*)?
    )"""


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
    # If nobody saw the end, the last line of the output need not be the cause.
    line = "" if output.errors is None else last_telling_line(output.errors, mask)
    log_output = excerpt(output.head, output.dropped, output.tail, mask) if with_log else ""
    ping = Ping(monitor_id, "fail", meta, error_message(mask(reason), line), log_output or None)
    return Composed(ping, log)


def _whole_log(output: Output, mask: Mask) -> str:
    if not output.dropped:
        return mask(clean(output.head + output.tail))
    gap = f"\n[… {output.dropped:,} bytes omitted …]\n"
    return mask(clean(output.head)) + gap + mask(clean(output.tail))


def error_message(reason: str, telling_line: str, limit: int = LIMIT) -> str:
    """Return `exited with code 1: ValueError: bad row 17`, at most `limit` UTF-16 units.

    telling_line: the result of `last_telling_line`, or empty.
    """
    text = f"{reason}: {telling_line}" if telling_line else reason
    return text if units(text) <= limit else cut(text, max(0, limit - 1)) + "…"[:limit]


def last_telling_line(stderr: bytes, mask: Mask) -> str:
    """Return the line of a job's stderr that tells best what went wrong, or "".

    After an uncaught exception it is the line with its type and message: of a chain the last
    one in Python's order, the cause in Java's. Otherwise it is the last line that is not
    blank, a ruler, a stack frame, or general advice of a runtime.

    mask: called on the cleaned text before a line is chosen.
    """
    text = mask(clean(_last_lines(stderr)))
    lines = _without_ignored([line.rstrip() for line in text.split("\n")])
    for find in (_python_exception, _go_panic):
        if line := find(lines):
            return _on_one_line(line)
    telling = filter(_tells, reversed(_without_properties(_without_backtrace(lines))))
    wordy = (line for line in reversed(lines) if re.search(r"\w", line))
    return _on_one_line(next(telling, None) or next(wordy, ""))


def _last_lines(stderr: bytes) -> bytes:
    if len(stderr) <= _EXAMINED:
        return stderr
    end = stderr[-_EXAMINED:]
    return end[end.find(b"\n") + 1 :]  # keeps a line that is longer than that


def _tells(line: str) -> bool:
    return not re.fullmatch(_UNTELLING, line[:1000])


def _on_one_line(line: str) -> str:
    """Normalize spaces, and remove the margin of an exception group."""
    return " ".join(line.lstrip(" |+").split())


def _python_exception(lines: Sequence[str]) -> str:
    """Return the line of the last traceback that names the exception, "" if there is none.

    If many lines follow it, the program went on, so the exception did not end it.
    """
    for at in range(len(lines) - 1, -1, -1):
        if not (header := re.fullmatch(_TRACEBACK, lines[at])):
            continue
        margin = len(header[1]) + 2 * ("+ Exception" in lines[at])
        for below, line in enumerate(lines[at + 1 :], at + 1):
            indent = len(line) - len(line.replace("|", " ").lstrip())
            if line and indent <= margin:
                afterword = sum(map(bool, lines[below + 1 :]))
                return line if afterword <= _AFTERWORD and _tells(line) else ""
        return ""
    return ""


def _without_ignored(lines: Sequence[str]) -> Sequence[str]:
    """Remove the tracebacks of exceptions that Python ignores, as in a failing `__del__`."""
    kept: list[str] = []
    ignoring = False
    for line in lines:
        ends = ignoring and line[:1] not in ("", " ") and not line.startswith("Traceback ")
        ignoring = line.startswith("Exception ignored ") or (ignoring and not ends)
        if not ignoring and not ends:
            kept.append(line)
    return kept


def _go_panic(lines: Sequence[str]) -> str:
    """Return the line of a Go panic, which is followed by its goroutines; "" if there is none."""
    panic = ""
    for line in lines:
        if line.startswith(("panic: ", "fatal error: ")):
            panic = line
        elif panic and line.startswith("goroutine "):
            return panic
    return ""


def _without_backtrace(lines: Sequence[str]) -> Sequence[str]:
    """Remove Rust's backtrace."""
    return lines[: lines.index("stack backtrace:")] if "stack backtrace:" in lines else lines


def _without_properties(lines: Sequence[str]) -> Sequence[str]:
    """Remove the object that Node.js prints after the frames of an error: `… {`, `}`."""
    end = len(lines)
    while end and (not lines[end - 1] or lines[end - 1].startswith("Node.js v")):
        end -= 1
    if not end or lines[end - 1] != "}":
        return lines
    for at in range(end - 2, max(-1, end - 60), -1):
        if lines[at].endswith(" {") and not lines[at].startswith("  "):
            return [*lines[:at], lines[at][:-2]]
        if lines[at].startswith("    at ") and lines[at].endswith(" {"):
            return lines[:at]
    return lines
