"""Formats `--help`: usage, description, panels of options and commands, an example.

Each fits a screen. Typer's own format has four columns per option, and 72 lines for `exec`.
"""

import os
import shutil
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from crontify_cli.errors import ExitCode

WIDEST = 100
_NAMES = 28
"""Widest column of option names; the values of a longer option are shown in its help text."""
_LEAST_BESIDE, _BELOW = 20, 4
"""Columns that a help text needs next to its option; with fewer, it is indented below it."""

Row = tuple[str, str, str, str]
"""Names, metavar, help and default of an option, an argument or a command."""


class Command(TyperCommand):
    """A command with our own help format."""

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # typer's own Context
        """Write the help."""
        formatter.write(text(self, ctx, framed=_can_frame()))


class Group(TyperGroup):
    """A group of commands with our own help format, which is also shown without a command."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer's own Context
        """Parse as Typer does."""
        if not args and self.no_args_is_help:
            print(text(self, ctx, framed=_can_frame()), end="")
            raise typer.Exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # typer's own Context
        """Write the help."""
        formatter.write(text(self, ctx, framed=_can_frame()))


class App(typer.Typer):
    """A Typer app whose commands and groups have our own help format."""

    def __init__(self, **info: Any) -> None:  # Any: passed on unchanged
        super().__init__(cls=Group, **info)

    def command(  # type: ignore[override]  # Typer checks the names that it passes on
        self, name: str | None = None, *, cls: type[TyperCommand] | None = None, **info: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a command as Typer does."""
        return super().command(name, cls=cls or Command, **info)


def _can_frame() -> bool:
    """Whether stdout can show frames: they are for a person, and not for a pipe."""
    from crontify_cli.cli import output

    return output.is_terminal() and not output.is_ascii() and os.environ.get("TERM") != "dumb"


def text(command: TyperCommand | TyperGroup, ctx: typer.Context, *, framed: bool) -> str:
    """Return the help of a command or a group, for the width of this terminal.

    framed: with a frame around each panel, instead of a heading.
    """
    # Without rich, which takes longer to load than most commands.
    width = min(shutil.get_terminal_size().columns, WIDEST)
    usage = textwrap.wrap(" ".join(("Usage:", ctx.command_path, *_usage(command))), width)
    first = _styled("Usage:", "33") + _styled(usage[0].removeprefix("Usage:"), "1")
    lines = [first, *(_styled(line, "1") for line in usage[1:])]
    for paragraph in _paragraphs(command.help):
        lines += ["", *textwrap.wrap(paragraph, width, break_on_hyphens=False)]
    lines.append("")
    for title, rows in _panels(command, ctx).items():
        lines += _framed(title, rows, width) if framed else _headed(title, rows, width)
    if command.epilog:
        lines.append(_styled(command.epilog, "2"))
    return "".join(f"{line}\n" for line in lines)


def _styled(words: str, code: str) -> str:
    """Return words in a style, by its SGR code, if stdout takes escape sequences."""
    from crontify_cli.cli import output

    if not words or not output.is_terminal() or output.is_without_escapes():
        return words
    return f"\x1b[{code}m{words}\x1b[0m"


def short(command: TyperCommand | TyperGroup) -> str:
    """Return the one line that describes a command in the help of its group."""
    return command.short_help or next(iter(_paragraphs(command.help)), "")


def _paragraphs(words: str | None) -> list[str]:
    return [" ".join(part.split()) for part in (words or "").split("\n\n") if part.strip()]


def _usage(command: TyperCommand | TyperGroup) -> Iterator[str]:
    yield "[OPTIONS]"
    yield from (_argument(param) for param in command.params if isinstance(param, TyperArgument))
    if isinstance(command, TyperGroup):
        yield "[COMMAND]" if command.invoke_without_command else "COMMAND"


def _argument(argument: TyperArgument) -> str:
    if argument.metavar:
        return argument.metavar
    choices = getattr(argument.type, "choices", ())
    return "|".join(map(str, choices)) or (argument.name or "").upper()


