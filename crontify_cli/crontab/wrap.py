"""Puts `crontify exec` into a crontab line, and takes it out again; nothing else changes.

What is inserted is one piece before the command, and for a command that only a shell can run
a pair of quotes around it. Both can be found again in the line, whatever happened to the
schedule or to the options since.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from crontify_cli.crontab.lines import MAX_COMMAND, Line, Text, shell_text
from crontify_cli.crontab.names import split_runners
from crontify_cli.crontab.schedule import Dialect
from crontify_cli.crontab.shell import POSIX_SHELLS, Shape, UnbalancedError, is_bash, shape
from crontify_cli.crontab.words import Token, tokens
from crontify_cli.job.options import split

DAEMONS = {"debian": "Debian's cron", "cronie": "cronie", "busybox": "busybox crond"}
"""What the dialects are called in messages."""
_TIME_FIELD = re.compile(rb"[0-9*][0-9*/,-]*")
_USUAL_USERS = frozenset((b"root", b"operator", b"nobody", b"www-data", b"apache", b"nginx"))
_BSD_USER = re.compile(rb"[a-z_][a-z0-9_-]*[:/][a-z0-9_/-]+")


class Command(NamedTuple):
    """A job's command as the daemon and its shell read it.

    text: what the shell gets. shape: what kind of command that is, None if a quote in it is
        not closed. shell: the path of the shell.
    """

    text: Text
    shape: Shape | None
    shell: bytes


class Plan(NamedTuple):
    """What wrapping does to a line.

    reason: why it is left as it is, "" if it can be wrapped. start, end: offsets in the
        line's bytes between which the command is; quoted: whether it becomes one word.
    """

    line: Line
    command: Command
    reason: str = ""
    start: int = 0
    end: int = 0
    quoted: bool = False


def read_command(line: Line, dialect: Dialect) -> Command:
    """Return the command of a job."""
    shell = line.job.settings.get(b"SHELL", b"") if line.job else b""
    text = shell_text(line.command, dialect)
    try:
        found = shape(text.text, bash=is_bash(shell))
    except UnbalancedError:
        found = None
    return Command(text, found, shell or b"/bin/sh")


def plan(line: Line, dialect: Dialect, *, is_user: bool = False) -> Plan:
    """Return what wrapping does to a job.

    is_user: whether the command's first word is the name of a user and of no program.
    """
    command = read_command(line, dialect)
    reason = _reason(line, command, dialect, is_user)
    if reason or not line.job or not command.shape:
        return Plan(line, command, reason)
    start, end = (
        line.job.start + command.text.origin[at] for at in (command.shape.start, command.shape.end)
    )
    return Plan(line, command, "", start, end, not command.shape.is_simple)


def insert(to_wrap: Plan, program: bytes, name: str, options: Sequence[bytes] = ()) -> bytes:
    """Return the line with `program exec NAME -- ` inserted; program: as a crontab writes it.

    options: of exec, as a crontab writes them; they stand in front of NAME.

    Raises ValueError if the command would be longer than Debian's cron accepts.
    """
    text, start, end = to_wrap.line.text, to_wrap.start, to_wrap.end
    shell = [b"--shell"] if to_wrap.quoted else []
    monitor = name.encode()
    if name.startswith("~"):
        monitor = b"'" + monitor + b"'"  # or the shell would expand it to a home directory
    words = [program, b"exec", *options, monitor, *shell, b"--"]
    inside = _quoted(text[start:end]) if to_wrap.quoted else text[start:end]
    wrapped = text[:start] + b" ".join(words) + b" " + inside + text[end:]
    length = to_wrap.line.job.raw_length if to_wrap.line.job else 0
    if length + len(wrapped) - len(text) > MAX_COMMAND:
        raise ValueError(
            f"the command would be longer than {MAX_COMMAND} bytes, and Debian's cron ignores"
            " the whole file for that; put the command into a script"
        )
    return wrapped


def _quoted(raw: bytes) -> bytes:
    # Also safe before the daemon has removed its backslashes: a backslash before one of these
    # quotes never pairs with what is inserted.
    return b"'" + raw.replace(b"'", b"'\\''") + b"'"


def _reason(line: Line, command: Command, dialect: Dialect, is_user: bool) -> str:
    """Return why the line has to be left as it is, "" if it can be wrapped."""
    text, found = command.text.text, command.shape
    if line.problem:
        return f"{DAEMONS[dialect]} does not accept this line: {line.problem}"
    if calls_crontify(command):
        return "it calls crontify already"
    if not text.strip(b" \t"):
        return "it has no command"
    if command.shell.rpartition(b"/")[2] not in POSIX_SHELLS:
        return f"SHELL is {_shown(command.shell)}, whose quoting is not sh's"
    if found is None:
        behind = " before the %, which ends the command" if command.text.has_stdin else ""
        return f"a quote or a parenthesis is not closed{behind}"
    if found.start == found.end:
        return "it has no command"
    if line.text.rstrip(b"\n").endswith(b"\\"):
        return "it ends with a backslash, but cron does not continue lines"
    if found.has_both and not is_bash(command.shell):
        return "&> starts a background job in sh; set SHELL=/bin/bash above, or write >FILE 2>&1"
    if found.is_background:
        return "it ends with &: it would be reported as finished at once; remove the &"
    return odd_first_word(text[found.start :], dialect, is_user=is_user)[1]


def odd_first_word(text: bytes, dialect: Dialect, *, is_user: bool) -> tuple[str, str]:
    """Return why a command seems to be no command: a code for programs and a message, or "" twice.

    is_user: whether its first word is the name of a user and of no program.
    """
    first, *rest = re.split(rb"[ \t]+", text, maxsplit=1)
    is_user = is_user or (first in _USUAL_USERS and bool(rest) and rest[0].startswith(b"/"))
    if text.startswith(b"-"):
        return "dash", "it starts with a dash, as the flags of BSD's cron do"
    if _TIME_FIELD.fullmatch(first):
        daemon = DAEMONS[dialect]
        return "six-fields", f"it seems to have six time fields, and {daemon} reads five"
    if is_user or _BSD_USER.fullmatch(first):
        message = "its first word is a user, as in a system crontab; use --system if it is one"
        return "user-column", message
    return "", ""


def calls_crontify(command: Command) -> bool:
    """Tell whether crontify is among the programs that a command runs."""
    if b"crontify" not in command.text.text:
        return False
    known = command.shape.commands if command.shape else ()
    named = any(words and _is_crontify(words) for words in known)
    return named or bool(re.search(rb"(^|[\s/;&|('\"])crontify['\"]? +exec\b", command.text.text))


def _is_crontify(words: tuple[bytes | None, ...]) -> int:
    """Return how many words call crontify, with --config; 0 if they call something else."""
    name = (words[0] or b"").rpartition(b"/")[2] if words else b""
    is_module = name.startswith(b"python") and words[1:3] == (b"-m", b"crontify_cli")
    at = 1 if name == b"crontify" else 3 if is_module else 0
    option = words[at] or b"" if 0 < at < len(words) else b""
    if option == b"--config":
        return at + 2
    return at + option.startswith(b"--config=")


def monitor_of(line: Line, dialect: Dialect) -> str | None:
    """Return the monitor that a job already reports to, None if crontify is not in it."""
    if b"crontify" not in line.text or not line.job:
        return None
    text = shell_text(line.command, dialect).text
    bash = is_bash(line.job.settings.get(b"SHELL", b""))
    try:
        # Most lines begin with it, and need not be read completely.
        first = tuple(word.text for word in _words_to_dashes(text, bash=bash))
    except ValueError:
        first = ()
    if name := _monitor(first):
        return name
    shape = read_command(line, dialect).shape
    names = map(_monitor, shape.commands if shape else ())
    return next(filter(None, names), None)


def _monitor(words: tuple[bytes | None, ...]) -> str | None:
    words = tuple(split_runners(words)[-1])
    at = _is_crontify(words)
    if not at or words[at : at + 1] != (b"exec",):
        return None
    return next(iter(split(_decoded(words[at + 1 :]))[1]), None)


def _decoded(words: tuple[bytes | None, ...]) -> list[str]:
    return [(word or b"?").decode("utf-8", "replace") for word in words]


# Unwrapping


class Wrapped(NamedTuple):
    """A line that begins its command with `crontify exec … -- `.

    original: the line without it. monitor: the name in it.
    """

    original: bytes
    monitor: str


def unwrap(line: Line, dialect: Dialect) -> Wrapped | None:
    """Return a line as it was before `insert`, None if it does not have that form."""
    if not line.job or b"crontify" not in line.text:
        return None
    text = shell_text(line.command, dialect)
    try:
        words = _words_to_dashes(text.text, bash=is_bash(line.job.settings.get(b"SHELL", b"")))
    except ValueError:
        return None
    if not words:
        return None
    known = tuple(word.text for word in words)
    at = _is_crontify(known)
    options, rest = split(_decoded(known[at + 1 :]))
    if not at or known[at : at + 1] != (b"exec",) or len(rest) != 1:
        return None
    raw, begin = line.text, line.job.start
    first = begin + text.origin[words[0].start]
    behind = begin + text.origin[words[-1].end]
    if raw[behind : behind + 1] != b" ":
        return None
    rest_of_line = raw[behind + 1 :]
    if "--shell" in options:
        unquoted = _unquoted(rest_of_line)
        if unquoted is None:
            return None
        rest_of_line = unquoted
    return Wrapped(raw[:first] + rest_of_line, rest[0])


def _words_to_dashes(text: bytes, *, bash: bool) -> list[Token]:
    """Return the first words of a command up to and with `--`; empty without one."""
    words: list[Token] = []
    for token in tokens(text, bash=bash):
        if token.kind == "redirect" and not words:
            continue
        if token.kind != "word":
            return []
        words.append(token)
        if token.text == b"--" and token.plain:
            return words
    return []


def _unquoted(raw: bytes) -> bytes | None:
    """Undo `_quoted` at the beginning of `raw`; None if that is not what stands there."""
    if not raw.startswith(b"'"):
        return None
    at, found = 1, b""
    while True:
        end = raw.find(b"'", at)
        if end < 0:
            return None
        found += raw[at:end]
        if not raw.startswith(b"'\\''", end):
            return found + raw[end + 1 :]
        found += b"'"
        at = end + 4


def digest(line: bytes, command_start: int) -> str:
    """Return what identifies a command without telling it: commands contain passwords."""
    return hashlib.sha256(line[command_start:].rstrip(b"\n")).hexdigest()


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")
