"""The commands beside a running server, each as a person types it."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from crontify_cli.cli.sandbox import sandbox as app
from tests.programs import PROGRAM
from tests.sandbox.server import Server, environment, sandbox, serving
from tests.screen import screen

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def _examples(group: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield each command of the group and the example at the end of its help."""
    for name, command in group.commands.items():
        words = f"{path} {name}"
        yield words, command.epilog
        if isinstance(command, TyperGroup):
            yield from _examples(command, words)


def test_the_help_of_each_command_ends_with_an_example_of_it() -> None:
    examples = dict(_examples(typer.main.get_group(app), "crontify sandbox"))
    assert len(examples) == 22
    assert not [words for words, example in examples.items() if words not in example]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A sandbox that has stopped, with a run of every kind of the monitor `backup`."""
    db = tmp_path_factory.mktemp("busy") / "sandbox.db"
    with serving(db) as server:
        server.command("monitor", "add", "backup")
        server.command("monitor", "add", "clx8f3k2m0000abcd1234efgh5")
        server.rule("backup", "rows", "lt", "10")
        server.send("backup", "start")
        server.send("backup", "success", {"meta": {"exit_code": 0, "rows": 5}})
        log = {"errorMessage": "disk full\n\x1b[2J" + "!" * 90, "logOutput": "the log"}
        server.send("backup", "fail", log)
        server.send("backup", "start")
        server.send("backup", "start")
        return server


def test_in_a_pipe_runs_are_tab_separated_lines(busy: Server) -> None:
    lines = [line.split("\t") for line in busy.command("runs").splitlines()]
    assert {len(line) for line in lines} == {9}
    assert [line[2:4] for line in lines] == [
        ["backup", status] for status in ("running", "overlapped", "failed", "success")
    ]
    running, overlapped, failed, success = lines
    assert re.fullmatch(TIME, running[0])
    assert running[1] == running[4] == "-"
    assert re.fullmatch(TIME, overlapped[1])
    assert failed[0] == "-"
    assert failed[6:] == ["log", "-", "disk full  [2J" + "!" * 90]
    assert success[6:] == ["-", "rows=5 exit_code=0", "-"]
    assert float(success[4]) >= 0


def test_runs_are_chosen_by_monitor_status_and_number(busy: Server) -> None:
    def statuses(*args: str) -> list[str]:
        found = json.loads(busy.command("runs", *args, "--json"))
        return [run["status"] for run in found]

    assert statuses("backup") == ["running", "overlapped", "failed", "success"]
    assert statuses("clx8f3k2m0000abcd1234efgh5") == []
    assert statuses("--status", "failed") == ["failed"]
    assert statuses("--limit", "2") == ["running", "overlapped"]


def test_json_has_the_objects_of_the_api(busy: Server) -> None:
    with serving(busy.db) as server:
        for command, path in (
            (("runs", "backup"), "/monitors/backup/runs"),
            (("monitor", "list"), "/monitors"),
        ):
            printed = json.loads(server.command(*command, "--json"))
            assert printed == server.get(path).json()["data"]


def test_alerts_are_listed_with_message_and_the_head_of_the_log(busy: Server) -> None:
    found = json.loads(busy.command("alerts", "backup", "--json"))
    assert [alert["kind"] for alert in found] == ["overlapped", "failure", "silent_failure"]
    assert found[1]["logHead"] == "the log"
    lines = [line.split("\t") for line in busy.command("alerts").splitlines()]
    assert [line[2] for line in lines] == [alert["kind"] for alert in found]
    assert lines[2][4] == "rows is 5 (the rule: rows lt 10)"


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_on_a_terminal_each_list_is_a_table_that_fits(busy: Server, columns: int) -> None:
    for command, words in (
        (("runs",), ("backup", "failed", "overlapped", "disk full")),
        (("alerts",), ("backup", "silent_failure", "disk full")),
        (("monitor", "list"), ("backup", "clx8f3k2m0000abcd1234efgh5", "rows lt 10")),
    ):
        shown = ESCAPES.sub("", screen(["sandbox", *command, "--db", str(busy.db)], columns))
        for word in words:
            assert word in shown, (command, shown)
        lines = shown.splitlines()
        assert len(lines) == 1 + (
            2 if command[0] == "monitor" else 4 if command[0] == "runs" else 3
        )
        assert all(len(line) <= columns and line.isprintable() for line in lines)


def test_a_monitor_is_added_once(server: Server) -> None:
    assert server.command("monitor", "add", "cltwice") == "monitor cltwice added"
    assert server.command("monitor", "add", "cltwice") == "monitor cltwice already exists"
    found = json.loads(server.command("monitor", "list", "--json"))
    assert [monitor["id"] for monitor in found].count("cltwice") == 1
    assert server.ping("cltwice", "start").status_code == 200


def test_reset_forgets_runs_but_not_monitors_rules_and_keys(tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db", "--plan", "free") as server:
        monitor = server.monitor()
        server.rule(monitor, "rows", "lt", "10")
        server.send(monitor, "fail", {"logOutput": "x"})
        assert "deleted" in server.command("reset")
        assert server.runs(monitor) == server.alerts(monitor) == []
        server.send(monitor, "success", {"meta": {"rows": 1}})  # the limit starts anew, too
        assert [alert["kind"] for alert in server.alerts(monitor)] == ["silent_failure"]
        assert "everything" in server.command("reset", "--all")
        assert server.ping(monitor, "start").status_code == 401
        assert server.get("/monitors").status_code == 401


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("runs", "clnone"), "sandbox monitor add clnone"),
        (("alerts", "clnone"), "sandbox monitor add clnone"),
        (("rule", "add", "clnone", "rows", "lt", "1"), "sandbox monitor add clnone"),
        (("runs", "--account", "nobody"), "sandbox key rotate --account nobody"),
    ],
)
def test_what_is_not_there_is_said_in_one_line_with_what_to_do(
    server: Server, args: tuple[str, ...], words: str
) -> None:
    done = sandbox(*args, "--db", str(server.db))
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr


def suggested(text: str) -> list[list[str]]:
    """Return the words after `crontify sandbox` of each command that a text suggests."""
    return [shlex.split(line) for line in re.findall(r"crontify sandbox ([^)\n]*)", text)]


def test_suggested_commands_are_for_the_same_database_and_account(tmp_path: Path) -> None:
    db, team = str(tmp_path / "my sandbox.db"), "our team"
    where = ["--account", team, "--db", db]
    serve = [*PROGRAM, "sandbox", "serve", "--port", "0", "--until-stdin-closes", *where]
    for count in (3, 5):  # at the first start the key and the token are printed themselves
        done = subprocess.run(
            serve, env=environment(), input="", capture_output=True, text=True, check=True
        )
        commands = suggested(done.stdout)
        assert len(commands) == count
        assert all(words[-4:] == where for words in commands), commands
    missing = sandbox("runs", "backup", *where)
    assert suggested(missing.stderr) == [["monitor", "add", "backup", *where]]
    assert sandbox(*suggested(missing.stderr)[0]).returncode == 0
    again = sandbox("monitor", "add", "backup", "--tag", "x", *where)
    assert suggested(again.stderr) == [["monitor", "set", "backup", *where]]
    where[1] = "other team"
    nobody = sandbox("runs", *where)
    assert suggested(nobody.stderr) == [["key", "rotate", *where]]
