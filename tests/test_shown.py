"""Nothing that a job or a server wrote can control the terminal that shows it."""

import json
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from crontify_cli.delivery.records import live_runs
from crontify_cli.errors import say
from crontify_cli.report.excerpt import clean
from tests.completion.journal import write_run
from tests.conftest import Crontify
from tests.programs import PROGRAM
from tests.server import TOKEN, ApiServer, answer
from tests.terminal import Terminal
from tests.waiting import until

# C0 and C1 controls, an escape sequence and a title; marks and overrides that change the
# direction of text (Unicode's UAX 9).
HOSTILE = (
    "\x9b31mred\x9d0;title\x9c\x1b]0;title\x07\x1b[2J\x08\x0e\x7f"
    "\u202etext\u202a\u202b\u202c\u202d\u2066\u2067\u2068\u2069\u200e\u200f\u061cend"
)
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
OUR_COLOURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[hl]|\x1b\[[0-9]?[AK]|\r")
OURS = {"PAGER": "cat", "TERM": "xterm", "CRONTIFY_TOKEN": TOKEN}


def harmless(shown: str, *, on_terminal: bool = False) -> str:
    """Return what is shown, without our own colours; it must not control anything."""
    text = OUR_COLOURS.sub("", shown) if on_terminal else shown
    found = FORBIDDEN.search(text)
    assert not found, (text[max(0, found.start() - 40) :][:80], hex(ord(found[0])))
    return text


def on_terminal(env: Mapping[str, str], *args: str) -> str:
    with Terminal(columns=200) as terminal:
        process = terminal.start([*PROGRAM, *args], env=env)
        shown = terminal.read_to_end()
        process.wait(timeout=60)
    return harmless(shown, on_terminal=True)


@pytest.fixture
def hostile(api: ApiServer, env: dict[str, str], crontify: Crontify, state: Path) -> dict[str, str]:
    """The environment of a machine whose journal and server hold nothing but hostile text."""
    api.default = answer(400, {"message": f"server {HOSTILE}"})
    api.choose = lambda request: (
        answer(200, {"hasLog": True, "content": f"from afar {HOSTILE}\n"})
        if request.kind == "log"
        else None
    )
    write_run(state, "aaaaaaaaaaaa", "m", time.time(), "fail")
    write_run(state, "bbbbbbbbbbbb", "m", time.time(), None)
    crontify("ping", "fail", "m", env=env)
    with sqlite3.connect(state / "journal.db") as journal:
        journal.execute(
            "UPDATE runs SET remote_run_id = ?, reason = ?, command = ?",
            (f"remote{HOSTILE}", f"reason {HOSTILE}", json.dumps([f"command {HOSTILE}"])),
        )
        journal.execute(
            "UPDATE reports SET error_message = ?, last_error = ?",
            (f"message {HOSTILE}", f"refused {HOSTILE}"),
        )
    journal.close()
    return {**env, **OURS}


LISTS = [("runs",), ("runs", "--stats"), ("show", "-1"), ("queue",), ("config", "list")]


def test_tables_and_lines_control_nothing(hostile: dict[str, str], crontify: Crontify) -> None:
    shown = ""
    for words in ((), *LISTS, ("doctor",)):
        shown += on_terminal({**os.environ, **hostile}, *words)
        done = crontify(*words, env=hostile)
        shown += harmless(done.stdout) + harmless(done.stderr)
    assert "reason" in shown
    assert "refused" in shown


def test_json_escapes_them_and_keeps_their_value(
    hostile: dict[str, str], crontify: Crontify
) -> None:
    found = ""
    for words in LISTS:
        done = crontify(*words, "--json", env=hostile)
        harmless(done.stdout)
        harmless(done.stderr)
        found += str(json.loads(done.stdout))
    for name in ("remote", "reason ", "command ", "refused "):
        assert repr(f"{name}{HOSTILE}")[1:-1] in found, name
    done = crontify("runs", "--json", env={**hostile, "LC_ALL": "C", "PYTHONUTF8": "0"})
    assert done.stdout.isascii()
    assert json.loads(done.stdout)[0]["monitor"] == "m"


def test_a_log_shows_text_only(hostile: dict[str, str], crontify: Crontify) -> None:
    script = "printf '%s\\n' \"$OUTPUT\"; printf '%s\\n' \"$OUTPUT\" >&2; exit 1"
    env = {**hostile, "OUTPUT": f"printed {HOSTILE}"}
    done = crontify("exec", "-q", "m", "--shell", "--", script, env=env)
    assert done.returncode == 1, done.stderr
    harmless(done.stderr)
    for words in (("logs", "m", "--local"), ("logs", "m", "afar", "--remote")):
        done = crontify(*words, env=hostile)
        assert "text" in harmless(done.stdout)
        harmless(done.stderr)
        assert "text" in on_terminal({**os.environ, **hostile}, *words)
        assert (
            "text"
            in json.loads(harmless(crontify(*words, "--json", env=hostile).stdout))["content"]
        )


def test_the_live_view_shows_text_only(
    hostile: dict[str, str], state: Path, tmp_path: Path
) -> None:
    environ = {**os.environ, **hostile, "OUTPUT": f"printed {HOSTILE}"}
    script = f"printf '%s\\n' \"$OUTPUT\"; until test -e {tmp_path}/go; do sleep 0.05; done"
    with (
        subprocess.Popen(
            [*PROGRAM, "exec", "live", "--shell", "--", script],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ),
        Terminal(columns=200) as terminal,
    ):
        try:
            until(lambda: "live" in [run.monitor for run in live_runs(str(state))], "it runs")
            watching = terminal.start([*PROGRAM, "logs", "live", "-f"], env=environ)
            terminal.read_until("end")
        finally:
            (tmp_path / "go").touch()
        shown = terminal.read_to_end()
        watching.wait(timeout=60)
    assert "printed" in harmless(shown, on_terminal=True)


@pytest.mark.parametrize(
    "words", [("ping", "fail", "m"), ("exec", "m", "--", "true"), ("logs", "m", "x", "--remote")]
)
def test_messages_that_quote_a_server_are_one_line(
    words: tuple[str, ...], api: ApiServer, env: dict[str, str], crontify: Crontify
) -> None:
    api.default = answer(400, {"message": f"no\ncrontify: forged\n{HOSTILE}"})
    done = crontify(*words, env={**env, "CRONTIFY_TOKEN": TOKEN})
    assert "text" in harmless(done.stderr)
    assert "\ncrontify: forged" not in done.stderr


def test_a_crontab_is_shown_as_text(crontify: Crontify, tmp_path: Path) -> None:
    crontab = tmp_path / "jobs"
    crontab.write_text(f"0 3 * * * echo '{HOSTILE}'\n61 3 * * * {HOSTILE}\n")
    for words in (("crontab", "list"), ("crontab", "check")):
        done = crontify(*words, str(crontab))
        harmless(done.stdout + done.stderr)
        on_terminal({**os.environ, **OURS}, *words, str(crontab))
        harmless(crontify(*words, str(crontab), "--json").stdout)


def test_whatever_is_said_on_stderr_is_text(capfd: pytest.CaptureFixture[str]) -> None:
    say(f"first {HOSTILE}\ncrontify: second")
    said = harmless(capfd.readouterr().err)
    assert said.startswith("crontify: first ")
    assert said.endswith("end\ncrontify: second\n")


def test_output_is_cleaned_of_marks_that_change_its_direction() -> None:
    assert clean("a\u202eb\u2066c\u200fd\u061ce שלום".encode()) == "abcde שלום"


@pytest.mark.parametrize("words", [["monitors"], ["runs"], ["runs", "m"]])
def test_a_tab_offers_only_names_and_ids(
    words: list[str], hostile: dict[str, str], crontify: Crontify, state: Path, home: Path
) -> None:
    config = home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[monitors."$(touch x)"]\n[monitors.good]\n')
    with sqlite3.connect(state / "journal.db") as journal:
        journal.execute("UPDATE runs SET id = '~(touch x)' WHERE outcome IS NULL")
        journal.execute("UPDATE runs SET outcome = ?", (f"a\tb\n{HOSTILE}",))
    journal.close()
    done = crontify("__complete", *words, env=hostile)
    offered = [line.split("\t") for line in harmless(done.stdout).splitlines()]
    assert {len(line) for line in offered} == {2}
    wanted = {"good", "m"} if words == ["monitors"] else {"aaaaaaaaaaaa"}
    assert wanted <= {word for word, _ in offered}
    assert all(re.fullmatch(r"[\w.-]+", word) for word, _ in offered)
