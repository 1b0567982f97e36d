"""A crontab line with `crontify exec` in front of its command: crontab(5)'s grammar, sh's words."""

import os
import shlex
import sys
from typing import NamedTuple

NIGHTLY = "0 3 * * *"

# What only a shell understands as a first word; `cd` and its like change nothing elsewhere.
_SHELLS_OWN = (
    *("if", "for", "while", "until", "case", "{", "!", ".", "[[", "eval", "source", "exec"),
    *("cd", "export", "umask", "ulimit", "set", "trap"),
)
_TIME_FIELD = set("0123456789*/,-~")


class Job(NamedTuple):
    """A crontab line's two parts; `command` as crontab(5) has it, with `\\%` for `%`."""

    schedule: str
    command: str


def parse_job(text: str) -> Job:
    """Return schedule and command of a crontab line; a command alone runs every night at 3.

    An unescaped `%` would end the command there (crontab(5)) and is escaped.
    Raises ValueError for a line without a command, or with a quote that is not closed.
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
        raise ValueError("no command in it: write 0 3 * * * /path/to/job")
    try:
        shlex.split(command)
    except ValueError as error:
        raise ValueError(f"not a command: {str(error).lower()}") from None
    return Job(schedule, command)


def crontab_line(job: Job, monitor: str, program: str, config: str | None) -> str:
    """Return the line: `program` (as sh reads it) with `exec`, then the job's command.

    What is more than one plain command, a pipe or a list, becomes one word for `--shell`,
    since sh would take only its first part for the job. A redirection stays outside: so
    the output is reported and then goes where it went before.
    """
    words = [job.schedule, program, "exec"]
    if config:
        words += ["--config", _for_cron(config)]
    if _needs_shell(job.command):
        words += ["--shell", monitor, "--", shlex.quote(job.command)]
    else:
        words += [monitor, "--", job.command]
    return " ".join(words)


def program() -> str:
    """Return the absolute way to this program, as a crontab's command line writes it."""
    beside = os.path.join(os.path.dirname(sys.executable), "crontify")
    for candidate in (os.path.abspath(sys.argv[0]), beside):
        if os.path.basename(candidate) == "crontify" and os.access(candidate, os.X_OK):
            return quoted_program(candidate)
    return quoted_program(sys.executable, "-m", "crontify_cli")


def quoted_program(*words: str) -> str:
    """Return a program with its arguments as a crontab's command line names it."""
    return " ".join(map(_for_cron, words))


def _for_cron(word: str) -> str:
    return shlex.quote(word).replace("%", "\\%")


def _is_time(field: str, with_names: int) -> bool:
    return all(c in _TIME_FIELD or (with_names and c.isalpha()) for c in field)


def _needs_shell(command: str) -> bool:
    """Whether sh would take more, or less, than one plain command from this; if unsure, yes.

    Raises ValueError for a quote that is not closed.
    """
    first = shlex.split(command)[0]
    name, equals, _ = first.partition("=")
    if first in _SHELLS_OWN or (equals and name.replace("_", "a").isalnum()):
        return True
    # Not posix, so that a quoted operator keeps its quotes.
    lexer = shlex.shlex(command, posix=False, punctuation_chars=True)
    lexer.commenters = ""
    try:
        operators = {word for word in lexer if set(word) <= set("();<>|&")}
    except ValueError:
        return True
    return bool(operators - {"<", ">", ">>", "<<", ">&", "<&", "&>", "&>>", ">|", "<>"})
