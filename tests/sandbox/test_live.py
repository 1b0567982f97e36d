"""What `serve` shows while it runs: a line for each ping, for a person or for a machine."""

import contextlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import httpx

from crontify_cli.sandbox.database import open_database
from crontify_cli.sandbox.rules import parse_rule
from crontify_cli.sandbox.store import Store
from tests.programs import PROGRAM
from tests.sandbox.server import environment, serving
from tests.terminal import Terminal

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
OF_EXEC = {"exit_code": 0, "duration_ms": 1234, "user_cpu_ms": 1000, "max_rss_kb": 123456}


class Serve(NamedTuple):
    """A `serve` on a terminal."""

    url: str
    key: str
    terminal: Terminal

    def ping(self, kind: str, body: object = None, key: str | None = None) -> None:
        headers = {"X-API-Key": key or self.key}
        httpx.post(f"{self.url}/ping/backup/{kind}", headers=headers, json=body or {}, timeout=60)

    def lines(self, count: int) -> str:
        """Wait for that many more whole lines, and return them."""
        return "".join(self.terminal.read_until("\n") for _ in range(count))


@contextlib.contextmanager
def serve_on(folder: Path, columns: int, env: Mapping[str, str] = {}) -> Iterator[Serve]:
    """Serve on a terminal of that width, with a monitor `backup` and the rule `rows lt 10`."""
    db = folder / "sandbox.db"
    with open_database(db, create=True) as connection:
        store = Store(connection)
        account = store.get_or_create_account("default")
        key = store.rotate_key(account)
        store.add_monitor(account, "backup")
        store.add_rule(account, "backup", parse_rule("rows", "lt", "10"))
    environ = {**environment(), "TERM": "xterm-256color", **env}
    environ.pop("COLUMNS", None)
    serve = [*PROGRAM, "sandbox", "serve", "--port", "0", "--db", str(db)]
    with Terminal(columns) as terminal:
        process = terminal.start(serve, env=environ)
        try:
            began = terminal.read_until("\nPings:\n")
            found = re.search(r"listening on (\S+)", began)
            assert found
            yield Serve(found[1], key, terminal)
        finally:
            process.terminate()
            process.wait(60)


def _width(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def test_each_ping_is_a_coloured_line_with_monitor_kind_status_and_meta(tmp_path: Path) -> None:
    with serve_on(tmp_path, 80) as serve:
        for columns in (60, 80, 140):
            serve.terminal.resize(columns)
            serve.ping("start")
            serve.ping("success", {"meta": {**OF_EXEC, "rows": 12}})
            serve.ping("fail", {"errorMessage": "oops", "meta": {"n": 1}})
            _check_lines(serve.lines(3), columns)


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
    with serve_on(tmp_path, 60) as serve:
        serve.ping("success", {"meta": {"rows": 0}})
        serve.ping("fail", {"errorMessage": "the disk of this machine is full: " + "x" * 60})
        serve.ping("start")
        serve.ping("start")
        serve.ping("start", key="ck_live_wrong")
        text = ESCAPES.sub("", serve.lines(7))
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
    with serve_on(tmp_path, 140, env={"NO_COLOR": "1"}) as serve:
        evil = "\x1b[2J\x07\r\nbackup success \u202egnorw"
        serve.ping("fail", {"errorMessage": evil, "meta": {evil: 1}})
        serve.ping("success")
        text = serve.lines(2)
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
