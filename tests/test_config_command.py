"""`crontify config`: what it shows, what it takes, and that no secret shows."""

import json
import os
import re
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crontify_cli.cli.config_show import format_value
from crontify_cli.config import keys
from crontify_cli.config.kinds import CODES, COUNT, DURATION, PAUSE, SWITCH
from crontify_cli.config.settings import Value
from tests.programs import PROGRAM
from tests.terminal import Terminal

from .conftest import Crontify

KEY = "ck_live_Zq8Vt3Nw6Rx1Ky5P1234"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1In0.Zq8Vt3Nw6Rx1Ky5PQQQQ"


@pytest.fixture
def file(home: Path) -> Path:
    return home / ".config/crontify/config.toml"


def content(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text())


def put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o600)


def test_path_names_the_file_that_would_be_written(
    crontify: Crontify, file: Path, tmp_path: Path
) -> None:
    assert crontify("config", "path").stdout == f"{file}\n"
    assert crontify("--config", "x.toml", "config", "path").stdout == f"{tmp_path}/x.toml\n"
    assert crontify("config", "path", env={"CRONTIFY_CONFIG": "/y"}).stdout == "/y\n"


@pytest.mark.parametrize(
    ("key", "words", "written", "got"),
    [
        ("monitors.backup.id", ["clxxx"], {"monitors": {"backup": {"id": "clxxx"}}}, "clxxx"),
        ("monitors.a.b.timeout", ["2h"], {"monitors": {"a.b": {"timeout": "2h"}}}, "2h"),
        ("timeout", ["90"], {"timeout": 90}, "1m30s"),
        ("keep_runs", ["5"], {"keep_runs": 5}, "5"),
        ("allow_http", ["yes"], {"allow_http": True}, "true"),
        ("success_codes", ["0,20-25"], {"success_codes": "0,20-25"}, "0,20-25"),
        ("redact", ["a", "b c"], {"redact": ["a", "b c"]}, "a\nb c"),
        ("base_url", ["https://x/"], {"base_url": "https://x/"}, "https://x"),
        ("proxy", ["http://p:3128"], {"proxy": "http://p:3128"}, "http://p:3128"),
        ("api_key_command", ["pass show x"], {"api_key_command": "pass show x"}, "pass\nshow\nx"),
    ],
)
def test_a_value_is_written_with_its_type_and_got_back(
    crontify: Crontify, file: Path, key: str, words: list[str], written: object, got: str
) -> None:
    done = crontify("config", "set", key, *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert content(file) == written
    assert crontify("config", "get", key).stdout == f"{got}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert crontify("config", "unset", key).returncode == 0
    assert content(file) == {}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["keep_runz", "1"], "keep_runz: unknown key; did you mean keep_runs?"),
        (["id", "x"], "id: only allowed in [monitors.NAME]"),
        (["monitors.a.api_key_file", "x"], "only allowed at the top of the file"),
        (["monitors.a", "x"], "write monitors.NAME.KEY"),
        (["monitors.a/b.timeout", "1"], "invalid monitor"),
        (["timeout", "soon"], "timeout: invalid duration 'soon'"),
        (["timeout", "1", "2"], "timeout: expected one value, got 2"),
        (["http_timeout", "0"], "greater than zero"),
        (["keep_runs", "many"], "whole number"),
        (["allow_http", "perhaps"], "not a boolean"),
        (["redact", "a", "("], "invalid regular expression"),
        (["monitors.a.id", "../x"], "invalid monitor"),
        (["headers", "x"], "use headers.NAME"),
    ],
)
def test_what_does_not_fit_is_a_usage_error_and_nothing_is_written(
    crontify: Crontify, file: Path, words: list[str], says: str
) -> None:
    done = crontify("config", "set", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("crontify: ")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not file.exists()


@pytest.mark.parametrize("key", ["api_key", "token", "headers.X-Secret"])
def test_a_secret_is_read_from_stdin_and_never_shown(
    crontify: Crontify, file: Path, key: str
) -> None:
    refused = crontify("config", "set", key, KEY)
    assert refused.returncode == 2
    assert "visible in ps" in refused.stderr
    assert not file.exists()
    done = crontify("config", "set", key, input=f"{KEY}\nmore\n")
    assert done.returncode == 0
    assert KEY in file.read_text()
    said = refused.stderr + done.stdout + done.stderr
    got = crontify("config", "get", key)
    assert got.stdout == "ck_live_…1234\n"
    for words in (["list"], ["list", "--json"], ["check"]):
        shown = crontify("config", *words)
        assert shown.returncode == 0
        said += shown.stdout + shown.stderr
    assert KEY not in said
    assert "ck_live_…1234" in said


def test_a_proxys_password_is_neither_taken_as_an_argument_nor_shown(
    crontify: Crontify, file: Path
) -> None:
    url = "http://user:hunter2@proxy.example:3128"
    assert crontify("config", "set", "proxy", url).returncode == 2
    assert crontify("config", "set", "proxy", input=url).returncode == 0
    assert content(file) == {"proxy": url}
    assert crontify("config", "get", "proxy").stdout == "http://…@proxy.example:3128\n"


def test_a_secret_typed_on_a_terminal_is_not_echoed(file: Path) -> None:
    output = on_terminal(["config", "set", "api_key"], ("api_key:", KEY))
    assert content(file) == {"api_key": KEY}
    assert KEY not in output


def on_terminal(words: list[str], *dialogue: tuple[str, str]) -> str:
    """Run `crontify WORDS` on a terminal of its own and return its output.

    dialogue: what to wait for, and what to type then; a prompt without echo throws away
        what was typed before it.
    """
    with Terminal() as terminal:
        process = terminal.start([*PROGRAM, *words])
        for prompt, line in dialogue:
            terminal.read_until(prompt)
            terminal.type_line(line)
        process.wait(60)
        return terminal.read_to_end()


def test_list_is_a_table_on_a_terminal_and_tab_separated_in_a_pipe(
    crontify: Crontify, file: Path
) -> None:
    put(
        file,
        f'api_key = "{KEY}"\nredact = ["a\\tb"]\n[headers]\nX-A = "hunter2"\n'
        '[monitors.backup]\ntimeout = "90s"',
    )
    out = crontify("config", "list", env={"CRONTIFY_BASE_URL": "https://x"}).stdout
    found = {line.split("\t")[0]: line.split("\t")[1:] for line in out.splitlines()}
    assert all(len(line.split("\t")) == 3 for line in out.splitlines())
    assert found["api_key"] == ["ck_live_…1234", f"file:{file}"]
    assert found["base_url"] == ["https://x", "env:CRONTIFY_BASE_URL"]
    assert found["keep_runs"] == ["10000", "default"]
    assert found["token"] == ["", "default"]
    assert found["redact"] == ['["a\\tb"]', f"file:{file}"]
    assert found["headers.X-A"] == ["…", f"file:{file}"]
    assert found["monitors.backup.id"] == ["backup", "default"]
    assert found["monitors.backup.timeout"] == ["1m30s", f"file:{file}"]
    shown = on_terminal(["config", "list"])
    assert "Source" in shown
    assert "\t" not in shown
    assert KEY not in shown


def test_list_as_json_has_a_stable_shape(crontify: Crontify, file: Path) -> None:
    put(file, 'redact = ["a"]\n[monitors.b]\nno_log = true')
    rows = json.loads(crontify("config", "list", "--json").stdout)
    found = {row["key"]: row for row in rows}
    document = (Path(__file__).parent.parent / "docs/output.md").read_text()
    section = document.split("crontify config list --json`\n")[1].split("\n## ")[0]
    keys = re.findall(r"^\| `(\w+)`", section, re.MULTILINE)
    assert all([*row] == keys for row in rows)
    assert found["redact"]["value"] == ["a"]
    assert found["redact"]["from"] == str(file)
    assert found["keep_runs"] == {
        "key": "keep_runs",
        "value": 10000,
        "source": "default",
        "from": None,
    }
    assert found["proxy"]["value"] is None
    assert found["monitors.b.no_log"]["value"] is True


def test_of_a_credential_the_one_in_force_is_listed(crontify: Crontify, file: Path) -> None:
    put(file, f'api_key = "{KEY}"')
    env = {"CRONTIFY_API_KEY_FILE": "/k"}
    assert crontify("config", "get", "api_key", env=env).returncode == 1
    assert crontify("config", "get", "api_key_file", env=env).stdout == "/k\n"


def test_get_says_by_its_exit_code_that_nothing_is_set(crontify: Crontify, file: Path) -> None:
    done = crontify("config", "get", "proxy")
    assert (done.returncode, done.stdout) == (1, "")
    assert crontify("config", "get", "monitors.x.id").stdout == "x\n"
    put(file, 'timeout = "5m"\n[monitors.x]\nkill_after = 1')
    assert crontify("config", "get", "monitors.x.timeout").stdout == "5m\n"


def test_get_from_a_file_with_an_error_is_a_failure(crontify: Crontify, file: Path) -> None:
    file.parent.mkdir(parents=True)
    for content in ("not toml", 'keep_runs = "many"\n'):
        file.write_text(content)
        done = crontify("config", "get", "report_timeout")
        assert done.returncode == 1
        assert done.stdout == "20s\n"
        assert str(file) in done.stderr


def test_another_key_for_the_same_credential_has_to_go_first(
    crontify: Crontify, file: Path
) -> None:
    put(file, 'api_key_file = "/k"')
    done = crontify("config", "set", "api_key", input=KEY)
    assert done.returncode == 1
    assert "run crontify config unset api_key_file first" in done.stderr
    assert content(file) == {"api_key_file": "/k"}


def test_unset_takes_unknown_keys_and_whole_sections_too(crontify: Crontify, file: Path) -> None:
    put(file, "nonsense = 1\n[monitors.'db.example']\ntimeout = 1\n[monitors.b]\ntimeout = 2")
    assert crontify("config", "unset", "nonsense").returncode == 0
    assert crontify("config", "unset", "monitors.db.example").returncode == 0
    assert content(file) == {"monitors": {"b": {"timeout": 2}}}
    done = crontify("config", "unset", "monitors.b.kill_after")
    assert done.returncode == 1
    assert "not set" in done.stderr
    assert crontify("config", "unset", "monitors.b").returncode == 0
    assert content(file) == {}


def test_check_lists_every_problem_and_says_ok_where_there_is_none(
    crontify: Crontify, file: Path
) -> None:
    assert crontify("config", "check").returncode == 0
    put(file, 'a = 1\ntimeout = "x"\nbase_url = "http://far"\napi_key_file = "/no/such"')
    done = crontify("config", "check")
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("crontify: ") for line in lines)
    put(file, f'api_key = "{KEY}"')
    file.chmod(0o644)
    done = crontify("config", "check")
    assert (done.returncode, done.stdout) == (0, f"{file}: ok\n")
    assert f"chmod 600 {file}" in done.stderr


