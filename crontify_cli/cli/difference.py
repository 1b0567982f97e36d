"""Shows the difference between two texts as a unified diff, as `diff -u` does."""

import difflib

from crontify_cli.cli import output
from crontify_cli.errors import one_line

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def show(before: str, after: str, label: str) -> None:
    """Print what changes; label: what the text is called."""
    diff = difflib.unified_diff(_lines(before), _lines(after), label, f"{label} (new)", lineterm="")
    found = [line for entry in diff for line in entry.split("\n")]
    if not output.is_terminal():
        print("\n".join(found))
        return
    from rich.text import Text

    console = output.console()
    for line in found:
        style = "bold" if line.startswith(("+++", "---")) else _COLOURS.get(line[:1], "")
        console.print(Text(one_line(line.expandtabs()), style), soft_wrap=True)


def _lines(text: str) -> list[str]:
    """Return the lines, the last one with diff's own remark if it has no newline."""
    lines = text.split("\n")
    if lines[-1]:
        return [*lines[:-1], f"{lines[-1]}\n\\ No newline at end of file"]
    return lines[:-1]
