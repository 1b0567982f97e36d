"""Proposes a monitor's name for a job: from its comment or its program, never from arguments.

Arguments contain passwords in real crontabs, and a name goes to the server and into logs.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence

from crontify_cli.crontab.lines import Line

LONGEST = 40

Words = Sequence[bytes | None]

_PREPARES = frozenset(
    b". : [ [[ cd date echo export printf set sleep source".split()
    + b"test true trap ulimit umask unset".split()
)
"""Commands that stand before the one that gives a job its name."""

_RUNNERS: dict[bytes, tuple[bytes, int]] = {
    b"chronic": (b"", 0),
    b"chrt": (b"", 1),
    b"command": (b"", 0),
    b"cronic": (b"", 0),
    b"doas": (b"uC", 0),
    b"env": (b"uCS", 0),
    b"exec": (b"a", 0),
    b"flock": (b"wE", 1),
    b"ionice": (b"cnp", 0),
    b"nice": (b"n", 0),
    b"nohup": (b"", 0),
    b"setsid": (b"", 0),
    b"stdbuf": (b"ioe", 0),
    b"sudo": (b"ugCDhpRrTt", 0),
    b"time": (b"fo", 0),
    b"timeout": (b"ks", 1),
}
"""Programs that run another: their one-letter options with a value, and how many words follow."""

_INTERPRETER = re.compile(
    rb"(ba|da|k|z)?sh|(python|pypy|perl|ruby|php|lua)[0-9.]*|node|nodejs|java|Rscript|deno"
)
_PROGRAM = re.compile(rb"[A-Za-z0-9_.+/~[:-]+")
_EXTENSION = re.compile(rb"\.(sh|bash|py|pl|php|rb|js|mjs|lua|R|jar|bin|exe|cgi)$")
_NO_NAME = re.compile(
    r"^m(in(ute)?)? +h(our)?\b|\bvim?:|\bTODO\b|\bFIXME\b|\bXXX\b|DO NOT EDIT|installed on"
    r"|passw|secret|token|\bkey\b|[=@{<|$%]|//|https?:",
    re.IGNORECASE,
)


def propose(
    commands: Iterable[Words], comment: bytes, aliases: Collection[str], taken: Collection[str]
) -> str:
    """Return a name that is not in `taken`.

    commands: the simple commands of the job, as words; None for what only the shell knows.
    comment: of the line above, b"" without one. aliases: the names in the config.
    """
    program = _slug(_program(commands))
    described = slug_of_comment(comment)
    wanted = {name for name in (described, program) if name}
    matching = (alias for alias in aliases if slug(alias) in wanted and alias not in taken)
    alias = next(matching, None)
    return alias or unique(described or program or "job", taken)


def unique(name: str, taken: Collection[str]) -> str:
    """Return `name`, with a number behind it if it is taken."""
    count, found = 1, name
    while found in taken:
        count += 1
        found = f"{name}-{count}"
    return found


def slug(text: str) -> str:
    """Return `text` in lower-case ASCII letters, digits and dashes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST].rstrip("-")


def _slug(raw: bytes) -> str:
    return slug(raw.decode("utf-8", "replace"))


def comment_above(lines: Sequence[Line], index: int) -> bytes:
    """Return the comment in the line directly above `lines[index]`, b"" without one."""
    above = lines[index - 1] if index else None
    return above.text if above and above.kind == "comment" else b""


def slug_of_comment(comment: bytes) -> str:
    """Return a name from a comment, "" if it does not describe a job in a few words."""
    raw = comment.decode("utf-8", "replace")
    text = raw.strip("#=-*_~. \t\n")
    is_job = re.match(r"@\w+ |([0-9*][0-9*/,-]*\s+){4}", raw.lstrip("# \t"))
    if is_job or _NO_NAME.search(text) or len(text.split()) > 6 or len(text) > LONGEST:
        return ""
    found = slug(text)
    return found if re.search("[a-z]", found) else ""


def _program(commands: Iterable[Words]) -> bytes:
    """Return the name of the program that gives the job its name, b"" if none is known."""
    spare = b""
    for words in commands:
        name, is_certain = _name(words)
        if is_certain:
            return name
        spare = spare or name
    return spare


def _name(words: Words) -> tuple[bytes, bool]:
    """Return the name of what the words run, and whether it is worth more than a later one."""
    *runners, words = split_runners(words)
    while runners and not (words and _PROGRAM.fullmatch(words[0] or b"")):
        words = runners.pop()
    first = words[0] if words else None
    if first is None or not _PROGRAM.fullmatch(first):
        return b"", False
    name = _base(first)
    if _INTERPRETER.fullmatch(name):
        name = next(filter(None, map(_script, words[1:])), name)
    return _EXTENSION.sub(b"", name), name not in _PREPARES


def split_runners(words: Words) -> list[Words]:
    """Return the words of each program that runs the next, as `nice -n 19`, then the last one's."""
    parts: list[Words] = []
    while words and words[0] is not None and _base(words[0]) in _RUNNERS:
        behind = _behind(words)
        parts.append(words[: len(words) - len(behind)])
        words = behind
    return [*parts, words]


def _script(word: bytes | None) -> bytes:
    """Return the file name of a script, b"" for an option or a program text."""
    if word and re.fullmatch(rb"[A-Za-z0-9_./~-]*[./][A-Za-z0-9_.-]+", word) and word[:1] != b"-":
        return _base(word)
    return b""


def _behind(words: Words) -> Words:
    """Return what a runner such as `nice -n 19` runs."""
    values, positional = _RUNNERS[_base(words[0] or b"")]
    at = 1
    while at < len(words):
        word = words[at] or b""
        if word.startswith(b"-") and len(word) > 1:
            at += 2 if len(word) == 2 and word[1:] in values else 1
        elif re.match(rb"[A-Za-z_]\w*=", word):
            at += 1
        elif positional:
            positional -= 1
            at += 1
        else:
            break
    return words[at:]


def _base(path: bytes) -> bytes:
    return path.rstrip(b"/").rpartition(b"/")[2]