def test_a_file_that_does_not_parse_is_never_overwritten(crontify: Crontify, file: Path) -> None:
    put(file, "keep_runs = ")
    for words in (["set", "keep_days", "1"], ["unset", "keep_days"]):
        done = crontify("config", *words)
        assert done.returncode == 1
        assert "not valid TOML" in done.stderr
        assert file.read_text() == "keep_runs = "


def test_comments_are_kept_in_the_old_file_beside(crontify: Crontify, file: Path) -> None:
    put(file, "# why\nkeep_runs = 1\n")
    done = crontify("config", "set", "keep_runs", "2")
    backup = Path(f"{file}.bak")
    assert str(backup) in done.stderr
    assert backup.read_text() == "# why\nkeep_runs = 1\n"
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert content(file) == {"keep_runs": 2}


def test_a_symlink_stays_and_its_target_is_changed(
    crontify: Crontify, file: Path, tmp_path: Path
) -> None:
    target = tmp_path / "dotfiles/crontify.toml"
    put(target, "keep_runs = 1")
    target.chmod(0o644)
    file.parent.mkdir(parents=True)
    file.symlink_to(target)
    done = crontify("config", "set", "keep_runs", "2")
    assert "readable only by you (mode 0600, was 0644)" in done.stderr
    assert file.is_symlink()
    assert content(target) == {"keep_runs": 2}
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change another's file")
def test_roots_change_leaves_a_users_file_the_users(crontify: Crontify, file: Path) -> None:
    put(file, "keep_runs = 1")
    os.chown(file, 54321, 54321)
    assert crontify("config", "set", "keep_runs", "2").returncode == 0
    assert (file.stat().st_uid, file.stat().st_gid) == (54321, 54321)


