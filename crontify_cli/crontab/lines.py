"""Reads a crontab byte for byte: what each line is, and where a job's command begins and ends.

Nothing is decoded or normalised; the lines joined are the file again. The rules are those of
the daemons' own parsers: load_env() and load_entry() of Vixie's cron, parse_crontab of busybox.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

from crontify_cli.crontab.schedule import Dialect, Schedule, parse

MAX_COMMAND = 998
"""Bytes of the longest command that Debian's cron accepts; a longer one costs the whole file."""

Kind = Literal["blank", "comment", "setting", "job", "unreadable"]


class Job(NamedTuple):
    """A line with time fields.

    schedule: as written, from the first field to the last. when: None if the daemon rejects
        the fields. user: in the system form the user column, else None.
    start, end: where the command is in the line's bytes. It begins at the first byte that is
        not blank; its end is the line's, without the newline, or busybox's `#`.
    raw_length: the bytes that count for MAX_COMMAND.
    settings: the variables that the lines above set.
    """

    schedule: bytes
    when: Schedule | None
    user: bytes | None
    start: int
    end: int
    raw_length: int
    settings: Mapping[bytes, bytes]


class Line(NamedTuple):
    """A line of a crontab.

    number: from 1. text: its bytes, with the newline if it has one. problem: why the daemon
        rejects the line, in its words; "" if it accepts it. setting: name and value.
    """

    number: int
    text: bytes
    kind: Kind
    problem: str = ""
    setting: tuple[bytes, bytes] | None = None
    job: Job | None = None

    @property
    def command(self) -> bytes:
        """The command's bytes with its `%` part; empty if the line is not a job."""
        return self.text[self.job.start : self.job.end] if self.job else b""


def read(
    data: bytes,
    dialect: Dialect = "debian",
    *,
    system: bool = False,
    is_user: Callable[[bytes], bool] = lambda name: True,
) -> list[Line]:
    """Return the lines of a crontab.

    system: whether a job has a user column. is_user: whether the machine has a user.
    """
    return list(_lines(data, dialect, system, is_user))


def _lines(
    data: bytes, dialect: Dialect, system: bool, is_user: Callable[[bytes], bool]
) -> Iterator[Line]:
    settings: Mapping[bytes, bytes] = {}
    for number, text in enumerate(re.findall(rb"[^\n]*\n|[^\n]+", data), 1):
        body = text.rstrip(b"\n")
        code = body.lstrip(b" \t")
        if not code or code.startswith(b"#"):
            yield Line(number, text, "comment" if code else "blank")
        elif setting := parse_setting(body, dialect):
            settings = {**settings, setting[0]: setting[1]}
            yield Line(number, text, "setting", setting=setting)
        else:
            yield _job(Line(number, text, "unreadable"), body, dialect, system, is_user, settings)


# Settings

_SETTING = re.compile(
    rb"""[ \t]*+(?:"([^"\n]*)"|'([^'\n]*)'|([^\s="'][^\s=]*|))\s*=\s*"""
    rb"""(?:"([^"]*)"\s*|'([^']*)'\s*|([^"'\s](?:.*\S)?)\s*)\Z""",
    re.DOTALL,
)
_EMPTY_SETTING = re.compile(rb"""[ \t]*+[^\s="']+\s*=\s*\Z""")


def parse_setting(body: bytes, dialect: Dialect) -> tuple[bytes, bytes] | None:
    """Return name and value if the daemon takes a line, without its newline, for a setting.

    Debian's cron rejects a value that is empty without quotes; cronie accepts it.
    """
    if dialect != "debian" and (match := _EMPTY_SETTING.match(body)):
        return body[: match.end()].partition(b"=")[0].strip(), b""
    match = _SETTING.match(body)
    if not match:
        return None
    name, value = match.group(1, 2, 3), match.group(4, 5, 6)
    return next((n for n in name if n is not None), b""), next(v for v in value if v is not None)


# Jobs

_WORD = rb"[^ \t\n]+"
_AT = re.compile(rb"[ \t]*(@[^ \t\n]*)")
_FIELDS = re.compile(rb"[ \t]*(" + rb"[ \t]+".join([_WORD] * 5) + rb")")
_BLANKS = re.compile(rb"[ \t]*")


