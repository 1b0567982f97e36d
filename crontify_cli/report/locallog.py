"""The local copies of the logs: one masked file for each run, with a limited total size."""

import contextlib
import os
import stat


def log_path(state: str, run_id: str) -> str:
    """Return the path of a run's log in the state directory `state`."""
    return os.path.join(state, "logs", f"{run_id}.log")


def write_log(state: str, run_id: str, text: str) -> None:
    """Write the log of a run atomically. Raises OSError."""
    path = log_path(state, run_id)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    scratch = f"{path}.new"
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "w", encoding="utf-8", errors="replace", newline="") as file:
            file.write(text)
        os.rename(scratch, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(scratch)
        raise


def read_log(state: str, run_id: str) -> str | None:
    """Return the log of a run, or None if it does not exist or was removed. Raises OSError."""
    try:
        with open(log_path(state, run_id), encoding="utf-8", newline="") as file:
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
    kept, entries = 0, []
    with contextlib.suppress(OSError):
        entries = list(os.scandir(os.path.join(state, "logs")))
    facts = []
    for entry in entries:
        with contextlib.suppress(OSError):
            facts.append((entry.stat(follow_symlinks=False), entry.path))
    facts.sort(key=lambda fact: fact[0].st_mtime, reverse=True)
    for status, path in facts:
        kept += status.st_size if stat.S_ISREG(status.st_mode) else 0
        run = os.path.basename(path).removesuffix(".log")
        is_old = now - status.st_mtime > keep_seconds and run not in spared
        if kept > keep_bytes or is_old:
            with contextlib.suppress(OSError):
                os.unlink(path)
