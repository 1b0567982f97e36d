"""Finds known secrets in a text, however they are written there.

A secret is rarely printed as it is. It is escaped in JSON, quoted for a URL, HTML or a
shell, encoded in base64 or hex, wrapped into lines, or several of these. Deriving every
form of every secret would take thousands of search words, so it is done the other way round:
the text is decoded, and only the secrets themselves are searched for in the result. Each
layer that is removed remembers where its bytes came from.

Time is linear in the size of the text, and hardly depends on the number of secrets. The
search compares four bytes at every fourth position with all the four-byte sequences in
the secrets; a sequence of seven bytes always contains one such position.
"""

import binascii
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, compress
from typing import NamedTuple

from crontify_cli.report.spans import Span, merged

PIECE = 12
"""Bytes of a secret that are found by themselves: a piece of a torn or cut secret."""

_LEAST = 7
"""Bytes that the search needs, not counting bytes that it ignores."""

_MOST = 256 * 1024
"""Bytes of all secrets together that are searched for, which bounds time and memory."""

_ROUNDS = 3
"""How often escape sequences inside each other are decoded."""

_DEPTH = 2
"""How often base64, base32 and hex inside each other are decoded."""

# These bytes count neither in a text nor in a secret: line breaks, indentation and control
# characters, and then quotes and backslashes, by which JSON and shells escape others.
_BREAKS = bytes(range(33)) + b"\x7f"
_QUOTES = b"\\'\""
_IGNORED = _BREAKS + _QUOTES

_TERMINAL = rb"\x1b(?:\[[0-?]*+[ -/]*+[@-~]?|[ -/]*+[0-~]?)"

# A run of backslashes is only ever entered at its beginning: otherwise it takes quadratic time.
_ESCAPED = rb"""(?x)
    (?<!\\) \\++ (?:
        u ( [dD][89abAB][0-9a-fA-F]{2} \\++ u [dD][c-fC-F][0-9a-fA-F]{2} | [0-9a-fA-F]{4} )
      | x ( [0-9a-fA-F]{2} )
      | ( [0-3][0-7]{2} )
      | [abfnrtv] )
  | % ( [0-9a-fA-F]{2} )
  | & (?: \# ( [0-9]{1,7} | [xX][0-9a-fA-F]{1,6} ) | ( amp | lt | gt | quot | apos ) ) ;"""
_ENTITIES = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}
# What fills the place of a longer escape sequence, and of one that stands for nothing.
_FILL, _NOTHING = b"\0", b"\1"
_FILLING = _FILL + _NOTHING

_INTERRUPTION = 8
"""Bytes of other output that may interrupt a secret of less than two pieces."""

_BLOCK = 1024

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def _table(kept: bytes, other: bytes) -> bytes:
    return bytes(byte if byte in kept else other[0] for byte in range(256))


_TO_BASE64 = _table(_BASE64 + b"-_", b"A").replace(b"-", b"+").replace(b"_", b"/")
_TO_HEX = _table(b"0123456789abcdefABCDEF", b"0")
_BASE32 = rb"[A-Z2-7]{13,}+"
# Base 32 as int() has it, whose time is linear for powers of two.
_TO_DIGITS = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghijklmnopqrstuv"
)
_SEPARATORS = b":.,-"
_SEPARATED_HEX = rb"(?:[0-9a-fA-F]{2}[:.,-]){7}"
_READABLE = bytes(32 <= byte < 127 or byte in b"\t\n\r" for byte in range(256))

_KEPT = {
    removed: bytes(byte not in removed for byte in range(256))
    for removed in (_BREAKS, _QUOTES, _IGNORED, _FILLING, _SEPARATORS)
}


class _Pieces(NamedTuple):
    """The pieces of secrets of one length, and the four-byte sequences in those secrets."""

    texts: set[bytes]
    grams: set[int]


