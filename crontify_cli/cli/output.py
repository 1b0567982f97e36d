"""What goes to the terminal: rich there, plain text in a pipe."""

import sys

from rich.console import Console


def console() -> Console:
    """Return the console for stdout; without colours where NO_COLOR or TERM=dumb ask for it."""
    return Console(highlight=False)


def is_terminal() -> bool:
    """Whether a person sees stdout; in a pipe lists are tab-separated and nothing is cut."""
    return sys.stdout.isatty()
