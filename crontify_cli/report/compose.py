"""Makes a run's final report out of how it ended and what it printed."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from crontify_cli.model import Meta, Ping
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


LIMIT = 500
"""CONTRACT.md, "Requests": UTF-16 units of `errorMessage`."""

_LOOKED_AT = 64 * 1024
"""Bytes of the end of stderr in which a telling line is looked for."""

_AFTERWORD = 20
"""Lines after an exception that may still belong to its message."""


def error_message(reason: str, telling_line: str, limit: int = LIMIT) -> str:
    """Return `exited with code 1: ValueError: bad row 17`, at most `limit` UTF-16 units.

    telling_line: as `last_telling_line` found it; empty where there is none.
    """
    text = f"{reason}: {telling_line}" if telling_line else reason
    return text if units(text) <= limit else cut(text, max(0, limit - 1)) + "…"[:limit]


def last_telling_line(stderr: bytes, mask: Callable[[str], str]) -> str:
    """Return the line of a job's stderr that says best what went wrong, "" if none does.

    Of an uncaught exception its type and message (the last one of a chain, in Python's
    order; the cause, in Java's); else the last line that is neither blank nor a
    ruler, a stack frame, or a runtime's advice.

    mask: takes the secrets out of cleaned text; called before a line is chosen.
    """
    text = mask(clean(_last_lines(stderr)))
    lines = _without_ignored([line.rstrip() for line in text.split("\n")])
    for known in (_python_exception, _go_panic):
        if line := known(lines):
            return _plain(line)
    for line in reversed(_without_properties(_without_backtrace(lines))):
        if _tells(line):
            return _plain(line)
    return next((_plain(line) for line in reversed(lines) if re.search(r"\w", line)), "")


def _last_lines(stderr: bytes) -> bytes:
    if len(stderr) <= _LOOKED_AT:
        return stderr
    end = stderr[-_LOOKED_AT:]
    return end[end.find(b"\n") + 1 :]  # a line that is longer stays


def _plain(line: str) -> str:
    """Return the line without an exception group's margin, in one piece."""
    return " ".join(line.lstrip(" |+").split())


# Python.

_TRACEBACK = r"([ |]*)(?:\+ Exception Group )?Traceback \(most recent call last\):"


def _python_exception(lines: Sequence[str]) -> str:
    """Return the line of the last traceback that names the exception, "" if there is none.

    What follows is part of its message or a few last words; where the program went
    on for longer, it was not what ended it.
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
    """Take away the tracebacks that Python prints and ignores, as of a failing `__del__`."""
    kept: list[str] = []
    ignoring = False
    for line in lines:
        ends = ignoring and line[:1] not in ("", " ") and not line.startswith("Traceback ")
        ignoring = line.startswith("Exception ignored ") or (ignoring and not ends)
        if not ignoring and not ends:
            kept.append(line)
    return kept


# Go.


def _go_panic(lines: Sequence[str]) -> str:
    """Return the panic that is followed by its goroutines, "" if there is none."""
    panic = ""
    for line in lines:
        if line.startswith(("panic: ", "fatal error: ")):
            panic = line
        elif panic and line.startswith("goroutine "):
            return panic
    return ""


# Rust.


def _without_backtrace(lines: Sequence[str]) -> Sequence[str]:
    return lines[: lines.index("stack backtrace:")] if "stack backtrace:" in lines else lines


# Node.


def _without_properties(lines: Sequence[str]) -> Sequence[str]:
    """Take away the object that node prints after the frames of an error: `… {`, `}`."""
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


def _tells(line: str) -> bool:
    return not re.fullmatch(_UNTELLING, line[:1000])
