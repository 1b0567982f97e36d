"""Plans the changes to a whole crontab: which lines get `crontify exec`, which lose it, and why."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from crontify_cli.crontab import names, wrap
from crontify_cli.crontab.lines import Line
from crontify_cli.crontab.schedule import Dialect

WRAPPERS = {
    b"cronitor": "Cronitor",
    b"runitor": "runitor",
    b"hchk": "hchk",
    b"sentry-cli": "Sentry",
    b"cronic": "cronic",
    b"chronic": "chronic",
}
"""Other programs that watch a job or its output, by their file names."""


class Change(NamedTuple):
    """A line that changes.

    after: its new bytes. notes: what a person should know about it.
    """

    line: Line
    after: bytes
    monitor: str
    notes: tuple[str, ...] = ()
    plan: wrap.Plan | None = None


class Left(NamedTuple):
    """A line that stays as it is, and why."""

    line: Line
    reason: str


class Edit(NamedTuple):
    """What is to be done to a crontab."""

    changes: list[Change]
    left: list[Left]


class Wrapping(NamedTuple):
    """What wrapping depends on beside the crontab.

    program: how the crontab calls crontify. aliases: the monitors' names in the config.
    taken: the monitors of other crontabs. chosen: names for lines, by their numbers.
    is_wanted: whether a line is to be wrapped.
    is_user: whether a word is the name of a user, and of no program.
    """

    dialect: Dialect
    program: bytes
    aliases: Collection[str] = ()
    taken: Collection[str] = ()
    chosen: Mapping[int, str] = {}
    is_wanted: Callable[[Line], bool] = lambda line: True
    is_user: Callable[[bytes], bool] = lambda word: False


def plan_wraps(lines: Sequence[Line], wrapping: Wrapping) -> Edit:
    """Return which jobs can be wrapped, with a name for each, and which are left."""
    edit, dialect = Edit([], []), wrapping.dialect
    taken = {*wrapping.taken, *monitors(lines, dialect), *wrapping.chosen.values()}
    for index, line in enumerate(lines):
        if line.kind == "unreadable" and wrapping.is_wanted(line):
            edit.left.append(Left(line, f"{wrap.DAEMONS[dialect]} does not accept this line"))
        if line.kind != "job" or not wrapping.is_wanted(line):
            continue
        first_word = re.split(rb"[ \t]", line.command, maxsplit=1)[0]
        found = wrap.plan(line, dialect, is_user=wrapping.is_user(first_word))
        try:
            if found.reason or not found.command.shape:
                raise ValueError(found.reason)
            name = wrapping.chosen.get(line.number) or names.propose(
                found.command.shape.commands,
                names.comment_above(lines, index),
                wrapping.aliases,
                taken,
            )
            after = wrap.insert(found, wrapping.program, name)
        except ValueError as error:
            edit.left.append(Left(line, str(error)))
            continue
        taken.add(name)
        edit.changes.append(Change(line, after, name, tuple(_notes(found)), found))
    return edit


def renamed(change: Change, program: bytes, name: str) -> Change:
    """Return a planned wrap with another name; raises ValueError if it becomes too long."""
    if not change.plan:
        return change
    return change._replace(after=wrap.insert(change.plan, program, name), monitor=name)


def plan_unwraps(
    lines: Sequence[Line], dialect: Dialect, is_ours: Callable[[Line, wrap.Wrapped], bool]
) -> Edit:
    """Return which lines lose their wrapping, and which call crontify and are left."""
    edit = Edit([], [])
    for line in lines:
        if line.kind != "job" or b"crontify" not in line.text:
            continue
        found = wrap.unwrap(line, dialect)
        if found and is_ours(line, found):
            edit.changes.append(Change(line, found.original, found.monitor))
        elif found:
            reason = "not wrapped by `crontify crontab wrap`; --line unwraps it all the same"
            edit.left.append(Left(line, reason))
        elif wrap.monitor_of(line, dialect):
            reason = "it does not have the form that `crontify crontab wrap` writes"
            edit.left.append(Left(line, reason))
    return edit


def apply(lines: Sequence[Line], changes: Sequence[Change]) -> bytes:
    """Return the crontab with the changes."""
    after = {change.line.number: change.after for change in changes}
    return b"".join(after.get(line.number, line.text) for line in lines)


def harm(before: Sequence[Line], after: Sequence[Line]) -> str:
    """Return what a change would do that it must not, "" if it only changes commands.

    Every line keeps its kind, its schedule and its user, and whether the daemon accepts it.
    """
    if len(before) != len(after):
        return "lines would be added or lost"
    for old, new in zip(before, after, strict=True):
        if (old.kind, old.problem, old.setting) != (new.kind, new.problem, new.setting):
            return f"line {old.number} would be read otherwise: {new.problem or new.kind}"
        if old.job and new.job and old.job[:4] != new.job[:4]:
            return f"the schedule or the user of line {old.number} would change"
    return ""


def monitors(lines: Sequence[Line], dialect: Dialect) -> Iterator[str]:
    """Yield the monitors that the lines report to already."""
    for line in lines:
        if name := wrap.monitor_of(line, dialect):
            yield name


def other_wrapper(commands: Sequence[names.Words]) -> str:
    """Return which other program watches a job, "" if none is known."""
    for words in commands:
        name = (words[0] or b"").rpartition(b"/")[2] if words else b""
        if name in WRAPPERS:
            return WRAPPERS[name]
    return ""


def _notes(plan: wrap.Plan) -> Iterator[str]:
    """Yield what a person may want to know of a job that is wrapped."""
    shape = plan.command.shape
    if not shape:
        return
    for words in shape.commands:
        yield from _hints(words)
    other = other_wrapper(shape.commands)
    if other in ("chronic", "cronic"):
        yield f"{other} hides the output of a run that succeeds, from the report too"
    elif other:
        yield f"{other} reports this job as well"
    if shape.hides_output and plan.quoted:
        yield "the report lacks the output that goes to a file within the command"
    if shape.has_background:
        yield "a & in the middle starts a background job; put a URL with & in quotes"


def _hints(words: names.Words) -> Iterator[str]:
    """Yield which options of exec do what a part of the command does."""
    for part in names.split_runners(words):
        plain = [(word or b"").decode("utf-8", "replace") for word in part]
        program = plain[0].rpartition("/")[2] if plain else ""
        if program == "flock":
            skips = any(re.fullmatch(r"-\w*n\w*|--nb|--nonblock", word) for word in plain)
            yield f"flock: `exec --overlap {'skip' if skips else 'wait'}` does the same"
        elif program == "timeout" and re.fullmatch(r"\d+(\.\d+)?[smhd]?", plain[-1]):
            yield f"timeout: `exec --timeout {plain[-1]}` does the same and says so in the report"
        elif program in ("curl", "wget") and any(map(_is_ping, plain[1:])):
            yield f"{program} pings another service as well"


def _is_ping(word: str) -> bool:
    # No query and no key of it is shown: only whether it looks like a heartbeat.
    return bool(re.match(r"https?://[^/]*(ping|health|heart|cronitor|uptime|beat|snitch)", word))
