"""Shows, asks, writes and proves the changes of `crontify crontab wrap` and `unwrap`."""

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from crontify_cli.cli import difference, person
from crontify_cli.cli.crontab_line import program
from crontify_cli.cli.crontab_open import Opened
from crontify_cli.crontab import edit, kept, place
from crontify_cli.crontab.edit import Change, Edit, Wrapping
from crontify_cli.crontab.lines import Line
from crontify_cli.crontab.wrap import Wrapped, digest, monitor_of
from crontify_cli.errors import CrontifyError, ExitCode, in_words, say
from crontify_cli.state import state_dir
from crontify_cli.values import parse_argument_monitor


class Choice(NamedTuple):
    """What the command line says. names: monitors for lines, by their numbers."""

    match: str | None = None
    line: tuple[int, ...] = ()
    names: dict[int, str] = {}  # noqa: RUF012 - nobody changes it
    dry_run: bool = False
    yes: bool = False

    def wants(self, line: Line) -> bool:
        """Tell whether a line is among those to change."""
        if self.match is not None and os.fsencode(self.match) not in line.text:
            return False
        return not self.line or line.number in self.line


def wrap(crontabs: Sequence[Opened], choice: Choice) -> None:
    """Wrap the jobs of crontabs; raises CrontifyError."""
    _check_numbers(crontabs, {*choice.line, *choice.names})
    command = os.fsencode(program())
    aliases = _aliases()
    if os.environ.get("CRONTIFY_CONFIG"):
        say("cron does not know CRONTIFY_CONFIG; set it at the top of the crontab")
    taken = {name for each in crontabs for name in edit.monitors(each.lines, each.dialect)}
    for opened in crontabs:
        _check_program(command, opened)
        wrapping = Wrapping(
            opened.dialect, command, aliases, taken, choice.names, choice.wants, place.is_only_user
        )
        planned = edit.plan_wraps(opened.lines, wrapping)
        _check_named(opened, planned, choice)
        _tell_left(opened, planned)
        made = _carry_out(opened, planned, choice, wrapping)
        taken = taken | {change.monitor for change in made}


def count_jobs_to_wrap(crontabs: Sequence[Opened]) -> int:
    """Return how many jobs can be wrapped."""
    command = os.fsencode(program())
    return sum(
        len(edit.plan_wraps(opened.lines, Wrapping(opened.dialect, command)).changes)
        for opened in crontabs
    )


def unwrap(crontabs: Sequence[Opened], choice: Choice) -> None:
    """Undo the wrapping of jobs; raises CrontifyError."""
    _check_numbers(crontabs, set(choice.line))
    for opened in crontabs:
        digests, monitors = kept.wrapped_lines(_state(), opened.place.label)

        def is_ours(
            line: Line,
            found: Wrapped,
            digests: frozenset[str] = digests,
            monitors: frozenset[str] = monitors,
        ) -> bool:
            start = line.job.start if line.job else 0
            is_known = digest(found.original, start) in digests or found.monitor in monitors
            return is_known or line.number in choice.line

        wanted = [line for line in opened.lines if choice.wants(line)]
        planned = edit.plan_unwraps(wanted, opened.dialect, is_ours)
        _tell_left(opened, planned)
        _carry_out(opened, planned, choice, None)


def _check_numbers(crontabs: Sequence[Opened], numbers: set[int]) -> None:
    if not numbers:
        return
    if len(crontabs) != 1:
        raise CrontifyError("--line and --name need one crontab: name its FILE", ExitCode.USAGE)
    jobs = {line.number for line in crontabs[0].lines if line.kind == "job"}
    for number in sorted(numbers - jobs):
        raise CrontifyError(f"line {number} of {crontabs[0].place.label} is not a job")


def _check_named(opened: Opened, planned: Edit, choice: Choice) -> None:
    """Refuse a name for a line that is not wrapped, and one that two lines would have.

    A line that has this monitor already is fine: a second `wrap` changes nothing.
    """
    if len(set(choice.names.values())) != len(choice.names):
        raise CrontifyError("--name: each line needs a monitor of its own", ExitCode.USAGE)
    reasons = {each.line.number: each.reason for each in planned.left}
    wanted = {each.line.number for each in planned.changes}
    found = {line.number: monitor_of(line, opened.dialect) for line in opened.lines}
    for number, name in sorted(choice.names.items()):
        if found[number] == name:
            continue
        if number in reasons:
            raise CrontifyError(f"--name {number}: the line cannot be wrapped: {reasons[number]}")
        if number not in wanted:
            raise CrontifyError(f"--name {number}: --line or --match leaves this line out")
        if name in found.values():
            raise CrontifyError(f"--name {number}: {name} is the monitor of another line")


def _check_program(command: bytes, opened: Opened) -> None:
    if opened.dialect == "busybox" and (b"%" in command or b"#" in command):
        raise CrontifyError(f"busybox crond cannot call {os.fsdecode(command)}: it has a % or #")


def _aliases() -> tuple[str, ...]:
    from crontify_cli.config import load

    return tuple(name for name in load().settings.monitors if not name.startswith("-"))


