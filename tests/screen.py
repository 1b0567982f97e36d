"""A program on a terminal of a given size: what a person would see of it."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

PROGRAM = [sys.executable, "-m", "crontify_cli"]


def screen(
    args: Sequence[str], columns: int = 80, env: Mapping[str, str] = {}, cwd: Path | None = None
) -> str:
    """Return everything that `crontify ARGS` writes on a terminal, line ends as in a file."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environ = {"TERM": "xterm-256color", "CRONTIFY_PAGER": "cat"}
    environ = {**os.environ, **environ, **env}
    environ.pop("COLUMNS", None)
    process = subprocess.Popen(
        [*PROGRAM, *args], stdin=theirs, stdout=theirs, stderr=theirs, env=environ, cwd=cwd
    )
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:  # EIO: the last end of the terminal was closed
        pass
    process.wait(20)
    os.close(ours)
    return b"".join(parts).decode().replace("\r\n", "\n")
