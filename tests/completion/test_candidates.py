"""The call behind a TAB: what it answers, that it is light, and that it changes nothing."""

import os
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from crontify_cli import complete
from crontify_cli.delivery.journal import VERSION
from tests.completion.journal import write_run
from tests.conftest import Crontify

NOON = 1_790_000_000.0


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def config(home: Path) -> Path:
    file = home / ".config/crontify/config.toml"
    file.parent.mkdir(parents=True)
    return file


def test_monitors_are_the_configs_then_those_that_ran(
    crontify: Crontify, state: Path, config: Path
) -> None:
    config.write_text('[monitors.zeta]\n[monitors."db.example"]\nid = "clx"\n')
    write_run(state, "aaaaaaaaaaaa", "older", NOON, "success")
    write_run(state, "bbbbbbbbbbbb", "newer", NOON + 60, "fail")
    write_run(state, "cccccccccccc", "zeta", NOON + 120, None)
    assert crontify("__complete", "monitors").stdout.splitlines() == [
        "zeta\trunning, 2026-09-21 14:15",
        "db.example\tno run yet",
        "newer\tfail, 2026-09-21 14:14",
        "older\tsuccess, 2026-09-21 14:13",
    ]


def test_runs_are_the_newest_first_of_one_monitor_or_of_all(
    crontify: Crontify, state: Path
) -> None:
    for number in range(3):
        write_run(state, f"aaaaaaaaaaa{number}", "backup", NOON + number * 60, "success")
    write_run(state, "bbbbbbbbbbbb", "other", NOON + 600, "lost")
    assert crontify("__complete", "runs", "backup").stdout.splitlines() == [
        "aaaaaaaaaaa2\t2026-09-21 14:15, success",
        "aaaaaaaaaaa1\t2026-09-21 14:14, success",
        "aaaaaaaaaaa0\t2026-09-21 14:13, success",
    ]
    assert crontify("__complete", "runs").stdout.startswith("bbbbbbbbbbbb\t")
    assert crontify("__complete", "runs", "nobody").stdout == ""


def test_reports_are_the_monitors_and_runs_that_wait(crontify: Crontify, state: Path) -> None:
    write_run(state, "aaaaaaaaaaaa", "backup", NOON, "fail")
    write_run(state, "bbbbbbbbbbbb", "backup", NOON + 60, "fail", is_queued=True)
    write_run(state, "cccccccccccc", "other", NOON + 120, "success", is_queued=True)
    assert crontify("__complete", "reports").stdout.splitlines() == [
        "other\tqueued reports",
        "backup\tqueued reports",
        "cccccccccccc\t2026-09-21 14:15, other, success",
        "bbbbbbbbbbbb\t2026-09-21 14:14, backup, fail",
    ]


def test_a_long_journal_is_cut_to_what_a_person_looks_through(
    crontify: Crontify, state: Path
) -> None:
    for number in range(complete.RUNS + 5):
        write_run(state, f"{number:012}", "backup", NOON + number, "success")
    lines = crontify("__complete", "runs", "backup").stdout.splitlines()
    assert len(lines) == complete.RUNS
    assert lines[0].startswith(f"{complete.RUNS + 4:012}\t")


def test_the_config_that_is_named_is_asked(crontify: Crontify, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[monitors.mine]\n")
    answer = crontify("__complete", "monitors", env={"CRONTIFY_CONFIG": "mine.toml"})
    assert answer.stdout == "mine\tno run yet\n"


@pytest.mark.parametrize(
    "content",
    [
        "[monitors]\nbackup = {id = 'clx'}\n",
        "monitors.backup.id = 'clx'\n",
        "monitors = {backup = {id = 'clx'}}\n",
        "[ monitors . backup ]\n",
        '["monitors"."backup"]\n',
        "redact = ['''\n[monitors.not_a_section]\n''']\n[monitors.backup]\n",
        "[monitors.\"my backup\"]\n[monitors.backup]\n[monitors.'..']\n",
        '\ufeff[monitors.backup]  # the nightly one\nid = "monitors"\n',
    ],
)
def test_aliases_are_found_however_toml_writes_them(
    content: str, crontify: Crontify, config: Path
) -> None:
    assert tomllib.loads(content.removeprefix("\ufeff"))["monitors"]["backup"] is not None
    config.write_text(content)
    assert crontify("__complete", "monitors").stdout == "backup\tno run yet\n"


def break_journal(journal: Path, how: str) -> None:
    if how == "garbage":
        journal.write_bytes(os.urandom(5000))
    elif how == "directory":
        journal.unlink()
        journal.mkdir()
    elif how == "other tables":
        db = sqlite3.connect(journal)
        db.executescript(f"DROP TABLE runs; PRAGMA user_version = {VERSION + 1}")
        db.close()
    elif how == "odd time":
        db = sqlite3.connect(journal)
        db.executescript("UPDATE runs SET started_at = 1e300")
        db.close()


@pytest.mark.parametrize("how", ["garbage", "directory", "other tables", "odd time"])
def test_a_broken_journal_is_left_alone_and_nothing_said(
    how: str, crontify: Crontify, state: Path
) -> None:
    write_run(state, "aaaaaaaaaaaa", "backup", NOON, "success")
    break_journal(state / "journal.db", how)
    before = {file.name for file in state.iterdir()}
    for question in (["monitors"], ["runs", "backup"]):
        done = crontify("__complete", *question)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {file.name for file in state.iterdir()} - {"journal.db-wal", "journal.db-shm"} == before


@pytest.mark.parametrize("content", [b"[monitors.backup", b"\xff", b"monitors = 3\n", b"\0"])
def test_a_broken_config_has_no_aliases_and_nothing_is_said(
    content: bytes, crontify: Crontify, config: Path
) -> None:
    config.write_bytes(content)
    done = crontify("__complete", "monitors")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_fifo_as_config_does_not_hold_the_shell_up(crontify: Crontify, config: Path) -> None:
    os.mkfifo(config)
    assert crontify("__complete", "monitors", timeout=60).stdout == ""


def test_asking_makes_no_file(crontify: Crontify, home: Path) -> None:
    crontify("__complete", "monitors")
    crontify("__complete", "runs")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("words", [[], ["nonsense"], ["monitors", "more"]])
def test_an_unknown_question_has_no_answer(words: list[str], crontify: Crontify) -> None:
    done = crontify("__complete", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nothing_heavy_is_loaded_for_a_tab(state: Path, config: Path) -> None:
    """As many modules as it takes is as long as it takes: benchmarks/complete.py says how long."""
    write_run(state, "aaaaaaaaaaaa", "backup", NOON, "success")
    config.write_text("[monitors.backup]\n")
    script = (
        "import sys\nbefore = set(sys.modules)\n"
        "from crontify_cli.__main__ import main\n"
        "sys.argv[1:] = ['__complete', 'monitors']\n"
        "main()\nprint(*set(sys.modules) - before)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    line, loaded = answer.stdout.splitlines()
    assert line.startswith("backup\tsuccess")
    outside = {name for name in loaded.split() if not name.startswith("crontify_cli")}
    assert {name.split(".")[0] for name in outside} <= {
        *("sqlite3", "_sqlite3", "datetime", "_datetime", "math", "time", "collections"),
        *("itertools", "keyword", "_operator", "operator", "reprlib", "_collections"),
        *("functools", "_functools", "types", "pwd"),
    }