def _job(
    line: Line,
    body: bytes,
    dialect: Dialect,
    system: bool,
    is_user: Callable[[bytes], bool],
    settings: Mapping[bytes, bytes],
) -> Line:
    """Return `line` as a job, or with the problem that it is none."""
    match = _AT.match(body) or _FIELDS.match(body)
    if not match:
        return line._replace(problem=_first_bad_field(body, dialect))
    schedule, problem, when = match[1], "", None
    text = schedule.decode("latin-1")
    if dialect == "cronie" and text.startswith("-"):
        text = text[1:]  # do not log: in root's crontab and in system files
    try:
        when = _schedule(text, dialect)
    except ValueError as error:
        problem = str(error)
    end = body.find(b"#", match.end()) if dialect == "busybox" else -1
    end = len(body) if end < 0 else end
    user, at = None, match.end()
    if system:
        column = re.compile(rb"[ \t]*([^ \t\n]*)").match(body, at, end)
        assert column  # it matches the empty string, too
        user, at = column[1], column.end()
        problem = problem or ("" if user and is_user(user) else "bad username")
    blanks = _BLANKS.match(body, at, end)
    start = blanks.end() if blanks else at
    length = end - (at if system else start)
    problem = problem or _command_problem(body, start, end, length, dialect, system)
    job = Job(schedule, when, user, start, end, length, settings)
    return line._replace(kind="job", problem=problem, job=job)


@lru_cache(maxsize=4096)
def _schedule(text: str, dialect: Dialect) -> Schedule:
    return parse(text, dialect)


def _command_problem(
    body: bytes, start: int, end: int, length: int, dialect: Dialect, system: bool
) -> str:
    if b"\0" in body:
        return "bad command"
    if dialect == "debian":
        if length > MAX_COMMAND:
            return "command too long"
        # The check compares with `*`, to catch six fields; nothing at all runs an empty command.
        is_bad = body.startswith(b"*", start) or (system and start == end)
        return "bad command" if is_bad else ""
    if dialect == "cronie":
        return "bad command" if start == end or body[start : start + 1] in (b"*", b"-") else ""
    return ""


def _first_bad_field(body: bytes, dialect: Dialect) -> str:
    """Return what the daemon says about a line with fewer than five fields."""
    names = ("minute", "hour", "day-of-month", "month", "day-of-week")
    fields = re.split(rb"[ \t]+", body.strip(b" \t"))
    for count in range(len(fields)):
        try:
            parse(" ".join([*_latin(fields[: count + 1]), *["*"] * (4 - count)]), dialect)
        except ValueError as error:
            return str(error)
    return f"bad {names[min(len(fields), 4)]}"


def _latin(words: list[bytes]) -> list[str]:
    return [word.decode("latin-1") for word in words]


# Percent signs


class Text(NamedTuple):
    """What the daemon hands to the shell.

    text: the command. origin: for each of its bytes the offset in the raw command, and the
        offset of the end behind the last. has_stdin: whether an unescaped `%` follows.
    """

    text: bytes
    origin: list[int]
    has_stdin: bool


def shell_text(command: bytes, dialect: Dialect) -> Text:
    """Return what the daemon makes of a raw command.

    Vixie's cron ends the command at the first `%` without a backslash before it and removes
    the backslash of `\\%`; Debian's also makes one backslash of two. Busybox does neither.
    """
    if dialect == "busybox" or (b"%" not in command and b"\\" not in command):
        return Text(command, list(range(len(command) + 1)), False)
    escapes = b"%\\" if dialect == "debian" else b"%"
    text, origin, at = bytearray(), [], 0
    while at < len(command) and command[at : at + 1] != b"%":
        pair = command[at : at + 2]
        if pair[:1] == b"\\" and len(pair) == 2:
            kept = pair[1:] if pair[1] in escapes else pair
            text += kept
            origin += [at, at + 1][: len(kept)] if len(kept) == 2 else [at]
            at += 2
            continue
        text += pair[:1]
        origin.append(at)
        at += 1
    return Text(bytes(text), [*origin, at], at < len(command))
