"""Draws tables: columns that fit the window, bars and sparklines."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

GAP = 2
"""Blank columns between two columns of a table."""


class View(NamedTuple):
    """The window to draw for. width: in columns. now: seconds since the epoch."""

    width: int
    now: float
    ascii_only: bool = False


class Column(NamedTuple):
    """A column of a table, and what happens to it in a narrow window.

    rank: the column with the largest rank is left out first.
    least: the width to which its cells may be cut; None if they are never cut.
    keeps_end: whether a cell that is cut loses its beginning instead of its end.
    """

    name: str
    rank: int
    cells: "Sequence[Text]"
    right: bool = False
    least: int | None = None
    keeps_end: bool = False

    @property
    def widest(self) -> int:
        """The width that shows every cell whole."""
        return max([len(self.name), *(cell.cell_len for cell in self.cells)])

    @property
    def narrowest(self) -> int:
        """The width below which the column is left out."""
        return self.widest if self.least is None else min(self.least, self.widest)


def draw_table(columns: Sequence[Column], width: int) -> "Table":
    """Return a table of the columns that fit into `width`; at least two are kept.

    What the narrowest form of the columns leaves of the width goes to the first of them
    that needs it.
    """
    from rich.table import Table

    shown = list(columns)

    def spare() -> int:
        return width + GAP - sum(column.narrowest + GAP for column in shown)

    while spare() < 0 and len(shown) > 2:
        shown.remove(max(shown, key=lambda column: column.rank))
    left = spare()
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold dim")
    cells = []
    for column in shown:
        own = max(1, min(column.widest, column.narrowest + left))
        left -= own - column.narrowest
        table.add_column(
            column.name,
            no_wrap=True,
            overflow="ellipsis",
            justify="right" if column.right else "left",
            width=own,
        )
        cells.append([cell[-own:] for cell in column.cells] if column.keeps_end else column.cells)
    for row in zip(*cells, strict=True):
        table.add_row(*row)
    return table


def cause(message: str, exit_code: int | None) -> str:
    """Return the message without `exited with code N: `, since the exit code has a column."""
    reason, colon, words = message.partition(": ")
    return words if colon and reason.endswith(f"exited with code {exit_code}") else message


_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "_.-:=+*#"


class Bar(NamedTuple):
    """A bar in three parts: up to the usual value, beyond it, and what is missing to reach it."""

    within: str
    beyond: str
    missing: str


def bar(value: float, usual: float, width: int, *, ascii_only: bool = False) -> Bar:
    """Return a bar of at most `width` characters whose middle stands for `usual`.

    A value of twice the usual or more fills the whole bar.
    """
    full, half, track = ("=", "-", ".") if ascii_only else ("━", "╸", "╌")
    middle = width // 2
    halves = min(width * 2, max(1, round(value / usual * middle * 2))) if usual > 0 else 0
    drawn = full * (halves // 2) + half * (halves % 2)
    return Bar(drawn[:middle], drawn[middle:], track * (middle - len(drawn)))


def sparkline(values: Sequence[float], *, ascii_only: bool = False) -> str:
    """Return one character per value; the largest value has the full height."""
    blocks = _ASCII_BLOCKS if ascii_only else _BLOCKS
    top = max(values, default=0.0)
    last = len(blocks) - 1
    return "".join(blocks[round(value / top * last) if top > 0 else 0] for value in values)
