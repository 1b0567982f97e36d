"""Builds a crontab line with `crontify exec` in front of the job's command."""

import os
import shlex
import sys
from typing import NamedTuple

NIGHTLY = "0 3 * * *"

# First words that only a shell understands; `cd` and the like have no effect outside of it.
_SHELL_WORDS = (
    *("if", "for", "while", "until", "case", "{", "!", ".", "[[", "eval", "source", "exec"),
    *("cd", "export", "umask", "ulimit", "set", "trap"),
)
_TIME_FIELD = set("0123456789*/,-~")


class Job(NamedTuple):
    """The two parts of a crontab line; in `command`, `%` is escaped as `\\%`, see crontab(5)."""

    schedule: str
    command: str


def parse_job(text: str) -> Job:
    """Return schedule and command of a crontab line; without a schedule, it is daily at 3:00.

    An unescaped `%`, which would end the command (crontab(5)), is escaped.
    Raises ValueError for a line without a command or with an unclosed quote.
    """
    words = text.split(None, 5)
    if text.startswith("@"):
        schedule, _, command = text.partition(" ")
    elif len(words) > 4 and all(map(_is_time, words[:5], (0, 0, 0, 1, 1))):
        schedule, command = " ".join(words[:5]), "".join(words[5:])
    else:
        schedule, command = NIGHTLY, text
    command = command.strip().replace("\\%", "%").replace("%", "\\%")
    if not command:
        raise ValueError("the command is missing; enter a line such as 0 3 * * * /path/to/job")
    try:
        shlex.split(command)
    except ValueError as error:
        raise ValueError(f"not a valid command: {str(error).lower()}") from None
    return Job(schedule, command)


def crontab_line(job: Job, monitor: str, program: str, config: str | None) -> str:
    """Return the line: `program`, quoted for sh, with `exec`, then the job's command.

    A pipeline or a list of commands becomes one word for `--shell`, because sh would
    otherwise pass only its first command to exec. A redirection stays outside, so that the
    output is reported and then written to the same file as before.
    """
    words = [job.schedule, program, "exec"]
    if config:
        words += ["--config", _quote(config)]
    if _needs_shell(job.command):
        words += ["--shell", monitor, "--", shlex.quote(job.command)]
    else:
        words += [monitor, "--", job.command]
    return " ".join(words)


def program() -> str:
    """Return the absolute path of this program, quoted for the command of a crontab line."""
    installed = os.path.join(os.path.dirname(sys.executable), "crontify")
    for candidate in (os.path.abspath(sys.argv[0]), installed):
        if os.path.basename(candidate) == "crontify" and os.access(candidate, os.X_OK):
            return quoted_program(candidate)
    return quoted_program(sys.executable, "-m", "crontify_cli")


def quoted_program(*words: str) -> str:
    """Return a program with its arguments, quoted for the command of a crontab line."""
    return " ".join(map(_quote, words))


def _quote(word: str) -> str:
    return shlex.quote(word).replace("%", "\\%")


def _is_time(field: str, allow_names: int) -> bool:
    return all(c in _TIME_FIELD or (allow_names and c.isalpha()) for c in field)


def _needs_shell(command: str) -> bool:
    """Tell whether this is anything but one simple command for sh; if in doubt, yes.

    Raises ValueError for an unclosed quote.
    """
    first = shlex.split(command)[0]
    name, equals, _ = first.partition("=")
    if first in _SHELL_WORDS or (equals and name.replace("_", "a").isalnum()):
        return True
    # Without posix, a quoted operator keeps its quotes.
    lexer = shlex.shlex(command, posix=False, punctuation_chars=True)
    lexer.commenters = ""
    try:
        operators = {word for word in lexer if set(word) <= set("();<>|&")}
    except ValueError:
        return True
    return bool(operators - {"<", ">", ">>", "<<", ">&", "<&", "&>", "&>>", ">|", "<>"})
