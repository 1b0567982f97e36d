"""A program on a terminal of a given size: what a person would see of it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.programs import PROGRAM
from tests.terminal import Terminal


def screen(
    args: Sequence[str], columns: int = 80, env: Mapping[str, str] = {}, cwd: Path | None = None
) -> str:
    """Return everything that `crontify ARGS` writes on a terminal, line ends as in a file."""
    environ = {"TERM": "xterm-256color", "CRONTIFY_PAGER": "cat"}
    environ = {**os.environ, **environ, **env}
    environ.pop("COLUMNS", None)
    with Terminal(columns) as terminal:
        process = terminal.start([*PROGRAM, *args], env=environ, cwd=cwd)
        shown = terminal.read_to_end()
        process.wait(60)
        return shown
