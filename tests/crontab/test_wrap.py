"""Wrapping inserts and never rewrites; unwrapping restores the bytes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from crontify_cli.crontab import edit, wrap
from crontify_cli.crontab.edit import Wrapping
from crontify_cli.crontab.lines import MAX_COMMAND, Line, read
from crontify_cli.crontab.schedule import Dialect
from tests.crontab.lines import CRONTAB

PROGRAM = b"/usr/bin/crontify"
DIALECTS: tuple[Dialect, ...] = ("debian", "cronie", "busybox")


def wrapped(data: bytes, dialect: Dialect = "debian", system: bool = False) -> bytes:
    """Return a crontab with every job wrapped that can be."""
    lines = read(data, dialect, system=system)
    return edit.apply(lines, edit.plan_wraps(lines, Wrapping(dialect, PROGRAM)).changes)


def unwrapped(data: bytes, ours: set[str], dialect: Dialect, system: bool = False) -> bytes:
    """Return a crontab without the wrapping of the lines whose originals `ours` identifies."""

    def is_ours(line: Line, found: wrap.Wrapped) -> bool:
        return line.job is not None and wrap.digest(found.original, line.job.start) in ours

    lines = read(data, dialect, system=system)
    return edit.apply(lines, edit.plan_unwraps(lines, dialect, is_ours).changes)


def identities(data: bytes, dialect: Dialect, system: bool = False) -> set[str]:
    lines = read(data, dialect, system=system)
    changes = edit.plan_wraps(lines, Wrapping(dialect, PROGRAM)).changes
    return {wrap.digest(each.line.text, each.line.job.start) for each in changes if each.line.job}


@settings(max_examples=600, deadline=None)
@given(CRONTAB, st.sampled_from(DIALECTS), st.booleans())
def test_unwrapping_restores_every_byte_and_a_second_wrap_changes_nothing(
    data: bytes, dialect: Dialect, system: bool
) -> None:
    after = wrapped(data, dialect, system)
    assert unwrapped(after, identities(data, dialect, system), dialect, system) == data
    assert wrapped(after, dialect, system) == after


@settings(max_examples=300, deadline=None)
@given(CRONTAB, st.sampled_from(DIALECTS))
def test_only_wrapped_lines_change_and_only_by_insertion(data: bytes, dialect: Dialect) -> None:
    lines = read(data, dialect)
    assert b"".join(line.text for line in lines) == data
    changed = {
        each.line.number for each in edit.plan_wraps(lines, Wrapping(dialect, PROGRAM)).changes
    }
    after = read(wrapped(data, dialect), dialect)
    assert len(after) == len(lines)
    for before, line in zip(lines, after, strict=True):
        if before.number not in changed:
            assert line.text == before.text
            continue
        rest = iter(line.text)
        assert all(byte in rest for byte in before.text)  # a subsequence: nothing was taken away
        assert (before.job and before.job.schedule) == (line.job and line.job.schedule)
        assert line.problem == before.problem
        assert len(line.command) <= MAX_COMMAND


def test_a_job_is_not_named_after_the_line_that_explains_the_fields() -> None:
    """That of Debian's /etc/crontab stands directly above the first job."""
    lines = b"# *  *  *  *  * user-name command to be executed\n17 * * * * run-parts /etc/x\n"
    assert b" exec run-parts -- " in wrapped(lines)


def test_a_job_is_named_after_its_work_and_not_after_what_it_says() -> None:
    """`echo` before the command, or around it, is no name for a monitor."""
    line = b"0 3 * * * echo begin; date; /srv/bin/rotate.sh && printf done\n"
    assert b" exec rotate --shell -- " in wrapped(line)
