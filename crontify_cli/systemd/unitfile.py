"""Reads the syntax of unit files: sections, assignments, and command lines (systemd.service(5)).

Nothing is unquoted or expanded here: what goes back into a unit file keeps its characters.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_FIRST = re.compile(r"([-@:+!]*)([\"']?)([-@:+!]*)([/%\w.].*)", re.DOTALL)
"""The first word of a command: its special characters may stand in front of a quote or behind."""
_SPACE = " \t\n\r"


class Assignment(NamedTuple):
    """One `key=value` of a section."""

    section: str
    key: str
    value: str


class Command(NamedTuple):
    """One command of `ExecStart=`, each part as it is written.

    prefix: the special characters in front, such as `-@`. program: the first word without them.
    arguments: what follows the program; with the prefix `@` it begins with the name that the
    program is given.
    """

    prefix: str
    program: str
    arguments: str


def assignments(text: str) -> Iterator[Assignment]:
    """Yield the assignments of a unit file in order."""
    section = ""
    for line in _logical_lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        if equals:
            yield Assignment(section, key.rstrip(_SPACE), value.strip(_SPACE))


def _logical_lines(text: str) -> Iterator[str]:
    """Yield lines without comments; a backslash at the end of a line continues it."""
    joined = ""
    for line in text.split("\n"):
        stripped = line.strip(_SPACE)
        if stripped.startswith(("#", ";")) or not (stripped or joined):
            continue  # also between the parts of a continued line
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        yield (joined + line).strip(_SPACE)
        joined = ""
    if joined:
        yield joined.strip(_SPACE)


def commands(value: str) -> list[Command]:
    """Return the commands of an `ExecStart=`, which a lone `;` separates.

    Raises ValueError for what systemd would not accept.
    """
    found, words = [], list(word_spans(value))
    while words:
        end = next((at for at, span in enumerate(words) if value[slice(*span)] == ";"), len(words))
        if end:
            last = words[end - 1][1]
            found.append(_command(value[slice(*words[0])], value[words[0][1] : last].strip(_SPACE)))
        words = words[end + 1 :]
    return found


def _command(first: str, arguments: str) -> Command:
    found = _FIRST.fullmatch(first)
    if not found:
        raise ValueError(f"the program {first} cannot be read")
    outside, quote, inside, path = found.groups()
    return Command(outside + inside, quote + path, arguments)


def word_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each word of a command line starts and ends; raises ValueError for open quotes.

    Quotes may stand anywhere in a word, and a backslash escapes in and outside of them.
    """
    start, at, quote = -1, 0, ""
    while at < len(text):
        character = text[at]
        if not quote and character in _SPACE:
            if start >= 0:
                yield start, at
            start = -1
        else:
            start = at if start < 0 else start
            if character == "\\":
                at += 1
            elif character == quote:
                quote = ""
            elif not quote and character in "'\"":
                quote = character
        at += 1
    if quote:
        raise ValueError("a quote is not closed")
    if start >= 0:
        yield start, len(text)


def quoted(word: str) -> str:
    """Return a word as a command line has it; raises ValueError for a `$`, which has no escape
    in a program's path."""
    if "$" in word:
        raise ValueError(f"systemd cannot call {word}: there is a $ in its path")
    word = word.replace("%", "%%")
    if re.fullmatch(r"[\w/.,+=@:%~-]+", word, re.ASCII):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
