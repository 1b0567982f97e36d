"""The result of a check of `crontify doctor`, and how a terminal shows it."""

import contextlib
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

from crontify_cli.cli import output
from crontify_cli.cli.table import GAP, text
from crontify_cli.errors import one_line

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

Result = Literal["ok", "warning", "failure", "skipped"]


class Check(NamedTuple):
    """The result of one check; `docs/output.md` documents the fields.

    check: its name, which never changes. result: "skipped" if an earlier failure made the
        check impossible. found: in words. advice: what to do, None for nothing.
    """

    check: str
    result: Result
    found: str
    advice: str | None = None


_COLOURS = {"ok": "green", "warning": "yellow", "failure": "bold red", "skipped": "dim"}
_RESULT_WIDTH, _CHECK_WIDTH = len("warning"), len("interpreter")


def show(checks: Iterable[Check]) -> None:
    """Print each check with its advice, and finally the number of failures and warnings."""
    console = output.console()
    count: Counter[str] = Counter()
    plain = output.is_without_escapes()
    with contextlib.nullcontext() if plain else console.status("checking …"):
        for check in checks:
            count[check.result] += 1
            console.print(_row(check))
    console.print(_summary(count))


def _row(check: Check) -> "Table":
    from rich.table import Table

    grid = Table.grid(padding=(0, GAP, 0, 0))
    grid.add_column(width=_RESULT_WIDTH)
    grid.add_column(width=_CHECK_WIDTH)
    grid.add_column(overflow="fold")
    colour = _COLOURS[check.result]
    found = (one_line(check.found), "dim" if check.result == "skipped" else "")
    advice = (f"\n{one_line(check.advice)}" if check.advice else "", "bold")
    grid.add_row(text((check.result, colour)), text(check.check), text(found, advice))
    return grid


def _summary(count: Counter[str]) -> "Text":
    results = [result for result in ("failure", "warning") if count[result]]
    bad = [output.count(count[result], result) for result in results]
    if not bad:
        return text(("\nNo problems found.", "green"))
    colour = _COLOURS["failure" if count["failure"] else "warning"]
    return text((f"\n{' and '.join(bad)}.", colour))
