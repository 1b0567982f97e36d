"""Finds what will surprise in a crontab: what its daemon does other than the line seems to say."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from crontify_cli.crontab import wrap
from crontify_cli.crontab.lines import MAX_COMMAND, Job, Line
from crontify_cli.crontab.schedule import Dialect
from crontify_cli.crontab.shell import BUILTINS, is_bash
from crontify_cli.crontab.words import UnsureError, tokens

DEFAULT_PATH = b"/usr/bin:/bin"
"""The PATH of a job where the crontab sets none: Debian's cron(8) and cronie."""


class Finding(NamedTuple):
    """One surprise.

    line: its number, None if it concerns the whole file. code: a stable name for programs.
    level: "error" if something does not run because of it, else "warning".
    """

    line: int | None
    code: str
    level: Literal["error", "warning"]
    message: str


class Machine(NamedTuple):
    """What check has to know of the machine.

    finds: whether a program, a name or an absolute path, is found with a PATH. is_installed:
        whether the crontab is one of this machine's, so that its programs have to be here.
    is_user: whether a word is the name of a user, and of no program.
    """

    finds: Callable[[bytes, bytes], bool]
    is_installed: bool = True
    is_user: Callable[[bytes], bool] = lambda word: False


def check(lines: Sequence[Line], dialect: Dialect, machine: Machine) -> Iterator[Finding]:
    """Yield the findings: what costs the whole file first, then line by line."""
    yield from _file(lines, dialect)
    for line in lines:
        found = _line(line, dialect, machine)
        yield from (finding._replace(line=line.number) for finding in found)


def _error(code: str, message: str) -> Finding:
    return Finding(None, code, "error", message)


def _warning(code: str, message: str) -> Finding:
    return Finding(None, code, "warning", message)


# The whole file


def _file(lines: Sequence[Line], dialect: Dialect) -> Iterator[Finding]:
    data = b"".join(line.text for line in lines)
    whole = "Debian's cron ignores the whole file"
    if dialect == "debian":
        rejected = [line for line in lines if line.problem]
        if rejected:
            several = "s" if len(rejected) > 1 else ""
            numbers = ", ".join(str(line.number) for line in rejected[:5])
            numbers += ", …" if len(rejected) > 5 else ""
            yield _error("file-ignored", f"{whole} because of line{several} {numbers}")
        if b"\0" in data:
            yield _error("nul", f"{whole} because of the NUL byte in it")
    elif b"\0" in data:
        yield _error("nul", "the line with a NUL byte is cut there")
    if data and not data.endswith(b"\n"):
        if dialect == "debian":
            yield _error("no-final-newline", f"{whole}: its last line has no newline at the end")
        elif dialect == "cronie":
            yield _error("no-final-newline", "cronie skips the last line: it has no newline")
    if data.startswith(b"\xef\xbb\xbf"):
        costs = whole if dialect == "debian" else f"{wrap.DAEMONS[dialect]} misreads line 1"
        yield _error("bom", f"{costs} or misnames a variable: it begins with a byte order mark")
    if b"{{" in data or b"<%" in data:
        yield _warning("template", "it seems to be a template ({{ or <%), not a crontab")


# Each line


def _line(line: Line, dialect: Dialect, machine: Machine) -> Iterator[Finding]:
    if line.problem:
        yield _error("rejected", _rejected(line, dialect))
    if line.setting:
        yield from _setting(line, *line.setting, dialect)
    if line.job and not line.problem:
        yield from _schedule(line, line.job, dialect)
        yield from _command(line, line.job, dialect, machine)


def _rejected(line: Line, dialect: Dialect) -> str:
    """Return why the daemon rejects a line, and what to write."""
    body = line.text.strip()
    advice = ""
    if re.fullmatch(rb"""[^\s="']+\s*=""", body):
        advice = '; write ="" for an empty value'
    elif body.startswith(b"export "):
        advice = "; write the assignment without export"
    elif re.match(rb"@\S+", body):
        advice = "; it knows @reboot, @hourly, @daily, @midnight, @weekly, @monthly and @yearly"
    elif line.problem == "command too long":
        advice = f"; {MAX_COMMAND} bytes are the most, the % part included"
    elif line.problem == "bad command" and line.command.startswith(b"*"):
        advice = "; it has six time fields, and five are read"
    elif line.problem == "bad username":
        advice = "; a system crontab needs an existing user before the command"
    elif b"~" in body.split(b" ")[0]:
        advice = "; only cronie picks a random time for ~"
    elif re.match(rb"-[0-9*]", body):
        advice = "; only cronie knows a dash in front, in root's crontab"
    if dialect == "busybox":
        advice += "; crond may run it at times that nobody wrote"
    return f"{wrap.DAEMONS[dialect]} rejects the line: {line.problem}{advice}"


