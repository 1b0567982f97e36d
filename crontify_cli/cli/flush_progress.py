"""The progress bar of `crontify flush` and `queue retry` on a terminal."""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator

Update = Callable[[int, float | None], None]
"""Shows how many reports are settled, and until when we wait, by `time.monotonic()`."""


@contextlib.contextmanager
def progress(total: int, *, quiet: bool) -> Iterator[Update]:
    """Show a bar for `total` reports on stderr while the block runs; nothing in a pipe."""
    if quiet or not total or not os.isatty(2):
        yield lambda _settled, _until: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(_words(None), total=total)

        def update(settled: int, until: float | None) -> None:
            bar.update(task, completed=min(settled, total), description=_words(until))

        yield update


def _words(until: float | None) -> str:
    if until is None:
        return "delivering"
    seconds = max(0, math.ceil(until - time.monotonic()))
    return f"waiting {seconds} s, as the server asks (Ctrl-C leaves the rest queued)"
