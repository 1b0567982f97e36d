"""Formats text for mdoc(7): escapes, short lines, one sentence per line, option macros."""

import re
import textwrap
from typing import Any

_ASCII = {"-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
# Macros whose words a reader may copy: a `-` must remain the ASCII character.
_LITERAL = ("It", "Op", "Fl", "Cm", "Dl", "Ql", "Li", "Ic", "Pa")
# Macros for whole command lines. A bare double quote is removed from a macro's arguments.
_COMMAND_LINE = ("Dl", "Ql")
_QUOTED = {**_ASCII, '"': r"\(dq"}
_ESCAPE = re.compile(r"\\(?:\(..|.)")
WIDTH = 78
_BLOCKS = {".Bd -literal": ".Ed"}


def literal(text: str) -> str:
    """Escape `text`, so that what is copied from the page is what was written."""
    for char, escape in {"\\": r"\e", **_ASCII}.items():
        text = text.replace(char, escape)
    return rf"\&{text}" if text.startswith(".") else text


def hyphens(text: str) -> str:
    """Return `text` with every hyphen escaped, as in an option's name."""
    return text.replace("-", r"\-")


def prose(text: str) -> list[str]:
    """Return the lines of a paragraph, one per sentence; options and `quoted` words are literal."""
    text = " ".join(text.split()).replace("\\", r"\e")
    text = re.sub(r"(?<![\w-])--?[a-z][\w-]*", lambda found: hyphens(found[0]), text)
    text = re.sub(r"`([^`]+)`", lambda found: rf"\fB{hyphens(found[1])}\fR", text)
    text = re.sub(r"(?<!\w)'([^']+)'", r"\(aq\1\(aq", text)
    lines = re.split(r"(?<=[\w)\]][.?!]) (?=[A-Z])", text)
    return [rf"\&{line}" if line[0] in ".'" else line for line in lines if line]


def tidy(page: str) -> str:
    """Return a page that passes `mandoc -T lint`.

    Characters in displays and literal macros are escaped, so that an example can be written
    as it is typed, and long lines are broken. Correct lines are not changed.
    """
    lines: list[str] = []
    end = ""
    for line in page.split("\n"):
        if end and line != end:
            lines.append(_escaped(line, _ASCII))
            continue
        if re.match(rf"\.({'|'.join(_LITERAL)}) (?!Xr)", line):
            is_typed = line.startswith(tuple(f".{macro} " for macro in _COMMAND_LINE))
            line = _escaped(line, _QUOTED if is_typed else {"-": r"\-"})
        end = next((_BLOCKS[start] for start in _BLOCKS if line.startswith(start)), "")
        lines += [line] if line.startswith(".") else _broken(line)
    return "\n".join(lines)


def typed(page: str) -> list[str]:
    """Return the command lines on a page, unescaped."""
    displays = re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed$", page, re.MULTILINE)
    lines = [line for display in displays for line in display.splitlines()]
    lines += re.findall(r"^\.(?:Dl|Ql) (.*)$", page, re.MULTILINE)
    plain = {escape: char for char, escape in {"\\": r"\e", **_QUOTED}.items()}
    return [_ESCAPE.sub(lambda found: plain.get(found[0], ""), line) for line in lines]


def _broken(line: str) -> list[str]:
    wrapped = textwrap.wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False)
    return [rf"\&{part}" if part[0] in ".'" else part for part in wrapped] or [line]


def _escaped(line: str, escapes: dict[str, str]) -> str:
    return re.sub(r"\\.|.", lambda found: escapes.get(found[0], found[0]), line)


def metavar(param: Any) -> str:
    """Return the placeholder of an option's or argument's value: MONITOR, allow|skip."""
    choices = getattr(param.type, "choices", None)
    name = param.metavar or ("|".join(choices) if choices else _name(param))
    return str(name).removesuffix("...").strip("[]")


def _name(param: Any) -> str:
    named = {"text": param.name, "str": param.name, "path": "file", "integer": "n"}
    kind = str(param.type.name).split(" ")[0].lower()
    return str(named.get(kind, param.name)).upper()


def value(text: str) -> str:
    """Return the macros for a value: choices, or placeholders as KEY=NUMBER."""
    words = text.split("|")
    if len(words) > 1 or text.islower():
        return " Ns | Ns ".join(f"Ar {word}" if word.isupper() else f"Cm {word}" for word in words)
    return " Ns = Ns ".join(f"Ar {word}" for word in text.split("="))


def is_flag(option: Any) -> bool:
    """Tell whether the option takes no value."""
    return bool(option.is_flag or option.count)


def option_macros(option: Any) -> str:
    """Return `Fl q , Fl \\-quiet` or `Fl \\-tolerate Ar N`, the short flag first."""
    flags = sorted(option.opts, key=len)
    names = " , ".join(f"Fl {hyphens(flag[1:])}" for flag in flags)
    return names if is_flag(option) else f"{names} {value(metavar(option))}"


def default(param: Any) -> str:
    """Return the default value of an option as shown in the help, "" if none is shown."""
    shown = param.show_default
    if isinstance(shown, str):
        return shown
    if not shown or param.default in (None, False, [], ()) or callable(param.default):
        return ""
    return str(param.default)