def _setting(line: Line, name: bytes, value: bytes, dialect: Dialect) -> Iterator[Finding]:
    shown = name.decode("utf-8", "backslashreplace")
    if dialect == "busybox" and name not in (b"SHELL", b"MAILTO"):
        yield _warning("not-set", f"busybox crond knows SHELL and MAILTO only, not {shown}")
    if re.search(rb"\$[A-Za-z_({]|(^|:)~", value):
        yield _warning("not-expanded", f"cron does not expand $ and ~: {shown} gets them literally")
    if name == b"CRON_TZ" and dialect != "cronie":
        yield _warning("cron-tz", f"{wrap.DAEMONS[dialect]} does not schedule by CRON_TZ")
    if line.text.rstrip(b"\n").endswith(b"\r") and dialect == "busybox":
        yield _error("carriage-return", f"the value of {shown} ends with a carriage return")


def _schedule(line: Line, job: Job, dialect: Dialect) -> Iterator[Finding]:
    when = job.when
    if when is None:
        return
    written = job.schedule.decode("latin-1")
    if when.kind == "never":
        yield _error("never", f"it never runs: nothing matches {written}")
    if when.ignored:
        yield _warning("ignored", f"Debian's cron ignores {when.ignored!r} in the time fields")
    if dialect == "busybox" and written.startswith("@"):
        yield _error("busybox-word", "Debian's busybox crond 1.35 crashes on words such as @daily")
    if dialect == "cronie" and written.startswith("-"):
        yield _warning("dash", "cronie takes a dash in front in root's and system crontabs only")
    fields = re.split(r"[ \t]+", written)
    if len(fields) == 5:
        yield from _days(fields[2], fields[4], dialect)


def _days(day: str, weekday: str, dialect: Dialect) -> Iterator[Finding]:
    if day == "*" or weekday == "*":
        return
    if dialect != "busybox" and (day.startswith("*") or weekday.startswith("*")):
        yield _warning("both-days", "it runs when day of month and day of week both match")
    else:
        yield _warning("both-days", "it runs when day of month or day of week matches, not both")


def _command(line: Line, job: Job, dialect: Dialect, machine: Machine) -> Iterator[Finding]:
    wrapped = wrap.unwrap(line, dialect)
    if wrapped:
        # What is in the quotes behind --shell is as surprising as it was without them.
        yield from _program(wrap.read_command(line, dialect), job, machine)
        job = job._replace(end=job.end - len(line.text) + len(wrapped.original))
        line = line._replace(text=wrapped.original, job=job)
    command = wrap.read_command(line, dialect)
    text, shape = command.text.text, command.shape
    yield from _bytes(line, dialect, command)
    if not text.strip(b" \t"):
        yield _error("no-command", "it has no command")
        return
    if shape is None:
        at = "before the %" if command.text.has_stdin else "in the command"
        yield _error("unbalanced", f"a quote or a parenthesis is not closed {at}")
        return
    first = re.split(rb"[ \t]", text, maxsplit=1)[0]
    code, message = wrap.odd_first_word(text, dialect, is_user=machine.is_user(first))
    if code:
        yield _error(code, message)
        return
    yield from _shell(command, job, machine)
    yield from _output(command)
    yield from _program(command, job, machine)
    yield from _relative_files(command)


def _bytes(line: Line, dialect: Dialect, command: wrap.Command) -> Iterator[Finding]:
    """Yield what the daemon does to the bytes before a shell sees them."""
    if command.text.has_stdin:
        yield _warning(
            "percent",
            "the command ends at the first %, and the rest is its standard input;"
            " write \\% if that is not meant",
        )
    if dialect == "busybox" and b"\\%" in line.command:
        yield _warning("percent", "busybox crond leaves the backslash in \\%")
    if dialect == "busybox" and line.job and line.text[line.job.end :].startswith(b"#"):
        yield _warning("hash", "busybox crond cuts the line at the #, even within quotes")
    if line.text.rstrip(b"\n").endswith(b"\r"):
        yield _warning("carriage-return", "the command ends with a carriage return (DOS line end)")
    if line.text.rstrip(b"\n").endswith(b"\\"):
        yield _warning("continued", "it ends with a backslash, and cron does not continue lines")


