"""Compare the pings per second of the sandbox with a FastAPI hello world.

    python benchmarks/sandbox_load.py [--seconds 20] [--connections 50]

The same load is put on the hello world, on the sandbox, and again on the sandbox, which is
killed by SIGKILL in the middle. Exit 1 if the sandbox answers less than 0.4 of the hello
world's requests, if a ping that was answered with 200 is not in the database, or if the
memory of the sandbox grows.
"""

import argparse
import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from crontify_cli.sandbox.database import open_database
from crontify_cli.sandbox.store import Store

HELLO = """
import socket, uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.post("/hello")
async def hello() -> dict[str, str]:
    return {"hello": "world"}
listener = socket.socket(proto=socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY on such
listener.bind(("127.0.0.1", 0))
listener.listen(2048)
print("http://127.0.0.1:%d" % listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
uvicorn.Server(config).run(sockets=[listener])
"""
BAR = 0.4
GROWTH = 16 * 1024  # KiB that the sandbox may grow after its first quarter


class Load(NamedTuple):
    """The result of a load: its duration, and run id and status of each 200 answer."""

    seconds: float
    answers: list[tuple[str, str]]


class Target(NamedTuple):
    """A server under load. `request(connection, turn)` returns the bytes to send."""

    pid: int
    url: str
    request: Callable[[int, int], bytes]


def post(path: str, headers: str = "", body: str = "") -> bytes:
    """Return the bytes of a keep-alive request."""
    kind = "Content-Type: application/json\r\n" if body else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}{kind}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def drive(target: Target, connections: int, seconds: float) -> Load:
    """Send requests over each connection, one after another, until the time is up.

    A connection that breaks is not replaced. Only answered requests count.
    """
    host, port = urlsplit(target.url).hostname, urlsplit(target.url).port
    answers: list[tuple[str, str]] = []
    began = time.monotonic()
    end = began + seconds

    async def share(number: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        turn = 0
        try:
            while time.monotonic() < end:
                writer.write(target.request(number, turn))
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(size)
                if not head.startswith(b"HTTP/1.1 200"):
                    raise SystemExit(f"refused: {head.decode()}{body.decode()}")
                answers.append(_run_of(body))
                turn += 1
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    await asyncio.gather(*map(share, range(connections)))
    return Load(time.monotonic() - began, answers)


def _run_of(body: bytes) -> tuple[str, str]:
    data = json.loads(body).get("data", {})
    return data.get("runId", ""), data.get("status", "")


@contextmanager
def hello_world() -> Iterator[Target]:
    """Yield a running hello world."""
    request = post("/hello")
    with subprocess.Popen([sys.executable, "-c", HELLO], stdout=subprocess.PIPE) as server:
        assert server.stdout
        url = server.stdout.readline().decode().strip()
        try:
            yield Target(server.pid, url, lambda connection, turn: request)
        finally:
            server.terminate()


@contextmanager
def sandbox(db: Path, connections: int) -> Iterator[Target]:
    """Yield a running sandbox, with a monitor for each connection."""
    with open_database(db, create=True) as connection:
        store = Store(connection)
        account = store.get_or_create_account("default")
        key = store.rotate_key(account)
        for number in range(connections):
            store.add_monitor(account, f"m{number}")
    serve = [sys.executable, "-m", "crontify_cli", "sandbox", "serve", "--port", "0", "--json"]
    serve += ["--db", str(db)]
    with subprocess.Popen(serve, stdout=subprocess.PIPE) as server:
        assert server.stdout
        ready = json.loads(server.stdout.readline())
        path = urlsplit(ready["url"]).path
        # Its other lines are not read: a full pipe must not block it.
        header = f"X-API-Key: {key}\r\n"
        body = '{"meta": {"rows_processed": 1523, "emails_sent": 48}}'

        def request(connection: int, turn: int) -> bytes:
            kind = "success" if turn % 2 else "start"
            return post(
                f"{path}/ping/m{connection}/{kind}", header, body if kind == "success" else ""
            )

        try:
            yield Target(server.pid, ready["url"], request)
        finally:
            server.terminate()


def missing(db: Path, answers: list[tuple[str, str]]) -> int:
    """Return the number of answered pings that the database lacks or has with another status."""
    with sqlite3.connect(db) as connection:
        kept = dict(connection.execute("SELECT id, status FROM runs"))
    return sum(
        kept.get(run) is None or (status == "success" and kept[run] != "success")
        for run, status in answers
    )


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Return the resident memory of a process in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


async def drive_and_weigh(
    target: Target, connections: int, seconds: float
) -> tuple[Load, int, int]:
    """Return the load, and the memory after its first quarter and at its end."""
    load = asyncio.create_task(drive(target, connections, seconds))
    await asyncio.sleep(seconds / 4)
    early = resident(target.pid)
    done = await load
    return done, early, resident(target.pid)


async def drive_and_kill(target: Target, connections: int, seconds: float) -> Load:
    """Return the load of a server that is killed in the middle."""
    load = asyncio.create_task(drive(target, connections, seconds))
    await asyncio.sleep(seconds / 2)
    os.kill(target.pid, signal.SIGKILL)
    return await load


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=50)
    args = parser.parse_args()
    with hello_world() as target:
        began = cpu(target.pid)
        hello = asyncio.run(drive(target, args.connections, args.seconds))
        hello_cpu = (cpu(target.pid) - began) / len(hello.answers)
    hello_rate = len(hello.answers) / hello.seconds
    print(f"hello world: {hello_rate:8.0f} requests/s, {hello_cpu * 1000:.2f} ms of CPU for each")

    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder, "sandbox.db")
        with sandbox(db, args.connections) as target:
            began = cpu(target.pid)
            load, early, late = asyncio.run(drive_and_weigh(target, args.connections, args.seconds))
            ping_cpu = (cpu(target.pid) - began) / len(load.answers)
        rate = len(load.answers) / load.seconds
        lost = missing(db, load.answers)
        print(f"sandbox:     {rate:8.0f} pings/s, {ping_cpu * 1000:.2f} ms of CPU for each")
        print(f"             {rate / hello_rate:.2f} of the hello world's rate")
        print(f"             {hello_cpu / ping_cpu:.2f} by CPU, which other load does not move")
        print(f"             {len(load.answers)} answered 200, {lost} of them not in the database")
        print(f"             {early} KiB of memory after a quarter, {late} KiB at the end")

        with sandbox(db, args.connections) as target:
            cut = asyncio.run(drive_and_kill(target, args.connections, args.seconds / 4))
        with sandbox(db, args.connections):
            lost_by_kill = missing(db, cut.answers)
        print(f"SIGKILL:     {len(cut.answers)} answered 200, {lost_by_kill} of them lost")

    held = rate >= BAR * hello_rate and not lost and not lost_by_kill and late - early < GROWTH
    print("holds" if held else "DOES NOT HOLD")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
