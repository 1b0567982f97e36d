"""What a person is told when the sandbox cannot work: one line that says what to do."""

import contextlib
import os
import socket
import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from crontify_cli.sandbox.database import open_database
from crontify_cli.sandbox.store import Store
from tests.programs import need
from tests.sandbox.server import sandbox, serving


def _one_line(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("crontify: ")
    for word in words:
        assert word in done.stderr


def _serve(db: Path, *args: str, before: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    return sandbox("serve", "--db", str(db), *(args or ("--port", "0")), before=before)


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = _serve(tmp_path / "sandbox.db", "--port", port)
    _one_line(done, port, "already in use", "--port")
    assert not (tmp_path / "sandbox.db").exists()  # else its key would never have been shown


def test_an_address_that_is_not_this_machines(tmp_path: Path) -> None:
    _one_line(_serve(tmp_path / "sandbox.db", "--host", "192.0.2.1"), "192.0.2.1", "--host")


def test_a_database_of_another_version(tmp_path: Path) -> None:
    db = tmp_path / "sandbox.db"
    sandbox("monitor", "add", "backup", "--db", str(db), check=True)
    with contextlib.closing(sqlite3.connect(db)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = db.read_bytes()
    for done in (_serve(db), sandbox("runs", "--db", str(db))):
        _one_line(done, str(db), "another version", "99", "--db")
    assert db.read_bytes() == before


def test_another_programs_database(tmp_path: Path) -> None:
    db = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(db)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()
    before = db.read_bytes()
    _one_line(_serve(db), str(db), "another program's database", "--db")
    assert db.read_bytes() == before


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    db = tmp_path / "notes.txt"
    db.write_text("buy milk\n" * 1000)
    _one_line(_serve(db), str(db), "not a sandbox database", "--db")
    assert db.read_text() == "buy milk\n" * 1000


def test_a_broken_database(tmp_path: Path) -> None:
    db = tmp_path / "sandbox.db"
    sandbox("monitor", "add", "backup", "--db", str(db), check=True)
    whole = db.read_bytes()
    db.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    _one_line(sandbox("monitor", "list", "--db", str(db)), str(db), "--db")


def test_a_database_that_may_not_be_read(tmp_path: Path) -> None:
    db = tmp_path / "sandbox.db"
    sandbox("monitor", "add", "backup", "--db", str(db), check=True)
    db.chmod(0)
    before: list[str] = []
    if os.geteuid() == 0:  # who may read all the same
        need("setpriv")
        before = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    _one_line(_serve(db, before=before), str(db), "Permission denied", "--db")


@pytest.mark.parametrize("name", ["folder", "file/sandbox.db"])
def test_a_place_where_no_database_can_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    _one_line(_serve(tmp_path / name), str(tmp_path / name), "--db")


def test_no_database_yet(tmp_path: Path) -> None:
    _one_line(sandbox("runs", "--db", str(tmp_path / "no.db")), "no.db", "crontify sandbox serve")


def test_a_disk_that_is_full_at_the_start(tmp_path: Path) -> None:
    need("prlimit")
    done = _serve(tmp_path / "sandbox.db", before=["prlimit", "--fsize=4096"])
    _one_line(done, str(tmp_path / "sandbox.db"), "free some disk space", "--db")


def test_a_disk_that_fills_up_is_a_503_that_says_so_and_what_was_taken_is_there(
    tmp_path: Path,
) -> None:
    need("prlimit")
    with serving(tmp_path / "sandbox.db", before=["prlimit", "--fsize=300000"]) as server:
        monitor = server.monitor()
        taken = []
        for _ in range(200):
            answer = server.ping(monitor, "fail", {"logOutput": "x" * 9_000})
            if answer.status_code != 200:
                break
            taken.append(answer.json()["data"]["runId"])
        assert answer.status_code == 503
        assert "free some disk space" in answer.json()["message"]
        assert len(answer.json()["message"].splitlines()) == 1
        assert taken
        assert [run["id"] for run in server.runs(monitor)] == taken[:-101:-1]
        assert server.log(monitor, taken[-1])["content"] == "x" * 9_000
    with serving(server.db) as again:  # with space
        key = {"X-API-Key": server.api_key}
        assert again.ping(monitor, "start", headers=key).status_code == 200
        assert [run["id"] for run in again.runs(monitor)][1:] == taken[:-100:-1]


def test_a_database_that_is_held_by_another_program_is_a_503(tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db") as server:
        monitor = server.monitor()
        with contextlib.closing(sqlite3.connect(server.db)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = server.ping(monitor, "start")
            assert answer.status_code == 503
            assert "locked by another program" in answer.json()["message"]
        server.send(monitor, "start")
        assert [run["status"] for run in server.runs(monitor)] == ["running"]


def test_a_request_is_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    """What a ping writes is one transaction: no run without its log, no log without its alert."""
    with serving(tmp_path / "sandbox.db") as server:
        monitor = server.monitor()
        with open_database(server.db, create=False) as connection:
            connection.execute(
                "CREATE TRIGGER broken BEFORE INSERT ON alerts"
                " BEGIN SELECT RAISE(ABORT, 'no alert'); END"
            )
        assert server.ping(monitor, "fail", {"logOutput": "x"}).status_code == 503
        assert server.runs(monitor) == []
        with open_database(server.db, create=False) as connection:
            connection.execute("DROP TRIGGER broken")
            account = Store(connection).account("default")
            assert account
            assert Store(connection).alerts(account, limit=9) == []
        server.send(monitor, "fail", {"logOutput": "x"})
