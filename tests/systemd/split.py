"""systemd's way of splitting a command line, written down again for the tests.

After `config_parse_exec` and `extract_first_word` with unquoting, as systemd.service(5) and
systemd.syntax(7) describe them: the program works on positions only, this on contents.
"""

from typing import NamedTuple

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "s": " ", "t": "\t", "v": "\v"}
_DIGITS = {"x": (2, 16), "u": (4, 16), "U": (8, 16)}


class Split(NamedTuple):
    """A command: its special characters, and its words without quotes."""

    prefix: str
    words: list[str]


def split(value: str) -> list[Split]:
    """Return the commands of an `ExecStart=`."""
    found: list[Split] = []
    words: list[str] = []
    rest = value.strip()
    while rest:
        is_end = rest == ";" or rest[:2] in ("; ", ";\t")
        if is_end and words:
            found.append(_command(words))
            words, rest = [], rest[1:].strip()
            continue
        if rest == "\\;" or rest[:3] in ("\\; ", "\\;\t"):
            words, rest = [*words, ";"], rest[2:].strip()
            continue
        word, rest = _first(rest)
        words = [*words, word]
    return [*found, _command(words)] if words else found


def _command(words: list[str]) -> Split:
    bare = words[0].lstrip("-@:+!")
    return Split(words[0][: len(words[0]) - len(bare)], [bare, *words[1:]])


def _first(text: str) -> tuple[str, str]:
    """Return the first word without its quotes, and what is behind it."""
    word, quote, at = "", "", 0
    while at < len(text):
        character = text[at]
        if character == "\\" and at + 1 < len(text):
            piece, at = _unescaped(text, at + 1)
            word += piece
            continue
        if not quote and character in " \t":
            break
        if not quote and character in "'\"":
            quote = character
        elif character == quote:
            quote = ""
        else:
            word += character
        at += 1
    return word, text[at:].strip()


def _unescaped(text: str, at: int) -> tuple[str, int]:
    """Return what an escape stands for, and where it ends; an unknown one is kept."""
    letter = text[at]
    if letter in _ESCAPES:
        return _ESCAPES[letter], at + 1
    if letter in "\\\"'":
        return letter, at + 1
    if letter in _DIGITS:
        length, base = _DIGITS[letter]
        digits = text[at + 1 : at + 1 + length]
        return chr(int(digits, base)), at + 1 + length
    return "\\" + letter, at + 1
