"""What `crontify doctor` finds, check by check."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

from crontify_cli.cli import output
from crontify_cli.cli.table import GAP
from crontify_cli.errors import one_line

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

Result = Literal["ok", "warning", "failure", "skipped"]


class Check(NamedTuple):
    """One line of the doctor's.

    check: the same word in every version. result: "skipped" where a failure before it
        leaves nothing to look at. found: in words. advice: what to do, None for nothing.
    """

    check: str
    result: Result
    found: str
    advice: str | None = None


def as_json(check: Check) -> dict[str, object]:
    """Return the check's object: docs/output.md names the keys."""
    return check._asdict()


def as_fields(check: Check) -> tuple[object, ...]:
    """Return result, check, what was found and what to do; None for nothing."""
    return (check.result, check.check, check.found, check.advice)


_COLOURS = {"ok": "green", "warning": "yellow", "failure": "bold red", "skipped": "dim"}
_RESULT, _CHECK = len("warning"), len("cron_path")


def show(checks: Iterable[Check]) -> None:
    """Print a line for each check, what to do below it, and at the end how many are not well."""
    console = output.console()
    count: Counter[str] = Counter()
    waiting = console.status("looking …") if not output.is_without_escapes() else None
    if waiting:
        waiting.start()
    try:
        for check in checks:
            count[check.result] += 1
            console.print(_line(check))
    finally:
        if waiting:
            waiting.stop()
    console.print(_sum(count))


def _line(check: Check) -> "Table":
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, GAP, 0, 0))
    grid.add_column(width=_RESULT)
    grid.add_column(width=_CHECK)
    grid.add_column(overflow="fold")
    colour = _COLOURS[check.result]
    found = Text(one_line(check.found), "dim" if check.result == "skipped" else "")
    if check.advice:
        found.append(f"\n{one_line(check.advice)}", "bold")
    grid.add_row(Text(check.result, colour), Text(check.check), found)
    return grid


def _sum(count: Counter[str]) -> "Text":
    from rich.text import Text

    bad = [
        f"{count[result]} {result}{'s' if count[result] > 1 else ''}"
        for result in ("failure", "warning")
        if count[result]
    ]
    if not bad:
        return Text("\nAll is well.", "green")
    return Text(f"\n{' and '.join(bad)}.", _COLOURS["failure" if count["failure"] else "warning"])
