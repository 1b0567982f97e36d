"""The local copies of the logs: one masked file for each run, with a limited total size."""

import contextlib
import os
import stat

from crontify_cli.record import is_run_id
from crontify_cli.state import NEW, Folder

_FOLDER, _SUFFIX, _SCRATCH = "logs", ".log", ".log.new"


def write_log(state: str, run_id: str, text: str) -> None:
    """Write the log of a run atomically. Raises OSError."""
    scratch = f"{run_id}{_SCRATCH}"
    with Folder(state, _FOLDER, create=True) as logs:
        with contextlib.suppress(FileNotFoundError):
            logs.unlink(scratch)  # left by a process that was killed
        fd = logs.open(scratch, NEW)
        try:
            with open(fd, "w", encoding="utf-8", errors="replace", newline="") as file:
                file.write(text)
            logs.rename(scratch, f"{run_id}{_SUFFIX}")
        except OSError:
            with contextlib.suppress(OSError):
                logs.unlink(scratch)
            raise


def read_log(state: str, run_id: str) -> str | None:
    """Return the log of a run, or None if it does not exist or was removed. Raises OSError."""
    try:
        with Folder(state, _FOLDER) as logs:
            fd = logs.open(f"{run_id}{_SUFFIX}", os.O_RDONLY)
        with open(fd, encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None


def prune_logs(
    state: str,
    keep_bytes: int,
    keep_seconds: float,
    now: float,
    *,
    spared: frozenset[str] = frozenset(),
) -> None:
    """Remove logs older than `keep_seconds`, and the oldest beyond `keep_bytes` in total.

    spared: the ids of runs whose logs are never too old.
    """
    try:
        logs = Folder(state, _FOLDER)
    except OSError:
        return
    with logs:
        facts = []
        for name in os.listdir(logs.fd):
            run = name.removesuffix(_SCRATCH).removesuffix(_SUFFIX)
            if run != name and is_run_id(run) and (status := logs.stat(name)):
                facts.append((status, name, run))
        facts.sort(key=lambda fact: fact[0].st_mtime, reverse=True)
        kept = 0
        for status, name, run in facts:
            kept += status.st_size if stat.S_ISREG(status.st_mode) else 0
            is_old = now - status.st_mtime > keep_seconds and run not in spared
            if kept > keep_bytes or is_old:
                with contextlib.suppress(OSError):
                    logs.unlink(name)
