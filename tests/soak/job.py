"""The job of the soak's monitors; each run writes into a ledger how it began and how it ended.

    python -S job.py KIND LEDGER

Run by cron through `crontify exec`. LEDGER is the monitor's file. The size of the output names
the run: the server sees it as `output_bytes`, and it is not a number of the job's own.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from typing import NoReturn

LINE = 128
"""Bytes of each line of a ledger, so that a line's place in it is its number."""
SIZES = {"big": 50_000_000}
SMALL = 4096
"""Bytes of output of the run with number 0; the next ones have a byte more each."""
LASTS = {"forty": 40.0, "hundred": 100.0, "timeout": 30.0, "short": 3.0}
"""Seconds that jobs last."""
CODES = {"traceback": 1, "fails": 3, "counts": 22, "timeout": 124}
EVERY_OTHER = {"mail": 4, "tolerated": 3}
"""The exit codes of jobs that fail every other minute."""


def size_of(kind: str, number: int) -> int:
    """Return how many bytes the run prints whose beginning is line `number` of the ledger."""
    return SIZES.get(kind, SMALL) + number


def planned_code(kind: str) -> int:
    """Return the exit code that `crontify exec` should end with, if nothing is killed."""
    if kind == "signal":
        return 128 + signal.SIGTERM
    if kind in EVERY_OTHER:
        return EVERY_OTHER[kind] * (round(time.time()) // 60 % 2)
    return CODES.get(kind, 0)


def note(ledger: int, **values: object) -> int:
    """Append a line to the ledger; return its number."""
    line = json.dumps({"run": os.environ["CRONTIFY_RUN"], **values})
    os.write(ledger, f"{line:{LINE - 1}}\n".encode())
    return os.lseek(ledger, 0, os.SEEK_CUR) // LINE - 1


def output(kind: str, size: int) -> bytes:
    """Return what the run prints."""
    if kind == "binary":
        return os.urandom(size)
    text = f"run {os.environ['CRONTIFY_RUN']}\n"
    if kind == "traceback":
        try:
            raise ValueError("no such customer")
        except ValueError:
            text += traceback.format_exc()
    return b"." * (size - len(text) - 1) + b"\n" + text.encode()


def act(kind: str, size: int) -> None:
    """Do what is special about a kind of job."""
    if kind == "orphan" and os.fork() == 0:  # a daemon that keeps our output open
        os.setsid()
        time.sleep(20)
        os._exit(0)
    if kind == "numbers":
        # On a full disk the variable is missing, or the file takes nothing.
        with contextlib.suppress(KeyError, OSError), open(os.environ["CRONTIFY_META"], "a") as meta:
            meta.write(f"files={size}\n")
    if kind == "tidies":
        for name in os.listdir(os.environ["TMPDIR"]):
            path = os.path.join(os.environ["TMPDIR"], name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def main(kind: str, path: str) -> NoReturn:
    """Run the job."""
    ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    code = planned_code(kind)
    size = size_of(kind, note(ledger, begun=time.time(), planned=code))
    sys.stdout.buffer.write(output(kind, size))
    sys.stdout.flush()
    act(kind, size)
    time.sleep(LASTS.get(kind, 0.0))
    note(ledger, ended=time.time(), code=code)
    if kind == "signal":
        os.kill(os.getpid(), signal.SIGTERM)
    sys.exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
