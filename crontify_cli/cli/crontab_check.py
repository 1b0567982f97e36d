"""Shows the findings of `crontify crontab check`."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from crontify_cli.cli import output
from crontify_cli.cli.crontab_open import Opened
from crontify_cli.cli.table import text
from crontify_cli.crontab import place
from crontify_cli.crontab.check import File, Finding, Machine, check, check_file


class Row(NamedTuple):
    """A finding with the crontab that it is about."""

    crontab: str
    finding: Finding


def findings(opened: Opened) -> Iterator[Finding]:
    """Yield what is found in one crontab."""
    path = opened.place.path
    installed = path is None or path.startswith((place.SYSTEM_FILE, f"{place.SYSTEM_FOLDER}/"))
    if path and installed:
        found = os.stat(path)
        in_folder = path.startswith(f"{place.SYSTEM_FOLDER}/")
        name = os.path.basename(path)
        file = File(name, found.st_uid, found.st_mode & 0o7777, in_folder)
        yield from check_file(file, opened.dialect)
    machine = Machine(place.finds, installed, place.is_only_user)
    yield from check(opened.lines, opened.dialect, machine)


def show(crontabs: Sequence[Opened], *, as_json: bool) -> bool:
    """Print the findings; return whether something would not run."""
    rows = [Row(opened.place.label, each) for opened in crontabs for each in findings(opened)]

    def draw(found: Iterable[Row]) -> None:
        _draw(list(found), [opened.place.label for opened in crontabs])

    output.show_list(rows, _object, _fields, draw, as_json=as_json)
    return any(row.finding.level == "error" for row in rows)


def _object(row: Row) -> dict[str, object]:
    return {"crontab": row.crontab, **row.finding._asdict()}


def _fields(row: Row) -> tuple[object, ...]:
    finding = row.finding
    return row.crontab, finding.line, finding.level, finding.code, finding.message


def _draw(rows: Sequence[Row], labels: Sequence[str]) -> None:
    console = output.console()
    for label in labels:
        found = [row.finding for row in rows if row.crontab == label]
        console.print(text((label, "bold")), text(("" if found else "nothing found", "dim")))
        for finding in found:
            style = "bold red" if finding.level == "error" else "yellow"
            where = "file" if finding.line is None else f"line {finding.line}"
            level = (f"{finding.level:7}", style)
            line = text(f"  {where:>9}  ", level, f"  {finding.message}")
            console.print(line, soft_wrap=True)
