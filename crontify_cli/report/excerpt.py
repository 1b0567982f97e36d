"""Turns a job's output into `logOutput`: readable, masked, and within the server's limit.

CONTRACT.md, "Requests": the server keeps the first 10,000 characters (UTF-16 units). A
traceback is at the end, so the middle of a longer log is left out here. Every function
takes time linear in the size of its input, whatever the job has printed.
"""

import re
from collections.abc import Callable

Mask = Callable[[str], str]
"""A function that masks the secrets in a text."""

LIMIT = 10_000
"""UTF-16 units of `logOutput` that the server keeps."""

LONGEST_LINE = 300
"""UTF-16 units of other people's text in one of our messages."""

_HEAD_SHARE = 5
"""One fifth of an excerpt is the beginning of the output, the rest is its end."""

_GAP_LINE = 4096
"""How many bytes next to a gap may belong to a line that the gap cut in two."""

_CONTINUATIONS = bytes(range(0x80, 0xC0))

# The patterns are compiled on first use, because most runs need none of them.
#
# Escape sequences of ECMA-48 and xterm, but only the seven-bit ones: in UTF-8 the
# eight-bit ones are more often mangled quotation marks. The quantifiers are possessive,
# so that there is no backtracking; of an unterminated string only the introducer is removed.
_ESCAPES = r"""(?x)
        (?: \x1b\[ [0-?]*+ [ -/]*+ [@-~]?                  # CSI: colours, cursor
          | \x1b\] [^\x07\x1b\n\r]*+ (?:\x07|\x1b\\)       # OSC: titles, links
          | \x1b[PX^_] [^\x1b]*+ \x1b\\                    # DCS, SOS, PM, APC
          | \x1b [ -/]*+ [0-~]?                            # ESC and one character
        )++"""
# All except tab, newline, carriage return and backspace, which are handled below; and what
# changes the direction of text, which may make a line look like another one (UAX 9).
_CONTROLS = r"[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]++"


def excerpt(head: bytes, dropped: int, tail: bytes, mask: Mask, limit: int = LIMIT) -> str:
    """Return the log to send, at most `limit` UTF-16 units.

    head, dropped, tail: the beginning of the recorded output, the number of bytes missing
        after it, and its end. If none are missing, the output is `head + tail`.
    mask: called on cleaned text before anything is cut, so that no half secret remains.

    If the output is too long, its middle is replaced by a line with the number of bytes
    (UTF-8) left out. About a fifth of the excerpt is the beginning. Both parts are cut at
    line ends if possible.
    """
    if dropped:
        head, tail, torn = untorn(head, tail)
        first, last = mask(clean(head)), mask(clean(tail))
        return _shortened(first, last, dropped + torn + _size(first) + _size(last), limit)
    text = mask(clean(head + tail))
    return text if units(text) <= limit else _shortened(text, text, _size(text), limit)


def clean(data: bytes) -> str:
    """Return output as plain text, as it would be seen on a terminal.

    Invalid UTF-8 becomes U+FFFD. Escape sequences, control characters except tab and
    newline, and bidirectional controls are removed. A carriage return discards the line
    before it, a backspace the character before it.
    """
    text = data.decode("utf-8", "replace")
    if "\x1b" in text:
        text = re.sub(_ESCAPES, "", text)
    if not text.replace("\n", "").isprintable():
        text = re.sub(_CONTROLS, "", text).replace("\r\n", "\n")
    if "\r" in text or "\b" in text:
        text = "\n".join(map(_visible, text.split("\n")))
    return text


def _visible(line: str) -> str:
    """Apply the carriage returns and backspaces of a line."""
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


def untorn(head: bytes, tail: bytes) -> tuple[bytes, bytes, int]:
    """Remove the lines that the gap has cut in two: half a secret would not be masked.

    If no line ends near the gap, remove as many bytes as a secret may have, and the rest
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
    """Tell whether `data` is the start of a UTF-8 character of more than `length` bytes."""
    return len(data) == length and data[0] >= (0xC0, 0xE0, 0xF0)[length - 1]


def _shortened(head: str, tail: str, size: int, limit: int) -> str:
    """Return the beginning of `head` and the end of `tail` with the marker between them.

    size: the size of the whole output in bytes, from which the marker's number is computed.
    """
    room = limit - len(_marker(size)) - 2  # two line ends around the marker
    if room < 2:
        return _last(tail, limit)
    space = max(room // _HEAD_SHARE, room - units(tail))
    first = head if units(head) <= space else _to_line_end(cut(head, space))
    space = room - units(first)
    last = tail if units(tail) <= space else _from_line_start(_last(tail, space))
    missing = size - _size(first) - _size(last)
    first += "\n" if first and not first.endswith("\n") else ""
    return f"{first}{_marker(missing)}\n{last}"


def _marker(missing: int) -> str:
    return f"[… {missing:,} bytes omitted …]"


def _to_line_end(text: str) -> str:
    """Cut after the last complete line, unless that removes more than half."""
    end = text.rfind("\n") + 1
    return text[:end] if end > len(text) // 2 else text


def _from_line_start(text: str) -> str:
    """Cut before the first complete line, unless that removes more than an eighth."""
    start = text.find("\n") + 1
    return text[start:] if start <= len(text) // 8 else text


def units(text: str) -> int:
    """Return the length of `text` in UTF-16 units, as a JavaScript server counts."""
    return len(text) if text.isascii() else len(_utf16(text)) // 2


def cut(text: str, limit: int) -> str:
    """Return the beginning of `text`, at most `limit` UTF-16 units."""
    if len(text) <= limit // 2:
        return text
    kept = _utf16(text[:limit])[: 2 * limit]
    if kept and 0xD8 <= kept[-1] <= 0xDB:
        kept = kept[:-2]  # the first half of a surrogate pair
    return kept.decode("utf-16-le", "surrogatepass")


def _last(text: str, limit: int) -> str:
    """Return the end of `text`, at most `limit` UTF-16 units."""
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


def unmasked(text: str) -> str:
    """Return `text` as it is: the mask for texts without secrets."""
    return text


def one_line(text: str, most: int = LONGEST_LINE, mask: Mask = unmasked) -> str:
    """Return other people's text as one line for our stderr, at most `most` UTF-16 units.

    mask: called before the line is cut.
    """
    line = mask(" ".join(clean(text.encode("utf-8", "replace")).split()))
    return line if units(line) <= most else cut(line, most - 1) + "…"