def _state() -> str:
    try:
        return state_dir()
    except OSError as error:
        raise CrontifyError(f"no state directory: {error}; set CRONTIFY_STATE_DIR") from None


# Showing


def _tell_left(opened: Opened, planned: Edit) -> None:
    for left in planned.left:
        say(f"{opened.place.label}, line {left.line.number}: left as it is: {left.reason}")
    if opened.data and not opened.data.endswith(b"\n"):
        costs = {
            "debian": "; Debian's cron ignores the whole file for that",
            "cronie": "; cronie skips that line",
            "busybox": "",
        }
        say(f"{opened.place.label}: the last line has no newline{costs[opened.dialect]}")


def _show(opened: Opened, changes: Sequence[Change]) -> None:
    after = edit.apply(opened.lines, changes)
    before_text, after_text = (
        data.decode("utf-8", "backslashreplace") for data in (opened.data, after)
    )
    difference.show(before_text, after_text, opened.place.label)


# Asking


def _chosen(changes: Sequence[Change], wrapping: Wrapping | None) -> list[Change] | None:
    """Ask for each change; return those that were agreed to, None if nothing is to be written."""
    taken = {each.monitor for each in changes} | set(wrapping.taken if wrapping else ())
    agreed: list[Change] = []
    for index, change in enumerate(changes):
        for note in change.notes:
            say(f"line {change.line.number}: {note}")
        answer = _ask(change, wrapping, taken)
        if answer == "a":
            return [*agreed, *changes[index:]]
        if answer == "q":
            return None
        if isinstance(answer, Change):
            agreed.append(answer)
    return agreed


def _ask(change: Change, wrapping: Wrapping | None, taken: set[str]) -> Change | str:
    """Return the change that was agreed to, with the name that was typed, or "n", "a", "q"."""
    number = change.line.number
    while True:
        if wrapping:
            question = f"Wrap line {number} as {change.monitor}? [y/n/a/q/e/?]"
        else:
            question = f"Unwrap line {number} ({change.monitor})? [y/n/a/q/?]"
        answer = person.line(question).lower()
        if answer in ("y", "yes"):
            return change
        if answer in ("n", "no"):
            return "n"
        if answer in ("a", "q"):
            return answer
        if answer == "e" and wrapping:
            change = _rename(change, wrapping, taken)
            continue
        names = " e changes the name," if wrapping else ""
        say(f"y: this line; n: not this one; a: all from here on;{names} q: write nothing")


def _rename(change: Change, wrapping: Wrapping, taken: set[str]) -> Change:
    def parse(text: str) -> Change:
        name = parse_argument_monitor(text)
        if name != change.monitor and name in taken:
            raise ValueError(f"{name} is the name of another line")
        return edit.renamed(change, wrapping.program, name)

    found = person.until_right("Monitor:", parse)
    taken.add(found.monitor)
    return found


# Writing


def _carry_out(
    opened: Opened, planned: Edit, choice: Choice, wrapping: Wrapping | None
) -> Sequence[Change]:
    """Show the changes, ask for them and write them; return them. Raises CrontifyError."""
    changes, label = planned.changes, opened.place.label
    verb = "wrap" if wrapping else "unwrap"
    if not changes:
        say(f"{label}: nothing to {verb}")
        return ()
    _show(opened, changes)
    asks = sys.stdin.isatty() and not (choice.yes or choice.dry_run)
    if not asks:
        for change in changes:
            for note in change.notes:
                say(f"line {change.line.number}: {note}")
    if choice.dry_run:
        return changes
    if asks:
        agreed = _chosen(changes, wrapping)
        if not agreed:
            say(f"{label}: nothing was written")
            return ()
        changes = agreed
    elif not choice.yes:
        raise CrontifyError(
            f"{label}: nothing was written: stdin is not a terminal;"
            " --yes writes without asking, --dry-run only shows",
            ExitCode.USAGE,
        )
    _write(opened, changes, is_wrap=wrapping is not None)
    say(f"{label}: {len(changes)} line{'s' if len(changes) != 1 else ''} {verb}ped")
    return changes


def _write(opened: Opened, changes: Sequence[Change], *, is_wrap: bool) -> None:
    after = edit.apply(opened.lines, changes)
    harm = edit.harm(opened.lines, opened.reread(after))
    if not harm and not place.dry_run(opened.place, opened.data, opened.dialect):
        harm = place.dry_run(opened.place, after, opened.dialect)
    if harm:
        raise CrontifyError(f"{opened.place.label}: nothing was written: {harm}")
    state, label = _state(), opened.place.label
    try:
        copy = kept.save(state, label, opened.data)
        if is_wrap:
            known = [
                (digest(c.line.text, c.line.job.start), c.monitor) for c in changes if c.line.job
            ]
            kept.note_wrapped(state, known, label)
    except OSError as error:
        reason = in_words(error)
        raise CrontifyError(f"{label}: nothing was written: cannot keep a copy: {reason}") from None
    say(f"{label}: the earlier one is kept in {copy}")
    if place.has_other_links(opened.place):
        say(f"{label}: the other hard links to this file keep the earlier crontab")
    place.write(opened.place, opened.data, after)
