"""Many pings at once: what was answered 200 is there, and after a SIGKILL in the middle too."""

import http.client
import itertools
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from crontify_cli.sandbox.database import open_database
from tests.sandbox.server import Server, serving
from tests.waiting import until

CONNECTIONS = 8
KINDS = ("start", "success", "start", "fail")


class Answered(NamedTuple):
    """A ping that was answered 200."""

    run_id: str
    status: str
    number: int


def _ping(server: Server, monitor: str, answered: list[Answered], stop: threading.Event) -> None:
    """Ping over one connection until told to stop or cut off, and keep every 200."""
    url = urlsplit(server.url)
    assert url.hostname
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    headers = {"X-API-Key": server.api_key, "Content-Type": "application/json"}
    for number in itertools.count():
        kind = KINDS[number % len(KINDS)]
        body = {"meta": {"number": number}}
        if kind == "fail":
            body |= {"logOutput": f"log {number}"}  # type: ignore[dict-item]
        if stop.is_set():
            return
        try:
            connection.request(
                "POST", f"{url.path}/ping/{monitor}/{kind}", json.dumps(body), headers
            )
            answer = connection.getresponse()
            data = json.loads(answer.read())["data"]
        except (OSError, http.client.HTTPException, ValueError):
            return  # the server is gone
        if answer.status == 200:
            answered.append(Answered(data["runId"], data["status"], number))


def _check(db: Path, answered: Sequence[Answered]) -> None:
    """Hold the database to the answers: each run, its status, its number, its log, its alert."""
    with open_database(db, create=False) as connection:
        kept = {
            row[0]: row[1:]
            for row in connection.execute(
                "SELECT r.id, r.status, r.meta, l.content, a.kind FROM runs r"
                " LEFT JOIN logs l ON l.run = r.row LEFT JOIN alerts a ON a.run = r.row"
            )
        }
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    for run_id, status, number in answered:
        now, meta, log, alert = kept[run_id]
        if status == "running":
            continue  # its end may have come, answered or not
        assert now == status
        assert json.loads(meta) == {"number": number}
        if status == "failed":
            assert (log, alert) == (f"log {number}", "failure")


def _load(server: Server, enough: int, *, kill: bool) -> list[Answered]:
    """Return what was answered until there is enough; then stop, or kill the server."""
    monitors = [server.monitor() for _ in range(CONNECTIONS)]
    answers: list[list[Answered]] = [[] for _ in monitors]
    stop = threading.Event()
    threads = [
        threading.Thread(target=_ping, args=(server, monitor, answered, stop))
        for monitor, answered in zip(monitors, answers, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        until(lambda: sum(map(len, answers)) >= enough, f"{enough} answers")
        if kill:
            server.process.kill()
    finally:
        if not kill:
            stop.set()
        for thread in threads:
            thread.join(timeout=60)
        stop.set()
    return list(itertools.chain(*answers))


def test_what_was_answered_is_there_after_a_sigkill_in_the_middle_of_the_load(
    tmp_path: Path,
) -> None:
    db = tmp_path / "sandbox.db"
    with serving(db) as server:
        answered = _load(server, 500, kill=True)
        assert server.process.wait(timeout=60) == -9
    with serving(db) as again:
        _check(db, answered)
        monitor = again.monitor()  # and it goes on as if nothing had been
        key = {"X-API-Key": server.api_key}
        assert again.ping(monitor, "success", headers=key).status_code == 200
        last = max(answered, key=lambda ping: ping.number)
        found = json.loads(again.command("runs", "--limit", "100000", "--json"))
        assert last.run_id in {run["id"] for run in found}


def _resident(pid: int) -> int:
    """Return the memory that a process has in use, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


@contextmanager
def _unread_event_stream(server: Server) -> Iterator[socket.socket]:
    """Follow the events, as the page does, but read nothing of them."""
    url = urlsplit(server.url)
    assert url.port
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", url.port))
        request = f"GET {url.path}/events HTTP/1.1\r\nHost: {url.netloc}\r\n"
        client.sendall(f"{request}Authorization: Bearer {server.token}\r\n\r\n".encode())
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        yield client


def test_under_load_each_ping_is_recorded_as_answered_and_memory_is_flat(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "sandbox.db") as server,
        _unread_event_stream(server),
        _unread_event_stream(server) as page,
    ):
        answered = _load(server, 300, kill=False)
        early = _resident(server.process.pid)
        answered += _load(server, 900, kill=False)
        assert _resident(server.process.pid) - early < 8 * 1024
        # A client that begins to read only now still gets the newest event.
        last = server.send(server.monitor(), "start")
        received = b""
        while last.encode() not in received:
            chunk = page.recv(65536)
            assert chunk
            received += chunk
        ended = [ping.run_id for ping in answered if ping.status != "running"]
        assert len(set(ended)) == len(ended)
        _check(server.db, answered)
