"""Masks secrets in the texts that leave this machine or are kept on it."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from crontify_cli.report.spans import Span, merged

if TYPE_CHECKING:
    from crontify_cli.report.needles import Needles

MASKED = "[masked]"

_SHORTEST = 8
"""Shorter values from the environment are likely to be ordinary words and are not masked."""
_SHORTEST_OWN = 4

_SAMPLE = 64 * 1024
"""Bytes at the beginning of a text that tell which secrets it repeats."""
_OFTEN = 8

_CONTINUATIONS = bytes(range(0x80, 0xC0))


def mask_words(words: Iterable[str], mask: Callable[[str], str]) -> tuple[str, ...]:
    """Mask the words of a command; a word may be a secret because of those before it."""
    from crontify_cli.report.commandline import option_values

    words = list(words)
    masked: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        is_value = before.startswith("-") and mask(f"{before} {word}") == f"{before} {MASKED}"
        masked.append(MASKED if is_value else mask(word))
    for at, start in option_values(words):
        import shlex

        line = shlex.join(words[: at + 1])
        if mask(line).rstrip("'").endswith(MASKED):
            masked[at] = words[at][:start] + MASKED
    return tuple(masked)


class Masker:
    """A function that replaces every secret in a text by `[masked]`.

    secrets: values from the environment, of which those under 8 characters are ignored.
    own: crontify's own API key and token, of at least 4 characters.
    shapes: whether to mask also what looks like a secret (`report/lookalikes.py`).

    A secret is found in whatever way it is written (`report/needles.py`), and so is a piece
    of it of at least 12 characters. May be used by several threads.
    """

    def __init__(
        self, secrets: Iterable[str] = (), own: Iterable[str] = (), *, shapes: bool = True
    ) -> None:
        own = [value.strip() for value in own]
        self._values = {*(value.strip() for value in secrets), *own}
        self._short = {value for value in own if _SHORTEST_OWN <= len(value) < _SHORTEST}
        self._values = {value for value in self._values if len(value) >= _SHORTEST}
        self._shapes = shapes
        self._needles: Needles | None = None

    def __call__(self, text: str) -> str:
        if len(text) < _SHORTEST_OWN and text.isascii():
            return text
        errors = "surrogateescape"  # as in the words of a command
        try:
            data = text.encode("utf-8", errors)
        except UnicodeEncodeError:
            errors = "surrogatepass"
            data = text.encode("utf-8", errors)
        known = self._known_spans(data) if self._values or self._short else []
        shapes: list[Span] = []
        if self._shapes:
            from crontify_cli.report.lookalikes import shape_spans

            # Before it, since of a token that contains a known secret the rest would be left.
            shapes += shape_spans(data)
        masked = _replaced(data, [*known, *shapes])
        if known and self._shapes:
            # After it, since a known secret right before another would hide its beginning.
            masked = _replaced(masked, shape_spans(masked))
        return text if masked == data else masked.decode("utf-8", errors)

    def _known_spans(self, data: bytes) -> list[Span]:
        spans: list[Span] = []
        for word in self._repeated(data):
            spans += (match.span() for match in re.finditer(re.escape(word), data))
            data = data.replace(word, b"\n" * len(word))
        return [*spans, *self._known().spans(data)]

    def _repeated(self, data: bytes) -> list[bytes]:
        """Return the secrets that a text repeats as they are, which is faster to look for first.

        Not those that are a part of another one: of that, a few characters would be left.
        """
        if len(data) <= _SAMPLE:
            return []
        words = [value.encode("utf-8", "surrogateescape") for value in self._values]
        repeated = [word for word in words if data.count(word, 0, _SAMPLE) >= _OFTEN]
        return [word for word in repeated if sum(word in other for other in words) == 1]

    def _known(self) -> "Needles":
        if self._needles is None:
            from crontify_cli.report.needles import Needles

            self._needles = Needles(self._values, self._short)
        return self._needles


def _replaced(data: bytes, spans: Iterable[Span]) -> bytes:
    """Replace the characters that the spans touch."""
    parts, done = [], 0
    for start, end in merged(spans):
        while start > done and data[start] in _CONTINUATIONS:
            start -= 1
        while end < len(data) and data[end] in _CONTINUATIONS:
            end += 1
        parts += [data[done : max(start, done)], MASKED.encode()]
        done = end
    return b"".join([*parts, data[done:]])
