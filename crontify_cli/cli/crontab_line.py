"""A crontab line with `crontify exec` in front of its command: crontab(5)'s grammar, sh's words."""

import shlex
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
        _needs_shell(command)
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


def quoted_program(*words: str) -> str:
    """Return a program with its arguments as a crontab's command line names it."""
    return " ".join(map(_for_cron, words))


def _for_cron(word: str) -> str:
    return shlex.quote(word).replace("%", "\\%")


def _is_time(field: str, with_names: int) -> bool:
    return all(c in _TIME_FIELD or (with_names and c.isalpha()) for c in field)


def _needs_shell(command: str) -> bool:
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.commenters = ""
    words = list(lexer)
    name, equals, _ = words[0].partition("=") if words else ("", "", "")
    assigns = bool(equals) and name.replace("_", "a").isalnum()
    operators = {word for word in words if word and set(word) <= set("();<>|&")}
    redirections = {"<", ">", ">>", "<<", ">&", "<&", "&>", "&>>", ">|", "<>"}
    return assigns or words[:1] == [] or words[0] in _SHELLS_OWN or bool(operators - redirections)
