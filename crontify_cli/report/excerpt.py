"""What of a job's output goes into `logOutput`: readable, masked, and within its limit.

CONTRACT.md, "Requests": the server keeps the first 10,000 characters (UTF-16
units) and drops the rest, and a traceback stands at the end; so what is too
long loses its middle here. Everything takes time linear in its input, whatever
the job printed.
"""

import re
from collections.abc import Callable

LIMIT = 10_000
"""UTF-16 units of `logOutput` that the server keeps."""

_HEAD_SHARE = 5
"""A fifth of an excerpt is the beginning of the output, the rest its end."""

_GAP_LINE = 4096
"""Bytes at a gap in the recording that may belong to a line torn by it."""
_CONTINUATIONS = bytes(range(0x80, 0xC0))

# Patterns are compiled when they are first used: most runs need none of them.
#
# ECMA-48's and xterm's escape sequences, in their seven-bit form only: in UTF-8 the
# eight-bit one is more often a mangled quotation mark. Possessive, so that what does
# not match is never tried again; a string without its end loses only its introducer.
_ESCAPES = r"""(?x)
        (?: \x1b\[ [0-?]*+ [ -/]*+ [@-~]?                  # CSI: colours, cursor
          | \x1b\] [^\x07\x1b\n\r]*+ (?:\x07|\x1b\\)       # OSC: titles, links
          | \x1b[PX^_] [^\x1b]*+ \x1b\\                    # DCS, SOS, PM, APC
          | \x1b [ -/]*+ [0-~]?                            # ESC and one character
        )++"""
# All but tab, newline, carriage return and backspace, which mean something below.
_CONTROLS = r"[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f]++"


def clean(data: bytes) -> str:
    """Return output as a person would have seen it on a terminal, as plain text.

    UTF-8, with U+FFFD for what is none; no escape sequences and no control
    characters but tab and newline; of a line that was overwritten after carriage
    returns only what was written last; backspaces erase.
    """
    text = data.decode("utf-8", "replace")
    text = re.sub(_CONTROLS, "", re.sub(_ESCAPES, "", text)).replace("\r\n", "\n")
    if "\r" in text or "\b" in text:
        text = "\n".join(map(_standing, text.split("\n")))
    return text


def _standing(line: str) -> str:
    if "\r" in line:
        line = line.rstrip("\r")
        line = line[line.rfind("\r") + 1 :]
    if "\b" not in line:
        return line
    left: list[str] = []
    for character in line:
        if character != "\b":
            left.append(character)
        elif left:
            left.pop()
    return "".join(left)


def excerpt(
    head: bytes, dropped: int, tail: bytes, mask: Callable[[str], str], limit: int = LIMIT
) -> str:
    """Return the log to report, at most `limit` UTF-16 units.

    head, dropped, tail: the recording: its beginning, how many bytes are missing,
        and its end. Without missing bytes it is `head + tail`.
    mask: takes the secrets out of cleaned text; called before anything is cut, so
        that no cut can leave half a secret.

    What does not fit loses its middle: about a fifth of the excerpt is the head,
    cut at line ends where there are some, and a line between says how many bytes
    (UTF-8) are missing.
    """
    if dropped:
        head, tail, torn = _untorn(head, tail)
        first, last = mask(clean(head)), mask(clean(tail))
        return _shortened(first, last, dropped + torn + _size(first) + _size(last), limit)
    text = mask(clean(head + tail))
    return text if units(text) <= limit else _shortened(text, text, _size(text), limit)


def _untorn(head: bytes, tail: bytes) -> tuple[bytes, bytes, int]:
    """Take the lines away that the gap tore: half a secret would stand there unmasked.

    Where no line ends nearby, a piece as long as a secret can be, and what is left
    of a character.
    """
    far = len(head) - min(_GAP_LINE, len(head) // 16)
    end = head.rfind(b"\n", far) + 1 or far
    end -= next((n for n in (1, 2, 3) if _begins_longer(head[:end][-n:], n)), 0)
    near = min(_GAP_LINE, len(tail) // 16)
    start = tail.find(b"\n", 0, near) + 1 or near
    start += len(tail[start : start + 3]) - len(tail[start : start + 3].lstrip(_CONTINUATIONS))
    return head[:end], tail[start:], len(head) - end + start


def _begins_longer(data: bytes, length: int) -> bool:
    """Say whether `data` begins a UTF-8 character of more than `length` bytes."""
    return len(data) == length and data[0] >= (0xC0, 0xE0, 0xF0)[length - 1]


def _shortened(head: str, tail: str, size: int, limit: int) -> str:
    """Return the beginning of `head` and the end of `tail` around the marker.

    size: the bytes of everything, of which the marker counts what is not shown.
    """
    room = limit - len(_marker(size)) - 2  # and its line ends
    if room < 2:
        return _last(tail, limit)
    space = max(room // _HEAD_SHARE, room - units(tail))
    first = head if units(head) <= space else _to_line_end(cut(head, space))
    space = room - units(first)
    last = tail if units(tail) <= space else _from_line_start(_last(tail, space))
    return _around(first, size - _size(first) - _size(last), last)


def _around(head: str, missing: int, tail: str) -> str:
    head += "\n" if head and not head.endswith("\n") else ""
    return f"{head}{_marker(missing)}\n{tail}"


def _marker(missing: int) -> str:
    return f"[… {missing:,} bytes omitted …]"


def _to_line_end(text: str) -> str:
    """Cut back to the last whole line, if that costs at most half."""
    end = text.rfind("\n") + 1
    return text[:end] if end > len(text) // 2 else text


def _from_line_start(text: str) -> str:
    """Cut forward to the first whole line, if that costs at most an eighth."""
    start = text.find("\n") + 1
    return text[start:] if start <= len(text) // 8 else text


def units(text: str) -> int:
    """Return the length of `text` in UTF-16 units, as a JavaScript server counts."""
    return len(text) if text.isascii() else len(_utf16(text)) // 2


def cut(text: str, limit: int) -> str:
    """Return as much of the beginning of `text` as fits into `limit` UTF-16 units."""
    if len(text) <= limit // 2:
        return text
    kept = _utf16(text[:limit])[: 2 * limit]
    if kept and 0xD8 <= kept[-1] <= 0xDB:
        kept = kept[:-2]  # the first half of a surrogate pair
    return kept.decode("utf-16-le", "surrogatepass")


def _last(text: str, limit: int) -> str:
    """Return as much of the end of `text` as fits into `limit` UTF-16 units."""
    if limit <= 0:
        return ""
    kept = _utf16(text[-limit:])[-2 * limit :]
    if kept and 0xDC <= kept[1] <= 0xDF:
        kept = kept[2:]  # the second half of a surrogate pair
    return kept.decode("utf-16-le", "surrogatepass")


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


Mask = Callable[[str], str]


_LONGEST_WORDS = 300


def _as_it_is(text: str) -> str:
    return text


def one_line(text: str, most: int = _LONGEST_WORDS, mask: Mask = _as_it_is) -> str:
    """Return a stranger's text fit for our stderr: one line of at most `most` units.

    mask: called before the line is cut.
    """
    line = mask(" ".join(clean(text.encode("utf-8", "replace")).split()))
    return line if units(line) <= most else cut(line, most - 1) + "…"
