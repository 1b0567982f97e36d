"""The random wait before a job (`--jitter`), so that many hosts do not all begin at once."""

import os
import time

from crontify_cli.errors import say
from crontify_cli.job.process import STOP_REQUESTS, Interrupted, Process
from crontify_cli.processes import system_machine_id
from crontify_cli.values import format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from crontify_cli.job.options import ExecOptions


def await_jitter(options: "ExecOptions", process: Process) -> None:
    """Wait as long as the options say; raises Interrupted if we are asked to stop."""
    longest = options.jitter or 0.0
    pause = longest * (_share_of_host(options.monitor) if options.jitter_fixed else _random_share())
    if options.verbose or os.isatty(2):
        say(f"{options.monitor}: waiting {format_duration(pause)} before the job (--jitter)")
    process.waiting = True
    try:
        if asked := [number for number in process.received_signals if number in STOP_REQUESTS]:
            raise Interrupted(asked[-1])  # it came before we began to wait
        time.sleep(pause)
    finally:
        process.waiting = False


def _random_share() -> float:
    return _share(os.urandom(8))


def _share_of_host(monitor: str) -> float:
    """Return a number from 0 to 1 that is always the same for this host and monitor."""
    import hashlib

    # Not an id that the first run makes in the state directory: it was missing before that run.
    host = system_machine_id() or os.uname().nodename
    return _share(hashlib.sha256(f"{host} {monitor}".encode()).digest()[:8])


def _share(data: bytes) -> float:
    return int.from_bytes(data, "little") / 2**64
