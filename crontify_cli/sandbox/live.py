"""The lines that `serve` shows while it runs.

A thread writes them: whoever holds up our stdout (a paused terminal, a parent that does
not read) must not hold up the answers.
"""

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from crontify_cli.model import Meta
from crontify_cli.sandbox.identity import timestamp
from crontify_cli.sandbox.records import AlertDraft, Refused, Taken

if TYPE_CHECKING:
    from rich.text import Text


_PAUSE = 0.1  # seconds; lines appear in tenths of a second
_EVENTS_A_TURN = 20  # more than anyone reads, and rendering one costs as much as a ping
_KEPT = 2_000
_COLOURS = {"running": "cyan", "success": "green", "failed": "bold red", "overlapped": "yellow"}

Write = Callable[[Sequence[Taken | Refused], int], None]
"""Writes the events of one turn, and how many more there were."""


class Live:
    """Takes events from the event loop and has them written by a thread of its own."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._events: deque[Taken | Refused] = deque()
        self._lost = 0
        self._woken = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)
        self._thread.start()

    def show(self, event: Taken | Refused) -> None:
        """Have the event shown soon; never waits."""
        if len(self._events) >= _KEPT:
            self._lost += 1
            return
        self._events.append(event)
        if not self._woken.is_set():
            self._woken.set()

    def close(self) -> None:
        """Show what is left, unless stdout is held up."""
        self._ending = True
        self._woken.set()
        self._thread.join(timeout=1)

    def _run(self) -> None:
        while not self._ending or self._events:
            self._woken.wait()
            self._woken.clear()
            events = [self._events.popleft() for _ in range(len(self._events))]
            lost, self._lost = self._lost, 0
            if not events:
                continue
            try:
                self._write(events, lost)
            except OSError:  # nobody reads any more; the sandbox goes on
                return
            if not self._ending:
                time.sleep(_PAUSE)


def write_json(events: Sequence[Taken | Refused], lost: int) -> None:
    """Write each event as a line of JSON on stdout, and `{"event": "lost", "count": n}`."""
    lines = [json.dumps(as_json(event)) for event in events]
    if lost:
        lines.append(json.dumps({"event": "lost", "count": lost}))
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def write_lines(events: Sequence[Taken | Refused], lost: int) -> None:
    """Write each event as a coloured line on stdout; of very many only the first few.

    On a terminal the meta is cut at the window's edge, so that a ping is one line; what is
    wrong is never cut. An alert has a line of its own.
    """
    from rich.console import Console

    # As in crontify's other commands: https://no-color.org, and bold is an escape too.
    colourless = os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown")
    console = Console(highlight=False, color_system=None if colourless else "auto")
    width = console.width if console.is_terminal else None
    for event in events[:_EVENTS_A_TURN]:
        if isinstance(event, Refused):
            console.print(_refused(event), soft_wrap=True)
            continue
        console.print(_taken(event, width), soft_wrap=True)
        for alert in event.receipt.alerts:
            if alert.kind != "failure":  # its message is the ping's
                console.print(_alert(event, alert), soft_wrap=True)
    if more := len(events[_EVENTS_A_TURN:]) + lost:
        console.print(f"… and {more} more", style="dim", soft_wrap=True)


def as_json(event: Taken | Refused) -> dict[str, object]:
    """Return the event as machines read it."""
    if isinstance(event, Refused):
        return {
            "event": "refused",
            "timestamp": timestamp(event.at),
            "request": f"{event.method} {event.path}",
            "http": event.status,
            "message": event.message,
        }
    return {
        "event": "ping",
        "timestamp": timestamp(event.at),
        "monitor": event.ping.monitor_id,
        "kind": event.ping.kind,
        "runId": event.receipt.run_id,
        "status": event.receipt.status,
        "meta": dict(event.ping.meta),
        "errorMessage": event.ping.error_message,
        "alerts": [
            {"kind": alert.kind, "message": alert.message} for alert in event.receipt.alerts
        ],
    }


def _taken(event: Taken, width: int | None) -> "Text":
    status = event.receipt.status
    line = _line(event, plain(event.ping.monitor_id), event.ping.kind, "bold")
    line.append(f" {status:<10}", _COLOURS[status])
    if event.ping.error_message:
        line.append(f" {plain(event.ping.error_message)}", "red")
    for pair in pairs(event.ping.meta):
        if width and line.cell_len + len(pair) + len("  …") > width:
            line.append(" …", "dim")
            break
        line.append(f" {pair}", "dim")
    return line


def _alert(event: Taken, alert: AlertDraft) -> "Text":
    line = _line(event, plain(event.ping.monitor_id), "alert", "bold yellow")
    return line.append(f" {alert.kind}: {plain(alert.message)}", "yellow")


def _refused(event: Refused) -> "Text":
    line = _line(event, plain(event.path), event.method, "bold")
    return line.append(f" {event.status} {plain(event.message)}", "bold red")


def _line(event: Taken | Refused, what: str, kind: str, style: str) -> "Text":
    from rich.text import Text

    clock = datetime.fromtimestamp(event.at / 1000).strftime("%H:%M:%S")
    return Text.assemble((clock, "dim"), f" {what:<16} ", (f"{kind:<7}", style))


_OF_EXEC = (
    *("exit_code", "duration_ms", "user_cpu_ms", "system_cpu_ms", "max_rss_kb", "output_bytes"),
    "late_seconds",
)
"""What `crontify exec` adds to every report: the last that anyone looks for."""


def plain(text: str) -> str:
    """Return `text` on one line and without what would steer the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def pairs(meta: Meta) -> Sequence[str]:
    """Return `name=number` of each, the job's own numbers before those that exec adds."""
    ordered = sorted(meta.items(), key=lambda item: item[0] in _OF_EXEC)
    return [f"{plain(name)}={number}" for name, number in ordered]
