"""The event stream: whose pings it carries, what it drops, and that it ends with the server."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from crontify_cli.model import Ping
from crontify_cli.sandbox.events import EventHub
from crontify_cli.sandbox.records import AcceptedPing, Account, PingResult
from tests.sandbox.receivers import receiving, refuse
from tests.sandbox.server import Server, serving


@contextmanager
def stream(server: Server, token: str = "") -> Iterator[Iterator[str]]:
    """Follow the events; the lines begin once the server has registered the stream."""
    headers = {"Authorization": f"Bearer {token or server.token}"}
    with server.http.stream("GET", "/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == ": connected"
        yield lines


def following(lines: Iterator[str], count: int, *monitors: str) -> list[dict[str, Any]]:
    """Return that many events of the monitors, as soon as they are there.

    Others are passed over: an alert of an earlier test may still be delivered meanwhile.
    """
    found: list[dict[str, Any]] = []
    while len(found) < count:
        line = next(lines)
        if line.startswith("data: "):
            event = json.loads(line.removeprefix("data: "))
            if event["monitor"] in monitors:
                found.append(event)
    return found


def test_each_ping_arrives_as_serve_prints_it(tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db") as server:
        monitor = server.monitor()
        server.rule(monitor, "rows", "lt", "10")
        with stream(server) as lines:
            server.send(monitor, "start")
            server.send(monitor, "success", {"meta": {"rows": 3}})
            server.send(monitor, "fail", {"errorMessage": "disk\nfull", "logOutput": "secret"})
            events = following(lines, 3, monitor)
        assert server.process.stdout
        assert events == [json.loads(server.process.stdout.readline()) for _ in events]
    assert [event["kind"] for event in events] == ["start", "success", "fail"]
    assert [alert["kind"] for alert in events[1]["alerts"]] == ["silent_failure"]


def test_each_attempt_to_deliver_an_alert_arrives(server: Server) -> None:
    monitor = server.monitor()
    with receiving(refuse(503)) as receiver, stream(server) as lines:
        channel = server.command("channel", "add", monitor, receiver.url).split()[1]
        server.send(monitor, "fail")
        _, refused, accepted = following(lines, 3, monitor)
    (alert,) = server.alerts(monitor)
    for event in (refused, accepted):
        assert event.pop("timestamp")
        assert event.pop("event") == "delivery"
        assert (event.pop("monitor"), event.pop("channel")) == (monitor, channel)
        assert event.pop("alert") == alert["id"]
    assert refused == {"status": "pending", "error": "HTTP 503"}
    assert accepted == {"status": "delivered", "error": None}


def test_a_stream_carries_only_pings_of_the_token_s_account(server: Server) -> None:
    key = server.command("key", "rotate", "--account", "other")
    theirs, ours = server.monitor("other"), server.monitor()
    with stream(server) as lines:
        assert server.ping(theirs, "fail", headers={"X-API-Key": key}).status_code == 200
        assert server.ping(theirs, "fail").status_code == 404  # a refusal is nobody's event
        run = server.send(ours, "start")
        assert [event["runId"] for event in following(lines, 1, theirs, ours)] == [run]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_a_stream_requires_a_user_token(server: Server, headers: dict[str, str]) -> None:
    assert server.http.get("/events", headers=headers).status_code == 401


def test_open_streams_end_in_order_when_the_server_stops(tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db") as server, stream(server) as lines:
        server.process.terminate()
        # Cut off instead of ended, the answer would be incomplete: an error of httpx.
        assert list(lines) == [""]
        assert server.process.wait(timeout=60) == 0


def _accepted(number: int) -> AcceptedPing:
    return AcceptedPing(0, 1, Ping("backup", "start"), PingResult(f"run{number}", "running", []))


def test_a_client_that_falls_behind_gets_the_newest_events_and_a_count() -> None:
    async def read() -> str:
        hub = EventHub()
        events = hub.stream(Account(1, "default", 0))
        await anext(events)
        for number in range(60):
            hub.publish(_accepted(number))
        batch = await anext(events)
        hub.close()
        return batch

    lines = [line for line in asyncio.run(read()).split("\n\n") if line]
    first, *others = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert first == {"event": "lost", "count": 10}
    assert [event["runId"] for event in others] == [f"run{number}" for number in range(10, 60)]