def _panels(command: TyperCommand | TyperGroup, ctx: typer.Context) -> dict[str, list[Row]]:
    """Return the rows of each panel; `--help` is in the last panel of options."""
    panels: dict[str, list[Row]] = {}
    last = "Options"
    for param in command.get_params(ctx):
        if getattr(param, "hidden", False):
            continue
        if isinstance(param, TyperArgument) and param.help:
            row = ("", _argument(param), param.help, _default(param))
            panels.setdefault("Arguments", []).append(row)
        elif isinstance(param, TyperOption) and param.name != "help":
            last = getattr(param, "rich_help_panel", None) or "Options"
            panels.setdefault(last, []).append(_option(param))
    panels.setdefault(last, []).append(("-h, --help", "", "Show this help.", ""))
    if isinstance(command, TyperGroup):
        subcommands = (command.get_command(ctx, name) for name in command.list_commands(ctx))
        panels["Commands"] = [
            (each.name or "", "", short(each), "")
            for each in subcommands
            if isinstance(each, TyperCommand | TyperGroup) and not each.hidden
        ]
    return panels


def _option(option: TyperOption) -> Row:
    names, words = ", ".join(sorted(option.opts, key=len)), option.help or ""
    metavar = "" if option.is_flag or option.count else option.metavar or _metavar(option)
    if len(names) + 1 + len(metavar) > _NAMES:
        metavar, words = (option.name or "").upper(), f"{words} {metavar}"
    return names, metavar, words, _default(option)


def _metavar(option: TyperOption) -> str:
    choices = "|".join(map(str, getattr(option.type, "choices", ())))
    return choices or ("N" if option.type.name.startswith("int") else option.type.name.upper())


def _default(param: TyperArgument | TyperOption) -> str:
    if isinstance(param.show_default, str):
        return "" if param.show_default == "none" else param.show_default
    if not param.show_default or param.required or param.default in (None, False, [], ()):
        return ""
    return str(param.default)


def _headed(title: str, rows: list[Row], width: int) -> Iterator[str]:
    """Yield the lines of a panel with a heading, and a blank line."""
    yield _styled(f"{title}:", "1")
    yield from (f"  {line}" for line, _ in _table(rows, width - 2))
    yield ""


def _framed(title: str, rows: list[Row], width: int) -> Iterator[str]:
    """Yield the lines of a panel in a frame."""
    side = _styled("│", "2")
    yield f"{_styled('╭─', '2')} {title} {_styled('─' * (width - len(title) - 5) + '╮', '2')}"
    for line, length in _table(rows, width - 4):
        yield f"{side} {line}{' ' * (width - 4 - length)} {side}"
    yield _styled(f"╰{'─' * (width - 2)}╯", "2")


def _table(rows: list[Row], width: int) -> Iterator[tuple[str, int]]:
    """Yield each line of a table of two columns, and its length without escape sequences."""
    lefts = [" ".join(filter(None, row[:2])) for row in rows]
    indent = max(map(len, lefts)) + 2
    is_narrow = width - indent < _LEAST_BESIDE
    indent = _BELOW if is_narrow else indent
    for (names, metavar, words, default), left in zip(rows, lefts, strict=True):
        between = " " if names and metavar else ""
        start = _styled(names, "1;36") + between + _styled(metavar, "33")
        right = f"{words} [{default}]" if default else words
        at, length = 0, len(left)
        if is_narrow:
            yield start, length
            start, length = "", 0
        for line in textwrap.wrap(right, width - indent, break_on_hyphens=False) or [""]:
            at = right.index(line, at)
            plain = line[: max(0, len(words) - at)]
            shown = plain + _styled(line[len(plain) :], "2")
            yield f"{start}{' ' * (indent - length)}{shown}", indent + len(line)
            at, start, length = at + len(line), "", 0
