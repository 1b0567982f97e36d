"""The events that `serve` prints while it runs.

A thread prints them: if nobody reads our stdout (a paused terminal, a parent that does
not read its pipe), requests must still be answered.
"""

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from crontify_cli.errors import one_line
from crontify_cli.model import Meta
from crontify_cli.sandbox.identity import timestamp
from crontify_cli.sandbox.records import AlertDraft, Attempt, Detection, Event, RefusedRequest

if TYPE_CHECKING:
    from rich.text import Text

_INTERVAL = 0.1  # seconds between two batches
_MAX_LINES = 20  # events shown per batch: nobody reads more, and one costs as much as a ping
_MAX_QUEUED = 2_000
_COLOURS = {
    "running": "cyan",
    "success": "green",
    "failed": "bold red",
    "overlapped": "yellow",
    "missed": "bold red",
    "hung": "bold red",
}
_EXEC_META = (
    *("exit_code", "duration_ms", "user_cpu_ms", "system_cpu_ms", "max_rss_kb", "output_bytes"),
    "late_seconds",
)
"""What `crontify exec` adds to every report; shown after the job's own numbers."""

Write = Callable[[Sequence[Event], int], None]
"""Writes a batch of events, and how many more were dropped."""


class EventPrinter:
    """Queues events from the event loop and writes them in a thread of its own."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._events: deque[Event] = deque()
        self._dropped = 0
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)
        self._thread.start()

    def show(self, event: Event) -> None:
        """Queue the event to be written soon; never blocks."""
        if len(self._events) >= _MAX_QUEUED:
            self._dropped += 1
            return
        self._events.append(event)
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Write the events that are left, unless stdout is blocked."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout=1)

    def _run(self) -> None:
        while not self._closing or self._events:
            self._wake.wait()
            self._wake.clear()
            events = [self._events.popleft() for _ in range(len(self._events))]
            dropped, self._dropped = self._dropped, 0
            if not events:
                continue
            try:
                self._write(events, dropped)
            except OSError:  # the reader has gone; the sandbox keeps serving
                return
            if not self._closing:
                time.sleep(_INTERVAL)


def write_json(events: Sequence[Event], dropped: int) -> None:
    """Write each event as a line of JSON on stdout, and `{"event": "lost", "count": n}`."""
    lines = [json.dumps(as_json(event)) for event in events]
    if dropped:
        lines.append(json.dumps({"event": "lost", "count": dropped}))
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def as_json(event: Event | Attempt) -> dict[str, object]:
    """Return the event's JSON object, documented in docs/output.md."""
    if isinstance(event, Attempt):
        return {
            "event": "delivery",
            "timestamp": timestamp(event.at),
            "monitor": event.monitor_id,
            "channel": event.channel_id,
            "alert": event.alert_id,
            "status": event.status,
            "error": event.error,
        }
    if isinstance(event, RefusedRequest):
        return {
            "event": "refused",
            "timestamp": timestamp(event.at),
            "request": f"{event.method} {event.path}",
            "http": event.status,
            "message": event.message,
        }
    if isinstance(event, Detection):
        return {
            "event": "detected",
            "timestamp": timestamp(event.at),
            "monitor": event.monitor_id,
            "runId": event.run_id,
            "status": event.status,
            "alerts": _alerts(event.alerts),
        }
    return {
        "event": "ping",
        "timestamp": timestamp(event.at),
        "monitor": event.ping.monitor_id,
        "kind": event.ping.kind,
        "runId": event.result.run_id,
        "status": event.result.status,
        "meta": dict(event.ping.meta),
        "errorMessage": event.ping.error_message,
        "alerts": _alerts(event.result.alerts),
    }


def _alerts(alerts: Iterable[AlertDraft]) -> Sequence[object]:
    return [{"kind": alert.kind, "message": alert.message} for alert in alerts]


def write_lines(events: Sequence[Event], dropped: int) -> None:
    """Write each event as a coloured line on stdout; of a large batch only the first ones.

    On a terminal the meta is cut off at the edge of the window, so that a ping takes one
    line. Error messages are never cut off. An alert has its own line.
    """
    from rich.console import Console

    # As in crontify's other commands: https://no-color.org, and bold is an escape, too.
    colourless = os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown")
    console = Console(highlight=False, color_system=None if colourless else "auto")
    width = console.width if console.is_terminal else None
    for event in events[:_MAX_LINES]:
        for line in _lines(event, width):
            console.print(line, soft_wrap=True)
    if more := len(events[_MAX_LINES:]) + dropped:
        console.print(f"… and {more} more", style="dim", soft_wrap=True)


def _lines(event: Event, width: int | None) -> "list[Text]":
    if isinstance(event, RefusedRequest):
        line = _line(event, event.path, event.method, "bold")
        return [line.append(f" {event.status} {one_line(event.message)}", "bold red")]
    if isinstance(event, Detection):
        line = _line(event, event.monitor_id, event.status, _COLOURS[event.status])
        return [line, *_alert_lines(event, event.monitor_id, event.alerts)]
    monitor, status = event.ping.monitor_id, event.result.status
    line = _line(event, monitor, event.ping.kind, "bold")
    line.append(f" {status:<10}", _COLOURS[status])
    if event.ping.error_message:
        line.append(f" {one_line(event.ping.error_message)}", "red")
    for pair in pairs(event.ping.meta):
        if width and line.cell_len + len(pair) + len("  …") > width:
            line.append(" …", "dim")
            break
        line.append(f" {pair}", "dim")
    # The message of a failure is the same as the ping's.
    alerts = [alert for alert in event.result.alerts if alert.kind != "failure"]
    return [line, *_alert_lines(event, monitor, alerts)]


def _alert_lines(event: Event, monitor: str, alerts: Iterable[AlertDraft]) -> "Iterator[Text]":
    for alert in alerts:
        words = f" {alert.kind}: {one_line(alert.message)}"
        yield _line(event, monitor, "alert", "bold yellow").append(words, "yellow")


def _line(event: Event, what: str, kind: str, style: str) -> "Text":
    from rich.text import Text

    clock = datetime.fromtimestamp(event.at / 1000).strftime("%H:%M:%S")
    return Text.assemble((clock, "dim"), f" {one_line(what):<16} ", (f"{kind:<7}", style))


def pairs(meta: Meta) -> Sequence[str]:
    """Return `name=number` for each number, the job's own before those that exec adds."""
    ordered = sorted(meta.items(), key=lambda item: item[0] in _EXEC_META)
    return [f"{one_line(name)}={number}" for name, number in ordered]
