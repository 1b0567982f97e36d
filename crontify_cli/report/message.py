"""The error message of a fail: what happened, and the line of stderr that tells why."""

import re
from collections.abc import Callable

from crontify_cli.report.excerpt import clean, cut

LIMIT = 500
"""UTF-16 units of `errorMessage` that the server takes (CONTRACT.md)."""

_TRACEBACK = "Traceback (most recent call last):"
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?::\s|$)")
# Where a stack stands below what it explains, and what follows an error as advice.
_STACK = re.compile(r"\s+(?:at |File \"|\.\.\. \d+ more|in |[~^]+$|\^)|goroutine \d+|\s*\d+:\s+0x")
_ADVICE = re.compile(
    r"\s*(?:note: |hint: |help: |npm (?:ERR!|error) A complete log|\(use |Node\.js v\d"
    r"|During handling|The above exception|make(?:\[\d+\])?: \*\*\* )"
)


def error_message(reason: str, telling_line: str, limit: int = LIMIT) -> str:
    """Return `exited with code 1: ValueError: bad row 17`, cut to `limit` UTF-16 units."""
    reason, line = " ".join(reason.split()), " ".join(telling_line.split())
    return cut(f"{reason}: {line}" if line else reason, limit)


def last_telling_line(errors: bytes, mask: Callable[[str], str]) -> str:
    """Return the last line that tells something, masked; empty where none does.

    Of a traceback that is the exception's line, of a Java stack the last cause; blank
    lines, rulers, stack frames and advice are passed over.
    """
    lines = mask(clean(errors)).split("\n")
    if exception := _of_traceback(lines):
        return exception
    fallback = ""
    for line in reversed(lines):
        if not any(character.isalnum() for character in line):
            continue
        fallback = fallback or line.strip()
        if not (_STACK.match(line) or _ADVICE.match(line)):
            return line.strip()
    return fallback


def _of_traceback(lines: list[str]) -> str:
    starts = [at for at, line in enumerate(lines) if line.strip().endswith(_TRACEBACK)]
    if not starts:
        return ""
    margin = len(lines[starts[-1]]) - len(lines[starts[-1]].lstrip())
    for line in lines[starts[-1] + 1 :]:
        if not line[margin : margin + 1].isspace() and _EXCEPTION.match(line[margin:]):
            return line.strip()
    return ""
