"""Prints results: tables and a pager on a terminal, plain lines or JSON in a pipe.

Errors of writing to stdout are handled in `boundary.py`.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TextIO, TypeVar

from crontify_cli.errors import one_line, say

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from crontify_cli.cli.table import View

Item = TypeVar("Item")

_SHELL_WORDS = "|&;<>()$`\\\"' \t\n*?[#~=%"
"""With one of these characters in it, the pager's command line is run by a shell, as in git."""


_PAGER = "less"


def console(stream: TextIO | None = None) -> "Console":
    """Return a console for `stream`, by default stdout.

    With NO_COLOR (https://no-color.org) or a dumb terminal it prints no escape sequences,
    not even bold text.
    """
    # Imported only when needed: rich takes as long to load as everything else together.
    from rich.console import Console

    if is_without_escapes():
        from shutil import get_terminal_size

        columns, rows = get_terminal_size()  # rich assumes 80 by 25 for a dumb terminal
        return Console(file=stream, highlight=False, color_system=None, width=columns, height=rows)
    return Console(file=stream, highlight=False)


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether `stream`, by default stdout, is a terminal."""
    stream = stream or sys.stdout
    return stream is not None and stream.isatty()


def is_without_escapes() -> bool:
    """Whether escape sequences are unwanted, or the terminal would not understand them."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") in ("dumb", "unknown")


def is_ascii() -> bool:
    """Whether stdout can show ASCII only."""
    encoding = (sys.stdout.encoding or "ascii").lower()
    return not encoding.startswith("utf")


def show_list(
    items: Iterable[Item],
    to_object: Callable[[Item], object],
    to_fields: Callable[[Item], Iterable[object]],
    draw: Callable[[Iterable[Item]], None],
    *,
    as_json: bool,
) -> None:
    """Print a list: `draw` it on a terminal, print tab-separated lines in a pipe, or JSON."""
    if as_json:
        json_list(map(to_object, items))
    elif is_terminal():
        draw(items)
    else:
        for item in items:
            print(fields(to_fields(item)))


def count(number: int, what: str) -> str:
    """Return `1 report`, `2 reports`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def fields(values: Iterable[object]) -> str:
    """Return one tab-separated line; None is shown as `-`, and tabs and newlines as spaces."""
    return "\t".join("-" if value is None else one_line(str(value)) for value in values)


def json_list(items: Iterable[object]) -> None:
    """Print a JSON list item by item, so that a long list needs little memory."""
    before = "["
    for item in items:
        print(before, "\n  ", as_json(item).replace("\n", "\n  "), sep="", end="")
        before = ","
    print("[]" if before == "[" else "\n]")


def draw(parts: "Callable[[View], Iterable[RenderableType]]") -> None:
    """Draw what `parts` returns for this window, and show it in the pager."""
    from crontify_cli.cli.table import View

    screen = console()
    with screen.capture() as drawn:
        for part in parts(View(screen.width, time.time(), is_ascii())):
            screen.print(part)
    page("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))


def draw_lines(lines: "Iterable[Text]") -> None:
    """Show lines of any length in the pager, coloured on a terminal."""
    screen = console()
    with screen.capture() as drawn:
        for line in lines:
            screen.print(line, soft_wrap=True)
    page(drawn.get())


def as_json(item: object, indent: int | None = 2) -> str:
    """Return an object as JSON that is safe to print: control characters and such are escaped."""
    content = json.dumps(item, indent=indent, ensure_ascii=is_ascii(), allow_nan=False)
    if content.replace("\n", "").isprintable():
        return content
    return "".join(
        char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in content
    )


def text(content: str) -> None:
    """Print a text as it is, with a newline at its end."""
    sys.stdout.write(content)
    if content and not content.endswith("\n"):
        sys.stdout.write("\n")


def page(content: str) -> None:
    """Print a text through a pager, as git does, or directly if there is no pager.

    The pager is `$CRONTIFY_PAGER`, else `$PAGER`, else `less`; the empty string and `cat`
    mean none, and so does a dumb terminal. If it fails, the text is printed directly.
    Unless the user has set `$LESS`, it is FRX: exit if the text fits on one screen, show
    colours, and do not clear the screen on exit.
    """
    command = pager()
    if not (command and is_terminal() and _paged(command, content)):
        text(content)


def pager() -> str:
    """Return the pager's command line, empty if there is no pager."""
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return ""  # less would print a warning and wait for a key
    for name in ("CRONTIFY_PAGER", "PAGER"):
        if (command := os.environ.get(name)) is not None:
            return "" if command.strip() in ("", "cat") else command
    return _PAGER


def _paged(command: str, content: str) -> bool:
    """Show `content` in the pager; return False if the pager failed, which is said."""
    import subprocess

    words = ["sh", "-c", command] if any(c in _SHELL_WORDS for c in command) else [command]
    environ = {"LESS": "FRX", "LV": "-c", **os.environ}
    encoding, errors = sys.stdout.encoding or "utf-8", sys.stdout.errors or "replace"
    interrupted = False

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        interrupted = True

    sys.stdout.flush()
    try:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, env=environ)
    except OSError as error:
        if command != _PAGER:
            say(f"cannot run the pager {command!r}: {error.strerror}")
        return False
    before = signal.signal(signal.SIGINT, interrupt)  # Ctrl-C is meant for the pager
    try:
        process.communicate(content.encode(encoding, errors))
    finally:
        signal.signal(signal.SIGINT, before)
    if process.returncode <= 0 or interrupted:
        return True
    say(f"the pager {command!r} failed with exit code {process.returncode}")
    return False