class Needles:
    """The secrets to find.

    values: secrets of at least 8 characters; `short` are found, too, but only as they are.
    """

    def __init__(self, values: Iterable[str], short: Iterable[str] = ()) -> None:
        self._grams: set[int] = set()
        self._pieces: dict[int, _Pieces] = {}
        self._halves: dict[int, dict[bytes, bytes]] = {}
        self._half_grams: set[bytes] = set()
        self._exact = {_utf8(value) for value in short}
        self._has_other_bytes = False
        left = _MOST
        for data in sorted({data for value in values for data in _lines(value)}, key=len):
            self._add(data[:left])
            left -= min(left, len(data))

    def spans(self, data: bytes) -> list[Span]:
        """Return where secrets are in a text (UTF-8), in order and merged."""
        found = list(self._in_text(data, _DEPTH)) if self._grams else []
        return merged([*found, *(span for word in self._exact for span in _found(word, data))])

    # The secrets

    def _add(self, data: bytes) -> None:
        bare = data.translate(None, _IGNORED)
        if len(bare) < _LEAST:
            self._exact.add(data)
            return
        self._has_other_bytes |= not bare.isascii()
        half = -(-len(bare) // 2)
        if _LEAST <= half < PIECE:
            halves = self._halves.setdefault(half, {})
            for part in (bare[:half], bare[-half:]):
                halves[part] = bare
                self._half_grams.update(part[at : at + 4] for at in range(4))
        width = min(PIECE, len(bare))
        pieces = {bare[start : start + width] for start in range(len(bare) - width + 1)}
        if len(bare) < len(data):  # then twelve bytes of it are fewer here
            kept = [at for at, byte in enumerate(data) if byte not in _IGNORED]
            for start in range(len(data) - PIECE + 1):
                first, end = bisect_left(kept, start), bisect_left(kept, start + PIECE)
                if end - first >= _LEAST:
                    pieces.add(bare[first:end])
        for piece in pieces:
            self._pieces.setdefault(len(piece), _Pieces(set(), set())).texts.add(piece)
        for grams in (self._grams, *(self._pieces[width].grams for width in set(map(len, pieces)))):
            for start in range(4):
                end = start + (len(bare) - start) // 4 * 4
                grams.update(memoryview(bare)[start:end].cast("I"))

    # The layers of a text

    def _in_text(self, data: bytes, depth: int) -> Iterator[Span]:
        """Search without terminal sequences, line breaks and indentation."""
        if b"\x1b" in data:
            data = re.sub(_TERMINAL, lambda match: bytes(len(match[0])), data)
        bare = data.translate(None, _BREAKS)
        yield from _outer(self._in_escaped(bare, depth, _ROUNDS), data, _BREAKS)

    def _in_escaped(self, data: bytes, depth: int, rounds: int) -> Iterator[Span]:
        """Search as it stands, and with escape sequences decoded."""
        bare = data.translate(None, _QUOTES)
        yield from _outer(self._in_bare(bare, depth), data, _QUOTES)
        if rounds and _may_be_escaped(data) and re.search(_ESCAPED, data):
            padded = re.sub(_ESCAPED, _unescaped, data)
            plain = padded.translate(None, _FILLING)
            yield from _outer(self._in_escaped(plain, depth, rounds - 1), padded, _FILLING)

    def _in_bare(self, data: bytes, depth: int) -> Iterator[Span]:
        """Search as it stands, and with base64, base32 and hex decoded."""
        yield from self._matches(data)
        if not depth:
            return
        base64 = data.translate(_TO_BASE64) + b"AAA"
        for at in range(4):
            inner = binascii.a2b_base64(base64[at : at + (len(base64) - at) // 4 * 4])
            for start, end in self._in_decoded(inner, depth - 1):
                yield at + start * 4 // 3, min(at - (-end * 4 // 3), len(data))
        yield from self._in_hex(data, depth)
        for run in re.finditer(_BASE32, data):
            digits = run[0].translate(_TO_DIGITS) + b"0000000"
            for at in range(8):
                size = (len(digits) - at) // 8
                inner = int(digits[at : at + 8 * size], 32).to_bytes(5 * size, "big")
                for start, end in self._in_decoded(inner, depth - 1):
                    first = run.start() + at
                    yield first + start * 8 // 5, min(first - (-end * 8 // 5), run.end())
        if re.search(_SEPARATED_HEX, data):
            joined = data.translate(None, _SEPARATORS)
            yield from _outer(self._in_hex(joined, depth), data, _SEPARATORS)

    def _in_hex(self, data: bytes, depth: int) -> Iterator[Span]:
        hexadecimal = data.translate(_TO_HEX)
        for at in range(2):
            inner = binascii.a2b_hex(hexadecimal[at : at + (len(data) - at) // 2 * 2])
            for start, end in self._in_decoded(inner, depth - 1):
                yield at + 2 * start, at + 2 * end

    def _in_decoded(self, data: bytes, depth: int) -> Iterator[Span]:
        """Search what is readable; most of it is noise, since it was not encoded."""
        for start, end in _readable(data):
            for first, last in self._in_text(data[start:end], depth):
                yield start + first, start + last
        if self._has_other_bytes:
            bare = data.translate(None, _IGNORED)
            yield from _outer(self._matches(bare), data, _IGNORED)

    def _matches(self, data: bytes) -> list[Span]:
        words = memoryview(data)[: len(data) // 4 * 4].cast("I")
        if self._grams.isdisjoint(words):
            return []
        hits = list(compress(range(len(words)), map(self._grams.__contains__, words)))
        found: list[Span] = []
        for width, (texts, grams) in self._pieces.items():
            places = [4 * at for at in hits if words[at] in grams]
            if width >= 11:  # it then contains two positions next to each other
                after = set(places)
                places = [at for at in places if at + 4 in after]
            found += _around(places, data, texts, width)
        places = [at for at in hits if data[4 * at : 4 * at + 4] in self._half_grams]
        for width, halves in self._halves.items():
            for start in (4 * at - back for at in places for back in range(4)):
                if secret := halves.get(data[start : start + width]):
                    found += _interrupted(data, start, width, secret)
        return found


def _around(places: Iterable[int], data: bytes, texts: set[bytes], width: int) -> list[Span]:
    """Return where one of `texts`, each of `width` bytes, includes one of the places."""
    found: list[Span] = []
    begin = end = -1
    for at in places:
        for last in range(at, at - 4, -1):
            if data[last : last + width] in texts:
                break
        else:
            continue
        if last >= end:
            starts = range(max(0, at - 3), last + 1)
            first = next(start for start in starts if data[start : start + width] in texts)
            if first >= end:
                found.append((begin, end))
                begin = first
        end = last + width
    return [*found[1:], (begin, end)] if found else []


def _interrupted(data: bytes, start: int, width: int, secret: bytes) -> list[Span]:
    """Return both parts of a secret that other output interrupts.

    start, width: where in `data` the first or the last half of the secret is.
    """
    if secret.startswith(data[start : start + width]):
        end = start + _alike(data[start : start + len(secret)], secret)
        rest = secret[end - start :]
        other = data.find(rest, end, end + _INTERRUPTION + len(rest))
    else:
        end = start + width
        before = data[max(0, end - len(secret)) : end]
        same = _alike(before[::-1], secret[::-1])
        start, rest = end - same, secret[: len(secret) - same]
        other = data.rfind(rest, max(0, start - _INTERRUPTION - len(rest)), start)
    return [(start, end), (other, other + len(rest))] if rest and other >= 0 else []


def _alike(one: bytes, other: bytes) -> int:
    """Return how many bytes at the beginning of both are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _outer(inner: Iterable[Span], data: bytes, removed: bytes) -> Iterator[Span]:
    """Map spans in `data` without the bytes `removed` to spans in `data`."""
    if not (spans := merged(inner)):
        return
    places = _Places(data, removed)
    for start, end in spans:
        last = places.of(end - 1) + 1
        while removed == _FILLING and data[last : last + 1] == _FILL:
            last += 1  # the rest of an escape sequence
        yield places.of(start), last


class _Places:
    """Where the bytes that are left after a removal have been. Asked for in order."""

    def __init__(self, data: bytes, removed: bytes) -> None:
        self._data = data
        self._kept = _KEPT[removed]
        blocks = range(0, len(data), _BLOCK)
        counts = (len(data[at : at + _BLOCK].translate(None, removed)) for at in blocks)
        self._ends = list(accumulate(counts))
        self._first = self._end = 0
        self._places: list[int] = []

    def of(self, position: int) -> int:
        if not self._first <= position < self._end:
            block = bisect_right(self._ends, position)
            self._first, self._end = self._ends[block - 1] if block else 0, self._ends[block]
            span = range(block * _BLOCK, (block + 1) * _BLOCK)
            part = self._data[span.start : span.stop]
            self._places = list(compress(span, part.translate(self._kept)))
        return self._places[position - self._first]


def _may_be_escaped(data: bytes) -> bool:
    """Tell whether it is worth compiling `_ESCAPED`."""
    return b"\\" in data or b"%" in data or b"&" in data


def _unescaped(match: re.Match[bytes]) -> bytes:
    """Return what an escape sequence stands for, filled to the same length."""
    code, byte, octal, percent, number, name = match.groups()
    if code:
        text = bytes.fromhex("".join(code.decode().replace("\\", "").split("u")))
        plain = text.decode("utf-16-be", "replace").encode()
    elif byte or percent:
        plain = bytes.fromhex((byte or percent).decode())
    elif octal:
        plain = bytes((int(octal, 8),))
    elif number:
        value = int(number[1:], 16) if number[:1] in b"xX" else int(number)
        plain = chr(min(value, 0x10FFFF)).encode("utf-8", "replace")
    else:
        plain = _ENTITIES.get(name, b"")
    if not plain.translate(None, _BREAKS):
        return _NOTHING * len(match[0])
    return plain.ljust(len(match[0]), _FILL)


def _readable(data: bytes) -> Iterator[Span]:
    """Yield where there are at least 8 printable ASCII characters in a row."""
    kinds = data.translate(_READABLE)
    start = kinds.find(b"\1" * 8)
    while start >= 0:
        end = kinds.find(b"\0", start)
        end = len(data) if end < 0 else end
        yield start, end
        start = kinds.find(b"\1" * 8, end)


def _found(word: bytes, data: bytes) -> Iterator[Span]:
    start = data.find(word)
    while start >= 0:
        yield start, start + len(word)
        start = data.find(word, start + 1)


_FRAME = r"-----[A-Z0-9 ]{1,60}-----"
_PLACE = r"(?i)[a-z][a-z0-9+.-]*+://[^/?#\s@]*+/"


def _lines(value: str) -> Iterator[bytes]:
    """Yield what to search for of a secret: all of it in one line, and each line.

    The frame of a PEM and the host of a URL are no secrets, and occur in harmless texts.
    """
    lines = value.strip().splitlines()
    if "-----" in value:
        lines = [re.sub(_FRAME, "", line) for line in lines]
    lines = [line.strip() for line in lines]
    lines = [line for line in lines if line]
    whole = "".join(lines)
    if "://" in whole and (place := re.match(_PLACE, whole)):
        rest = whole[place.end() :]
        whole = rest if len(rest) >= 8 else whole
    pieces = {whole, *(line for line in lines if 8 <= len(line) < PIECE)}
    if len(whole.encode("utf-8", "replace").translate(None, _IGNORED)) < _LEAST:
        pieces |= {value, "\n".join(lines)}  # found only as they are
    for data in map(_utf8, pieces):
        yield from {data, data.decode("utf-8", "replace").encode()}  # also as it is shown


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
