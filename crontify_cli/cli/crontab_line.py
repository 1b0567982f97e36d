"""Builds a crontab line with `crontify exec` in front of the job's command."""

import os
import shlex
import sys
from typing import NamedTuple

from crontify_cli.crontab import wrap
from crontify_cli.crontab.lines import read
from crontify_cli.crontab.place import is_only_user

_TIME_FIELD = set("0123456789*/,-~")
NIGHTLY = "0 3 * * *"


class Job(NamedTuple):
    """The two parts of a crontab line; in `command`, `%` is escaped as `\\%`, see crontab(5)."""

    schedule: str
    command: str


def parse_job(text: str) -> Job:
    """Return schedule and command of a crontab line; without a schedule, it is daily at 3:00.

    An unescaped `%`, which would end the command (crontab(5)), is escaped.
    Raises ValueError for a line that cannot be wrapped, such as one without a command.
    """
    schedule, command = _parts(text.strip())
    job = Job(schedule, command.strip().replace("\\%", "%").replace("%", "\\%"))
    if not job.command:
        raise ValueError("the command is missing; enter a line such as 0 3 * * * /path/to/job")
    if job.command.startswith("#"):
        raise ValueError("it is a comment; leave out the #")
    first, *more = job.command.split()
    if more and more[0][0] != "-" and is_only_user(os.fsencode(first)):
        raise ValueError(
            f"{first} is a user: only lines in /etc/crontab and /etc/cron.d name one; leave it out"
        )
    if reason := _plan(job).reason:
        raise ValueError(f"the line cannot be used: {reason}")
    return job


def _parts(text: str) -> tuple[str, str]:
    """Return schedule and command; raises ValueError for a schedule that no job could have."""
    (line,) = read(os.fsencode(text) + b"\n", "cronie") if text else (None,)
    if line is None or line.job is None:
        return NIGHTLY, text
    if line.job.when:
        schedule = " ".join(os.fsdecode(line.job.schedule).split())
        if line.job.when.kind == "never":
            raise ValueError(f"the job would never run: nothing matches {schedule}")
        return schedule, os.fsdecode(line.command)
    fields = os.fsdecode(line.job.schedule).split()
    if text.startswith("@") or all(set(field) <= _TIME_FIELD for field in fields):
        raise ValueError(f"cron rejects the time: {line.problem}")
    return NIGHTLY, text


def crontab_line(job: Job, monitor: str, program: str, config: str | None) -> str:
    """Return the line: `program`, quoted for sh, with `exec`, then the job's command.

    Raises ValueError if it would be too long for Debian's cron.
    """
    options = [b"--config", os.fsencode(_quote(config))] if config else []
    return os.fsdecode(wrap.insert(_plan(job), os.fsencode(program), monitor, options))


def _plan(job: Job) -> wrap.Plan:
    (line,) = read(os.fsencode(f"{job.schedule} {job.command}"), "cronie")
    return wrap.plan(line, "cronie")


def program_words() -> tuple[str, ...]:
    """Return the words that run this program, with an absolute path."""
    installed = os.path.join(os.path.dirname(sys.executable), "crontify")
    for candidate in (os.path.abspath(sys.argv[0]), installed):
        if os.path.basename(candidate) == "crontify" and os.access(candidate, os.X_OK):
            return (candidate,)
    return (sys.executable, "-m", "crontify_cli")


def program() -> str:
    """Return the absolute path of this program, quoted for the command of a crontab line."""
    return quoted_program(*program_words())


def quoted_program(*words: str) -> str:
    """Return a program with its arguments, quoted for the command of a crontab line."""
    return " ".join(map(_quote, words))


def _quote(word: str) -> str:
    return shlex.quote(word).replace("%", "\\%")
