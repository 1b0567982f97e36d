"""Outcomes in the journal, put there as runs that ended leave them."""

import os
import time
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from crontify_cli.delivery.journal import Journal
from crontify_cli.model import Ending, Meta, Ping, Run

URL = "http://127.0.0.1:1"


def finish(
    state: Path,
    monitor: str,
    kind: Literal["success", "fail"],
    *,
    words: str | None = None,
    log: str | None = None,
    owner: str | None = None,
    url: str = URL,
    ended_at: float | None = None,
    journal: Journal | None = None,
    meta: Meta = MappingProxyType({}),
) -> int:
    """Write down the end of a run with its queued report; return the report's id."""
    ended_at = time.time() if ended_at is None else ended_at
    opened = journal or Journal.open(str(state))
    me = os.getpid(), 0
    run_id = os.urandom(6).hex()
    run = Run(run_id, monitor, monitor, url, ("true",), me, me, "boot", ended_at - 1)
    ping = Ping(monitor, kind, {"exit_code": 1, **meta}, words, log)
    report = opened.finish(run, Ending(kind, "as it was", 0, ended_at, 1.0), ping, owner)
    if not journal:
        opened.close()
    assert report
    return report


def queue(
    state: Path, monitor: str, *outcomes: str, owner: str | None = None, url: str = URL
) -> list[int]:
    """Queue reports: "success", or the message of a failure; return their ids."""
    return [
        finish(state, monitor, "success", owner=owner, url=url)
        if words == "success"
        else finish(state, monitor, "fail", words=words, owner=owner, url=url)
        for words in outcomes
    ]
