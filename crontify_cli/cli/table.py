"""Draws tables: columns that fit the window, bars and sparklines."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from crontify_cli.errors import printable

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table
    from rich.text import Text

Row = TypeVar("Row")

GAP = 2
"""Blank columns between two columns of a table."""


class View(NamedTuple):
    """The window to draw for. width: in columns. now: seconds since the epoch."""

    width: int
    now: float
    ascii_only: bool = False


class Column(NamedTuple, Generic[Row]):
    """A column of a table, and what happens to it in a narrow window.

    rank: the column with the largest rank is left out first.
    cell: returns the content for a row.
    least: the width to which its cells may be cut; None if they are never cut.
    keeps_end: whether a cell that is cut loses its beginning instead of its end.
    """

    name: str
    rank: int
    cell: "Callable[[Row], Text]"
    right: bool = False
    least: int | None = None
    keeps_end: bool = False


class _Filled(NamedTuple):
    """A column with its cells, and the widths between which it is drawn."""

    column: Column[Any]
    cells: "Sequence[Text]"
    narrowest: int
    widest: int


def _fill(column: Column[Row], rows: Sequence[Row]) -> _Filled:
    cells = [column.cell(row) for row in rows]
    widest = max([len(column.name), *(cell.cell_len for cell in cells)])
    least = widest if column.least is None else min(column.least, widest)
    return _Filled(column, cells, least, widest)


def text(*parts: str | tuple[str, str]) -> "Text":
    """Return a text made of strings, or of pairs of a string and its style; safe to print."""
    from rich.text import Text

    words = (part if isinstance(part, tuple) else (part, "") for part in parts)
    return Text.assemble(*((printable(word), style) for word, style in words))


def draw_table(rows: Sequence[Row], columns: Sequence[Column[Row]], width: int) -> "Table":
    """Return a table of the columns that have content and fit into `width`, but at least two.

    What the narrowest form of the columns leaves of the width goes to the first of them
    that needs it.
    """
    from rich.table import Table

    filled = [_fill(column, rows) for column in columns]
    shown = [each for each in filled if any(each.cells) or not rows]

    def spare() -> int:
        return width + GAP - sum(each.narrowest + GAP for each in shown)

    while spare() < 0 and len(shown) > 2:
        shown.remove(max(shown, key=lambda each: each.column.rank))
    left = spare()
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold dim")
    content = []
    for column, cells, narrowest, widest in shown:
        own = max(1, min(widest, narrowest + left))
        left -= own - narrowest
        justify: JustifyMethod = "right" if column.right else "left"
        table.add_column(column.name, no_wrap=True, overflow="ellipsis", justify=justify, width=own)
        content.append([cell[-own:] for cell in cells] if column.keeps_end else cells)
    for row in zip(*content, strict=True):
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