def test_a_place_that_cannot_be_written_is_named(
    crontify: Crontify, home: Path, file: Path
) -> None:
    (home / ".config").write_text("no directory")
    done = crontify("config", "set", "keep_runs", "2")
    assert done.returncode == 1
    assert f"cannot write {file}: " in done.stderr


def test_twenty_at_once_lose_no_change(file: Path) -> None:
    commands = [
        subprocess.Popen(
            [*PROGRAM, "config", "set", f"monitors.m{n}.id", f"cl{n}"],
            stdin=subprocess.DEVNULL,
        )
        for n in range(20)
    ]
    assert [command.wait(120) for command in commands] == [0] * 20
    assert content(file) == {"monitors": {f"m{n}": {"id": f"cl{n}"} for n in range(20)}}
    assert not [name for name in os.listdir(file.parent) if name.endswith(".new")]


@pytest.mark.parametrize("call", ["os.fsync", "os.rename", "os.unlink", "tomli_w.dumps"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_crash_in_the_middle_leaves_the_old_file_or_the_new(
    crontify: Crontify, file: Path, call: str, nth: int
) -> None:
    put(file, "keep_runs = 1 # old")
    program = (
        "import os, tomli_w\n"
        "from crontify_cli.config.change import change\n"
        f"real, calls = {call}, []\n"
        "def crash(*args):\n"
        "    calls.append(1)\n"
        f"    os.kill(os.getpid(), 9) if len(calls) == {nth} else None\n"
        "    return real(*args)\n"
        f"{call} = crash\n"
        f"change({str(file)!r}, lambda content: content.update(keep_runs=2))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    assert content(file) in ({"keep_runs": 1}, {"keep_runs": 2})
    # And nothing that the crash left stands in the next one's way.
    assert crontify("config", "set", "keep_runs", "3").returncode == 0
    assert content(file) == {"keep_runs": 3}


def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new(
    file: Path, crontify: Crontify
) -> None:
    """A writer that writes without a pause, killed again and again."""
    put(file, "keep_runs = 0")
    program = (
        "import sys\nfrom crontify_cli.config.change import change\n"
        "for number in range(int(sys.argv[1]), 1000000):\n"
        f"    change({str(file)!r}, lambda content: content.update(keep_runs=number, "
        "redact=['x' * 50000]))\n"
        "    print(number, flush=True)\n"
    )
    told = 0
    for turn in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-c", program, str(told + 1)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout
        writer.stdout.readline()  # it is at it
        time.sleep(0.0007 * turn)
        writer.kill()
        told = max([told + 1, *map(int, writer.stdout.read().split())])
        writer.wait()
        found = content(file)
        assert found["redact"] == ["x" * 50000]
        assert found["keep_runs"] in (told, told + 1)  # it may have died before it told
        told = found["keep_runs"]
    assert crontify("config", "set", "keep_runs", "3").returncode == 0
    assert sorted(os.listdir(file.parent)) == [".config.toml.lock", "config.toml"]


@pytest.fixture
def editor(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """An editor that does one thing to the file: a line of shell with the file as $1."""

    def make(shell: str) -> dict[str, str]:
        script = tmp_path / "my editor"
        script.write_text(f'#!/bin/sh\nstat -c %a "$1" >> {tmp_path}/modes\n{shell}\n')
        script.chmod(0o755)
        return {"EDITOR": f"'{script}' "}

    return make


Editor = Callable[[str], dict[str, str]]


def test_edit_puts_what_is_right_in_place_with_its_comments(
    crontify: Crontify, file: Path, editor: Editor, tmp_path: Path
) -> None:
    put(file, "# why\nkeep_runs = 1\n")
    done = crontify("config", "edit", env=editor("sed -i s/1/2/ $1"))
    assert (done.returncode, done.stderr) == (0, "")
    assert file.read_text() == "# why\nkeep_runs = 2\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (tmp_path / "modes").read_text() == "600\n"
    assert sorted(os.listdir(file.parent)) == [".config.toml.lock", "config.toml"]


def test_edit_keeps_the_old_after_asking_where_something_is_wrong(
    crontify: Crontify, file: Path, editor: Editor
) -> None:
    put(file, "keep_runs = 1\n")
    env = editor("echo keep_days = x >> $1")
    for answer in ("n\n", ""):
        done = crontify("config", "edit", env=env, input=answer)
        assert done.returncode == 1
        assert f"{file}: not valid TOML" in done.stderr
        assert file.read_text() == "keep_runs = 1\n"
    again = editor("grep -q x $1 && sed -i s/x/5/ $1 || echo keep_days = x >> $1")
    assert crontify("config", "edit", env=again, input="y\n").returncode == 0
    assert content(file) == {"keep_runs": 1, "keep_days": 5}


def test_edit_opens_a_broken_file_for_mending(
    crontify: Crontify, file: Path, editor: Editor
) -> None:
    put(file, "keep_runs = ")
    assert crontify("config", "edit", env=editor("echo 5 >> $1")).returncode == 0
    assert content(file) == {"keep_runs": 5}


def test_edit_begins_with_every_key_as_a_comment(
    crontify: Crontify, file: Path, editor: Editor, tmp_path: Path
) -> None:
    done = crontify("config", "edit", env=editor(f"cp $1 {tmp_path}/template"))
    assert "unchanged" in done.stderr
    assert not file.exists()
    template = (tmp_path / "template").read_text()
    assert tomllib.loads(template) == {}
    assert all(f"#{key.name} = " in template for key in keys.KEYS)
    live = "\n".join(
        line[1:] for line in template.splitlines() if line.startswith("#") and line[1:2] != " "
    )
    assert set(tomllib.loads(live)) | set(tomllib.loads(live)["monitors"]["backup"]) >= set(
        keys.BY_NAME
    )


def test_edit_does_not_overwrite_anothers_change(
    crontify: Crontify, file: Path, editor: Editor
) -> None:
    put(file, "keep_runs = 1\n")
    done = crontify("config", "edit", env=editor(f"echo keep_days = 2 >> $1; : > {file}"))
    assert done.returncode == 1
    assert file.read_text() == ""
    kept = Path(done.stderr.strip().rpartition(" ")[2])
    assert content(kept) == {"keep_runs": 1, "keep_days": 2}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_an_editor_that_fails_or_is_missing_changes_nothing(
    crontify: Crontify, file: Path, editor: Editor
) -> None:
    put(file, "keep_runs = 1\n")
    for env in (editor("echo >> $1; exit 3"), {"VISUAL": "/no/such/editor"}, {"EDITOR": "'"}):
        done = crontify("config", "edit", env=env)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert file.read_text() == "keep_runs = 1\n"


words_for = {
    DURATION: st.integers(0, 10**8).map(lambda ms: f"{ms / 1000:.3f}"),
    PAUSE: st.integers(1, 10**8).map(lambda ms: f"{ms / 1000:.3f}"),
    COUNT: st.integers(0, 10**6).map(str),
    SWITCH: st.sampled_from(["true", "no"]),
    CODES: st.lists(st.tuples(st.integers(0, 99), st.integers(99, 255)), min_size=1).map(
        lambda ranges: ",".join(f"{a}-{b}" for a, b in ranges)
    ),
}


@settings(max_examples=150)
@given(st.sampled_from([key for key in keys.KEYS if key.kind in words_for]), st.data())
def test_what_is_shown_is_taken_back_as_the_same_value(key: keys.Key, data: st.DataObject) -> None:
    typed = key.kind.read(key.kind.write([data.draw(words_for[key.kind])]))
    text = format_value(key, Value(typed, typed, "file"))
    word = str(text).lower() if isinstance(text, bool) else str(text)
    assert key.kind.read(key.kind.write([word])) == typed
