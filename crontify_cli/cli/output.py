"""How results leave: drawn and paged for a person, plain lines or JSON for a program."""

import json
import os
import signal
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from crontify_cli.errors import CrontifyError, one_line

if TYPE_CHECKING:
    from rich.console import Console

_SHELL_WORDS = "|&;<>()$`\\\"' \t\n*?[#~=%"
"""Characters for which git gives the pager's command line to a shell."""


def console(stream: TextIO | None = None) -> "Console":
    """Return the console for `stream`, or stdout.

    Where NO_COLOR asks for it (https://no-color.org) or TERM is dumb, no escape sequence
    comes out of it: no bold either.
    """
    # Not for a pipe: rich costs as much as all the rest.
    from rich.console import Console

    if is_without_escapes():
        from shutil import get_terminal_size

        columns, rows = get_terminal_size()  # of a dumb terminal rich takes 80 by 25 for granted
        return Console(file=stream, highlight=False, color_system=None, width=columns, height=rows)
    return Console(file=stream, highlight=False)


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether a person sees `stream`, or stdout; in a pipe lists are tab-separated and whole."""
    stream = stream or sys.stdout
    return stream is not None and stream.isatty()


def is_without_escapes() -> bool:
    """Whether colours and the like are not wanted, or would not be understood."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") in ("dumb", "unknown")


def is_ascii() -> bool:
    """Whether stdout can show ASCII only."""
    encoding = (sys.stdout.encoding or "ascii").lower()
    return not encoding.startswith("utf")


def lines(texts: Iterable[str]) -> None:
    """Print a line each; whoever reads may stop before the end, as `head` does.

    Raises CrontifyError if they cannot be written, as on a full disk.
    """
    _end_with_the_reader()
    try:
        for text in texts:
            print(text)
        sys.stdout.flush()
    except OSError as error:
        _give_up(error)


def fields(values: Iterable[object]) -> str:
    """Return one tab-separated line: None is `-`, and no value breaks line or column."""
    return "\t".join("-" if value is None else one_line(str(value)) for value in values)


def json_list(items: Iterable[object]) -> None:
    """Print a JSON list, an item at a time, so that a long one needs no memory."""

    def parts() -> Iterable[str]:
        before = "["
        for item in items:
            text = json.dumps(item, indent=2, ensure_ascii=False, allow_nan=False)
            yield before + "\n  " + text.replace("\n", "\n  ")
            before = ","
        yield "[]" if before == "[" else "\n]"

    _end_with_the_reader()
    try:
        for part in parts():
            sys.stdout.write(part)
        print(flush=True)
    except OSError as error:
        _give_up(error)


def text(content: str) -> None:
    """Print a whole text, as it is, with a newline at its end; raises CrontifyError."""
    _end_with_the_reader()
    try:
        sys.stdout.write(content)
        if content and not content.endswith("\n"):
            sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError as error:
        _give_up(error)


def page(content: str) -> None:
    """Show a text to a person: through the pager as git does, or directly where there is none.

    `$CRONTIFY_PAGER`, else `$PAGER`, else `less`; an empty one or `cat` is none, and a dumb
    terminal has none. Without a `$LESS` of the user's it is FRX: leave at once what fits
    on the screen, let colours through, let it stand afterwards.
    """
    command = pager()
    if not (command and is_terminal() and _paged(command, content)):
        text(content)


def pager() -> str:
    """Return the pager's command line, empty where there is none."""
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return ""  # less would warn, and wait for a key
    for name in ("CRONTIFY_PAGER", "PAGER"):
        if (command := os.environ.get(name)) is not None:
            return "" if command.strip() in ("", "cat") else command
    return "less"


def _paged(command: str, content: str) -> bool:
    """Show `content` through the pager; False if that could not be run."""
    import subprocess

    words = ["sh", "-c", command] if any(c in _SHELL_WORDS for c in command) else [command]
    environ = {"LESS": "FRX", "LV": "-c", **os.environ}
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.flush()
    try:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, env=environ)
    except OSError:
        return False
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pager's
    try:
        process.communicate(content.encode(encoding, "replace"))
    finally:
        signal.signal(signal.SIGINT, before)
    return process.returncode not in (126, 127)  # sh(1): not executable, not found


def _end_with_the_reader() -> None:
    # As any program that writes to a pipe; Python would raise, and say so at its end.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        # A name from a command line need not be text in the terminal's encoding.
        sys.stdout.reconfigure(errors="backslashreplace")


def _give_up(error: OSError) -> None:
    # What is still in the buffer would be tried again at the interpreter's end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    raise CrontifyError(f"stdout: {error.strerror}") from None