def _shell(command: wrap.Command, job: Job, machine: Machine) -> Iterator[Finding]:
    shape = command.shape
    if shape is None:
        return
    shell = command.shell.decode("utf-8", "backslashreplace")
    if machine.is_installed and not machine.finds(command.shell, b""):
        yield _error("shell-not-found", f"SHELL is {shell}, which does not exist")
    if shape.has_both and not is_bash(command.shell):
        yield _warning("both-redirect", f"&> is bash's; {shell} may start a background job instead")
    elif shape.is_background:
        yield _warning("background", "it ends with &: its end and its exit code are lost")
    elif shape.has_background:
        yield _warning("background", "a & in the middle starts a background job")


def _output(command: wrap.Command) -> Iterator[Finding]:
    shape = command.shape
    if shape is None:
        return
    if re.search(rb"(^|[^0-9])(1|&)?>>?[ \t]*/dev/null", command.text.text):
        yield _warning("dev-null", "its output goes to /dev/null; nobody sees why it fails")
    if not shape.is_simple and shape.hides_output:
        yield _warning(
            "partial-redirect",
            "a redirection within the command keeps that output out of crontify's report",
        )


def _program(command: wrap.Command, job: Job, machine: Machine) -> Iterator[Finding]:
    """Yield whether the first program is found, or is relative to the home directory."""
    shape = command.shape
    first = shape.commands[0] if shape and shape.commands else ()
    name = first[0] if first else None
    if not name or name in BUILTINS or name.startswith((b"~", b"-")):
        return
    shown = name.decode("utf-8", "backslashreplace")
    path = job.settings.get(b"PATH", DEFAULT_PATH)
    is_relative = b"/" in name and not name.startswith(b"/")
    if is_relative:
        yield _warning("relative", f"{shown} is relative to the home directory of the job's user")
    elif not machine.finds(name, path):
        finding = _error("not-found", f"{shown} is not found with PATH={path.decode('latin-1')}")
        if name.startswith(b"/"):
            finding = _error("not-found", f"{shown} does not exist, or cannot be executed")
        yield finding if machine.is_installed else finding._replace(level="warning")


def _relative_files(command: wrap.Command) -> Iterator[Finding]:
    text = command.text.text
    if re.search(rb"\b(cd|pushd)\b", text):
        return
    try:
        found = list(tokens(text, bash=is_bash(command.shell)))
    except UnsureError:
        return
    for token in found:
        raw = text[token.start : token.end]
        match = re.match(rb"[0-9]*(?:&>>?|>>?\|?|<)[ \t]*([A-Za-z0-9_.][^ ]*)", raw)
        if token.kind == "redirect" and match:
            shown = match[1].decode("utf-8", "backslashreplace").strip()
            yield _warning("relative", f"{shown} is relative to the home directory")


# Files of the system


class File(NamedTuple):
    """What decides whether a daemon reads a system file. mode: the permission bits."""

    name: str
    owner: int
    mode: int
    in_folder: bool


def check_file(file: File, dialect: Dialect) -> Iterator[Finding]:
    """Yield why a daemon ignores a file of /etc/cron.d, or /etc/crontab."""
    daemon = wrap.DAEMONS[dialect]
    if dialect == "busybox":
        if file.in_folder:
            yield _error("file-ignored", "busybox crond does not read /etc/cron.d")
        return
    if file.in_folder and dialect == "debian" and not re.fullmatch(r"[A-Za-z0-9_-]+", file.name):
        yield _error("file-name", f"{daemon} ignores the file: letters, digits, _ and - only")
    if file.in_folder and dialect == "cronie" and (file.name.endswith("~") or "#" in file.name[:1]):
        yield _error("file-name", f"{daemon} ignores the file because of its name")
    if file.owner != 0:
        yield _error("file-owner", f"{daemon} ignores the file: its owner is not root")
    wrong = file.mode & 0o022 if dialect == "debian" else file.mode & 0o133
    if wrong:
        allowed = "0644" if dialect == "cronie" else "0644 or 0755"
        found = f"{file.mode & 0o7777:04o}"
        yield _error("file-mode", f"{daemon} ignores the file: its mode is {found}, not {allowed}")
