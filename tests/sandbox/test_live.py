"""What `serve` shows while it runs: a line for each ping, for a person or for a machine."""

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import httpx

from crontify_cli.sandbox.database import open_database
from crontify_cli.sandbox.rules import parse_rule
from crontify_cli.sandbox.store import Store
from tests.sandbox.server import PROGRAM, environment, serving
from tests.waiting import until

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
OF_EXEC = {"exit_code": 0, "duration_ms": 1234, "user_cpu_ms": 1000, "max_rss_kb": 123456}


class Terminal(NamedTuple):
    """A `serve` on a terminal; `seen` is what it wrote there so far."""

    url: str
    key: str
    seen: list[bytes]
    window: int

    def ping(self, kind: str, body: object = None, key: str | None = None) -> None:
        headers = {"X-API-Key": key or self.key}
        httpx.post(f"{self.url}/ping/backup/{kind}", headers=headers, json=body or {}, timeout=30)

    def resize(self, columns: int) -> None:
        """Make the window as wide; what was seen so far is forgotten."""
        fcntl.ioctl(self.window, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self.seen[:] = [b"\nPings:\n"]

    def text(self) -> str:
        return b"".join(self.seen).decode().replace("\r\n", "\n")

    def pings(self) -> str:
        return self.text().partition("\nPings:\n")[2]


@contextlib.contextmanager
def terminal(folder: Path, columns: int, env: Mapping[str, str] = {}) -> Iterator[Terminal]:
    """Serve on a terminal of that width, with a monitor `backup` and the rule `rows lt 10`."""
    db = folder / "sandbox.db"
    with open_database(db, create=True) as connection:
        store = Store(connection)
        account = store.get_or_create_account("default")
        key = store.rotate_key(account)
        store.add_monitor(account, "backup")
        store.add_rule(account, "backup", parse_rule("rows", "lt", "10"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environ = {**environment(), "TERM": "xterm-256color", **env}
    environ.pop("COLUMNS", None)
    process = subprocess.Popen(
        [*PROGRAM, "sandbox", "serve", "--port", "0", "--until-stdin-closes", "--db", str(db)],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # EIO: the last end of the terminal was closed
            while part := os.read(ours, 65536):
                seen.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        until(lambda: b"Pings:" in b"".join(seen), "serve says that it listens")
        found = re.search(r"listening on (\S+)", b"".join(seen).decode())
        assert found
        yield Terminal(found[1], key, seen, ours)
    finally:
        process.communicate(timeout=30)
        reader.join(timeout=30)
        os.close(ours)


def _width(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def test_each_ping_is_a_coloured_line_with_monitor_kind_status_and_meta(tmp_path: Path) -> None:
    with terminal(tmp_path, 80) as serve:
        for columns in (60, 80, 140):
            serve.resize(columns)
            serve.ping("start")
            serve.ping("success", {"meta": {**OF_EXEC, "rows": 12}})
            serve.ping("fail", {"errorMessage": "oops", "meta": {"n": 1}})
            until(lambda: serve.pings().count("\n") >= 3, "three lines")
            _check_lines(serve.pings(), columns)


def _check_lines(coloured: str, columns: int) -> None:
    lines = ESCAPES.sub("", coloured).splitlines()
    assert [line.split()[1:4] for line in lines] == [
        ["backup", "start", "running"],
        ["backup", "success", "success"],
        ["backup", "fail", "failed"],
    ]
    for line in lines:
        assert re.match(r"\d\d:\d\d:\d\d backup ", line)
        assert _width(line) <= columns
    success = lines[1].split()
    assert success[4] == "rows=12"  # the job's own number before those of exec
    shown = [f"{name}={number}" for name, number in OF_EXEC.items()]
    assert success[5:] == (shown if columns == 140 else [*shown[: len(success) - 6], "…"])
    assert lines[2].split()[4:] == ["oops", "n=1"]
    for colour, word in (("36", "running"), ("32", "success"), ("1;31", "failed")):
        assert re.search(rf"\x1b\[{colour}m *{word} ", coloured)


def test_alerts_and_refusals_are_lines_whose_words_are_never_cut(tmp_path: Path) -> None:
    with terminal(tmp_path, 60) as serve:
        serve.ping("success", {"meta": {"rows": 0}})
        serve.ping("fail", {"errorMessage": "the disk of this machine is full: " + "x" * 60})
        serve.ping("start")
        serve.ping("start")
        serve.ping("start", key="ck_live_wrong")
        until(lambda: "401" in serve.pings(), "the refusal")
        text = ESCAPES.sub("", serve.pings())
    words = [" ".join(line.split()[1:]) for line in text.splitlines()]
    assert words == [
        "backup success success rows=0",
        "backup alert silent_failure: rows is 0 (the rule: rows lt 10)",
        "backup fail failed the disk of this machine is full: " + "x" * 60,
        "backup start running",
        "backup start running",
        "backup alert overlapped: a new run started before this one ended",
        "/ping/backup/start POST 401 Invalid API key",
    ]


def test_what_a_client_sends_cannot_steer_the_terminal(tmp_path: Path) -> None:
    with terminal(tmp_path, 140, env={"NO_COLOR": "1"}) as serve:
        evil = "\x1b[2J\x07\r\nbackup success \u202egnorw"
        serve.ping("fail", {"errorMessage": evil, "meta": {evil: 1}})
        serve.ping("success")
        until(lambda: serve.pings().count("\n") >= 2, "two lines")
        text = serve.pings()
    assert "\x1b" not in text  # nor colours: NO_COLOR
    first, second = text.splitlines()
    assert first.isprintable()
    assert "gnorw" in first
    assert second.split()[1:] == ["backup", "success", "success"]


def test_machines_get_a_json_line_for_each_ping_and_refusal(tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db") as server:
        monitor = server.monitor()
        server.rule(monitor, "rows", "eq", "0")
        run = server.send(monitor, "success", {"meta": {"rows": 0}})
        server.ping(monitor, "fail", {"errorMessage": "why", "logOutput": "how"})
        server.ping("clnowhere", "start")
        assert server.process.stdout
        success, fail, refused = (json.loads(server.process.stdout.readline()) for _ in range(3))
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert all(re.fullmatch(time, line.pop("timestamp")) for line in (success, fail, refused))
    message = "rows is 0 (the rule: rows eq 0)"
    assert success == {
        "event": "ping",
        "monitor": monitor,
        "kind": "success",
        "runId": run,
        "status": "success",
        "meta": {"rows": 0},
        "errorMessage": None,
        "alerts": [{"kind": "silent_failure", "message": message}],
    }
    assert (fail["errorMessage"], fail["status"]) == ("why", "failed")
    assert fail["alerts"] == [{"kind": "failure", "message": "why"}]
    assert refused == {
        "event": "refused",
        "request": "POST /ping/clnowhere/start",
        "http": 404,
        "message": "Monitor not found or does not belong to this account",
    }


def test_who_does_not_read_the_lines_does_not_hold_up_the_answers(tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db") as server:
        monitor = server.monitor()
        sent = {"errorMessage": "x" * 500}
        runs = {server.send(monitor, "fail", sent) for _ in range(120)}  # a pipe holds 64 KiB
        assert len(runs) == 120


def test_serve_goes_on_when_the_reader_of_its_lines_has_gone(tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db") as server:
        monitor = server.monitor()
        assert server.process.stdout
        server.process.stdout.close()
        for _ in range(3):
            server.send(monitor, "success")
        assert server.process.poll() is None
