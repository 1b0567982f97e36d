"""Where a person stumbles at the terminal: the command says what is meant, and loses nothing."""

import os
import signal
import sys
import tomllib
from pathlib import Path

import pytest

from crontify_cli.cli.doctor import cron
from crontify_cli.config import load
from tests.conftest import Crontify
from tests.programs import PROGRAM
from tests.server import ApiServer
from tests.terminal import Terminal
from tests.waiting import until, until_exists, until_gone


@pytest.fixture
def file(home: Path) -> Path:
    """A config file with a monitor and a comment."""
    path = home / ".config/crontify/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text('# mine\nredact = ["#"]\n[monitors.nightly]\nid = "clnightly"\n')
    path.chmod(0o600)
    return path


# A word in the wrong place, or mistyped


def test_ping_with_the_monitor_first_names_the_order(crontify: Crontify, api: ApiServer) -> None:
    done = crontify("ping", "backup", "success")
    assert done.returncode == 2
    assert "success comes before MONITOR: crontify ping success backup" in done.stderr
    assert api.requests == []


@pytest.mark.parametrize(
    "args", [("exec", "nightlyy", "--", "true"), ("ping", "success", "nightlyy")]
)
def test_an_unknown_monitor_is_compared_with_those_of_the_config(
    crontify: Crontify, api: ApiServer, env: dict[str, str], file: Path, args: tuple[str, ...]
) -> None:
    api.monitors = {"clnightly"}
    done = crontify(*args, env=env)
    assert done.stderr.count("no monitor 'nightlyy' in the API key's account") == 1
    assert done.stderr.count("the config has a monitor nightly: did you mean that?\n") == 1
    assert "did you mean" not in crontify("exec", "other", "--", "true", env=env).stderr


def test_an_unknown_run_is_named_before_the_token(crontify: Crontify) -> None:
    done = crontify("logs", "backup", "zzzz")
    assert done.stderr.startswith("crontify: backup, run zzzz: no run zzzz of backup on this ")


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("61 3 * * * /bin/true", "cron rejects the time"),
        ("0 3 * * * root /usr/bin/id", "root is a user: only lines in /etc/crontab"),
    ],
)
def test_init_refuses_a_line_that_cron_would_not_run(
    crontify: Crontify, job: str, words: str
) -> None:
    done = crontify("init", input=f"ck_test_0123456789\nbackup\n{job}\n")
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["", " ", b"\xff", "a\nb"])
def test_a_name_that_is_none_is_a_usage_error_of_the_sandbox(
    crontify: Crontify, tmp_path: Path, name: str
) -> None:
    done = crontify("sandbox", "token", "--account", name, "--db", str(tmp_path / "db"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "invalid account" in done.stderr


# The config file


def test_setting_the_value_that_is_there_writes_nothing(crontify: Crontify, file: Path) -> None:
    before, inode = file.read_bytes(), file.stat().st_ino
    done = crontify("config", "set", "monitors.nightly.id", "clnightly")
    assert (done.returncode, done.stderr) == (0, "")
    assert (file.read_bytes(), file.stat().st_ino) == (before, inode)


def test_the_backup_keeps_the_comments_when_a_later_change_has_none(
    crontify: Crontify, file: Path
) -> None:
    before = file.read_bytes()
    backup = Path(f"{file}.bak")
    done = crontify("config", "set", "keep_days", "30")
    assert "comments in" in done.stderr
    assert crontify("config", "set", "keep_days", "31").stderr == ""
    assert backup.read_bytes() == before
    assert tomllib.loads(file.read_text())["redact"] == ["#"]


@pytest.mark.parametrize(
    ("editor", "answer", "words"),
    [
        ("rm", "", "the editor has removed the file to edit"),
        ("truncate -s 0", "n\n", "not changed"),
        ("truncate -s 0", "", "not changed"),
    ],
)
def test_an_editor_that_leaves_nothing_changes_nothing(
    crontify: Crontify, file: Path, editor: str, answer: str, words: str
) -> None:
    before = file.read_bytes()
    done = crontify("config", "edit", env={"EDITOR": editor, "VISUAL": ""}, input=answer)
    assert done.returncode == 1
    assert words in done.stderr
    assert file.read_bytes() == before
    assert sorted(file.parent.iterdir()) == [file]


def test_all_settings_can_be_removed_on_purpose(crontify: Crontify, file: Path) -> None:
    env = {"EDITOR": "truncate -s 0", "VISUAL": ""}
    assert crontify("config", "edit", env=env, input="y\n").returncode == 0
    assert file.read_bytes() == b""


def test_a_term_during_config_edit_leaves_no_file(file: Path, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/new && mv {tmp_path}/new {tmp_path}/pid\n")
    editor.write_text(editor.read_text() + "exec sleep 60\n")
    editor.chmod(0o755)
    with Terminal() as terminal:
        env = {**os.environ, "EDITOR": str(editor), "VISUAL": ""}
        process = terminal.start([*PROGRAM, "config", "edit"], env=env)
        until_exists(tmp_path / "pid")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    until_gone(int((tmp_path / "pid").read_text()))
    until(lambda: list(file.parent.iterdir()) == [file], "the copy is removed")


def test_the_list_shows_the_defaults_in_force(crontify: Crontify, file: Path) -> None:
    lines = crontify("config", "list").stdout.splitlines()
    found = {key: (value, source) for key, value, source in (line.split("\t") for line in lines)}
    for key, value in {
        "kill_after": "10s",
        "success_codes": "0",
        "tolerate": "0",
        "output": "all",
        "no_start": "false",
        "no_log": "false",
    }.items():
        assert found[key] == (value, "default")
    assert found["timeout"] == ("", "default")
    assert crontify("config", "get", "monitors.nightly.kill_after").stdout == "10s\n"


# The doctor


def test_a_list_in_the_config_is_the_same_under_cron(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["crontify"])
    here = cron._facts("")
    there = cron._ask({**cron.environment(cron.Crontab()), "HOME": os.environ["HOME"]})
    assert load().settings.every_monitor.redact == ("#",)
    assert isinstance(there, cron.Facts)
    assert here.settings["redact"] == there.settings["redact"] == ["#"]
