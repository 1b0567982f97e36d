"""The lines that `serve` shows while it runs.

A thread writes them: whoever holds up our stdout (a paused terminal, a parent that does
not read) must not hold up the answers.
"""

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from crontify_cli.sandbox.events import Refused, Taken
from crontify_cli.sandbox.identity import timestamp

if TYPE_CHECKING:
    from rich.text import Text

_PAUSE = 0.1  # seconds; lines appear in tenths of a second
_LINES_A_TURN = 20  # more than anyone reads, and rendering one costs as much as a ping
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
    """Write each event as a coloured line on stdout; of very many only the first few."""
    from rich.console import Console

    console = Console(highlight=False)
    for event in events[:_LINES_A_TURN]:
        console.print(
            _taken(event) if isinstance(event, Taken) else _refused(event), soft_wrap=True
        )
    if more := len(events[_LINES_A_TURN:]) + lost:
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


def plain(text: str) -> str:
    """Return `text` on one line and without what would steer the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def _taken(event: Taken) -> "Text":
    status = event.receipt.status
    words = [
        (f"{event.ping.kind:<8}", "bold"),
        (f"{status:<8}", _COLOURS[status]),
        *((f"{plain(name)}={number}", "dim") for name, number in event.ping.meta.items()),
    ]
    if event.ping.error_message:
        words.append((plain(event.ping.error_message), "red"))
    words += [
        (f"alert {alert.kind}: {plain(alert.message)}", "bold yellow")
        for alert in event.receipt.alerts
        if alert.kind != "failure"  # its message stands there already
    ]
    return _line(event, plain(event.ping.monitor_id), words)


def _refused(event: Refused) -> "Text":
    request = plain(f"{event.method} {event.path}")
    return _line(event, request, [(f"{event.status} {plain(event.message)}", "bold red")])


def _line(event: Taken | Refused, what: str, words: Iterable[tuple[str, str]]) -> "Text":
    from rich.text import Text

    clock = datetime.fromtimestamp(event.at / 1000).strftime("%H:%M:%S")
    line = Text.assemble((clock, "dim"), " ", f"{what:<20}")
    for word, style in words:
        line.append(" ").append(word, style)
    return line
