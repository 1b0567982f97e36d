"""Keeps a ping in a record while it can be neither composed nor sent, as `exec` keeps its run.

The monitor's id, its server and what to mask in the report are in settings that cannot be read
for now. Whoever can read them later makes the report from the record (`delivery/recovery.py`).
"""

import os
from contextlib import suppress
from typing import Literal

from crontify_cli.delivery.journal import Journal, JournalError
from crontify_cli.errors import CrontifyError, in_words
from crontify_cli.job.recorder import Recorder
from crontify_cli.model import Meta, new_run
from crontify_cli.report.compose import Output
from crontify_cli.report.secrets import secret_values
from crontify_cli.state import open_file, state_dir


def keep_ping(
    monitor: str, kind: Literal["success", "fail"], message: str, meta: Meta, log: Output | None
) -> None:
    """Write an outcome of `monitor` and its log to disk, durably; raises CrontifyError."""
    command = ("crontify", "ping", kind, monitor)
    recorder = Recorder(monitor, command, no_log=False)
    recorder.begin(0)
    recorder.note_secrets(secret_values(os.environ))
    if log:
        recorder.write(log.head)
        recorder.skip(log.dropped)
        recorder.write(log.tail)
    recorder.note_ping(kind == "success", message or f"reported by crontify ping {kind}")
    problem = recorder.problem or _write_numbers(meta, recorder.meta_path)
    if not problem and not recorder.keep():
        problem = recorder.problem or "its record cannot be written"
    if problem:
        recorder.discard()
        raise CrontifyError(f"the ping can be neither sent nor queued: {problem}")
    with suppress(JournalError):  # for `crontify runs`
        Journal.open(state_dir()).begin(new_run(recorder.run, monitor, command))


def _write_numbers(meta: Meta, path: str | None) -> str:
    """Write numbers where a job would; return what hinders that, "" for nothing."""
    if not (meta and path):
        return ""
    try:
        with open(open_file(path, os.O_WRONLY), "w") as file:
            file.writelines(f"{name}={number!r}\n" for name, number in meta.items())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return in_words(error)
    return ""
