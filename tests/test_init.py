"""`crontify init`: three answers become a config file and a crontab line that works."""

import os
import stat
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crontify_cli.cli.crontab_line import NIGHTLY, Job, crontab_line, parse_job

from .conftest import Crontify
from .programs import PROGRAM
from .server import KEY, ApiServer
from .test_config_command import on_terminal


@pytest.fixture
def file(home: Path) -> Path:
    return home / ".config/crontify/config.toml"


def answers(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def test_three_answers_become_a_config_file_and_a_crontab_line(
    crontify: Crontify, file: Path
) -> None:
    done = crontify("init", input=answers(KEY, "backup=clxxx", "*/5 * * * * python3 /srv/job.py"))
    assert done.returncode == 0
    program = f"{sysconfig.get_path('scripts')}/crontify"
    assert done.stdout == f"*/5 * * * * {program} exec backup -- python3 /srv/job.py\n"
    assert tomllib.loads(file.read_text()) == {
        "api_key": KEY,
        "monitors": {"backup": {"id": "clxxx"}},
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert KEY not in done.stdout + done.stderr


def test_the_server_that_only_this_shell_knows_is_written_too(
    crontify: Crontify, file: Path
) -> None:
    """As after pasting what `sandbox serve` prints: cron would report somewhere else."""
    env = {"CRONTIFY_BASE_URL": "http://127.0.0.1:8787/api/v1/"}
    done = crontify("init", input=answers(KEY, "backup", "job"), env=env)
    assert "cron does not set CRONTIFY_BASE_URL" in done.stderr
    assert tomllib.loads(file.read_text())["base_url"] == "http://127.0.0.1:8787/api/v1"
    assert crontify("init", input=answers(KEY, "b", "job")).returncode == 0
    assert tomllib.loads(file.read_text())["base_url"] == "http://127.0.0.1:8787/api/v1"


def test_the_program_is_named_as_it_was_called(file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "my bin"
    elsewhere.mkdir()
    program = elsewhere / "crontify"
    program.symlink_to(f"{sysconfig.get_path('scripts')}/crontify")
    done = subprocess.run(
        ["my bin/crontify", "init"],
        input=answers(KEY, "clxxx", "job"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{NIGHTLY} '{program}' exec clxxx -- job\n"
    assert "monitors" not in file.read_text()


def test_another_config_file_stands_in_the_line(crontify: Crontify, tmp_path: Path) -> None:
    done = crontify("--config", "50% x.toml", "init", input=answers(KEY, "clxxx", "@daily job"))
    assert (tmp_path / "50% x.toml").exists()
    assert f"exec --config '{tmp_path}/50\\% x.toml' clxxx -- job" in done.stdout
    assert done.stdout.startswith("@daily ")


def test_on_a_terminal_the_key_is_not_shown(file: Path) -> None:
    output = on_terminal(
        ["init"], ("API key", KEY), ("Monitor", "clxxx"), ("Job", "job"), ("Test", "n")
    )
    assert tomllib.loads(file.read_text()) == {"api_key": KEY}
    assert KEY not in output


def test_a_wrong_answer_on_a_terminal_is_asked_for_again(file: Path) -> None:
    output = on_terminal(
        ["init"],
        *(("API key", "no key"), ("API key", KEY)),
        *(("Monitor (", "../x"), ("Monitor (", "clxxx"), ("Job", "job"), ("Test", "n")),
    )
    assert "not a key or token" in output
    assert "invalid monitor '../x'" in output
    assert tomllib.loads(file.read_text()) == {"api_key": KEY}


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ((), "no answer on stdin"),
        (("",), "empty"),
        (("hunter2 x",), "not a key or token"),
        ((KEY,), "no answer on stdin"),
        ((KEY, "a/b"), "invalid monitor"),
        ((KEY, "a=b/c"), "invalid monitor"),
        ((KEY, "clxxx", ""), "the command is missing"),
        ((KEY, "clxxx", "0 3 * * *"), "the command is missing"),
        ((KEY, "clxxx", "# 0 3 * * * job"), "it is a comment; leave out the #"),
        ((KEY, "clxxx", "0 3 * * * # job"), "it is a comment; leave out the #"),
        ((KEY, "clxxx", "0 3 31 2 * job"), "the job would never run: nothing matches 0 3 31 2 *"),
        ((KEY, "clxxx", "a 'b"), "a quote or a parenthesis is not closed"),
    ],
)
def test_a_wrong_line_of_stdin_ends_it_before_anything_is_written(
    crontify: Crontify, file: Path, lines: tuple[str, ...], says: str
) -> None:
    done = crontify("init", input=answers(*lines))
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""
    assert "hunter2" not in done.stderr
    assert not file.exists()


def test_what_the_file_has_is_kept_and_an_empty_answer_keeps_the_key(
    crontify: Crontify, file: Path
) -> None:
    file.parent.mkdir(parents=True)
    file.write_text('api_key_file = "/k"\nkeep_runs = 5\n')
    assert crontify("init", input=answers("", "b=cl1", "job")).returncode == 0
    kept = {"api_key_file": "/k", "keep_runs": 5, "monitors": {"b": {"id": "cl1"}}}
    assert tomllib.loads(file.read_text()) == kept
    assert crontify("init", input=answers(KEY, "cl1", "job")).returncode == 0
    assert "api_key_file" not in file.read_text()
    assert f'api_key = "{KEY}"' in file.read_text()


def test_a_broken_config_file_is_named_before_anything_is_asked(
    crontify: Crontify, file: Path
) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("api_key = ")
    done = crontify("init", input=answers(KEY, "clxxx", "job"))
    assert done.returncode == 1
    assert "correct the file with crontify config edit" in done.stderr
    assert file.read_text() == "api_key = "


def test_the_key_is_tried_only_on_a_yes_and_no_real_monitor_is_touched(
    crontify: Crontify, file: Path, api: ApiServer
) -> None:
    env = {"CRONTIFY_BASE_URL": api.url}
    api.monitors = {"clxxx"}
    for no in ((), ("",), ("n",)):
        crontify("init", input=answers(KEY, "clxxx", "job", *no), env=env)
    assert api.requests == []
    done = crontify("init", input=answers(KEY, "clxxx", "job", "y"), env=env)
    assert done.returncode == 0
    assert "the server accepts the key" in done.stderr
    (request,) = api.requests
    assert request.headers["x-api-key"] == KEY
    assert "clxxx" not in request.path
    # The key that the file has is tried, too.
    assert "accepts the key" in crontify("init", input=answers("", "b", "job", "y"), env=env).stderr


def test_a_key_that_is_refused_is_not_written(
    crontify: Crontify, file: Path, api: ApiServer
) -> None:
    wrong = "ck_live_Zq8Vt3Nw6Rx1Ky5P1234"
    env = {"CRONTIFY_BASE_URL": api.url}
    done = crontify("init", input=answers(wrong, "clxxx", "job", "y"), env=env)
    assert done.returncode == 1
    assert "rejected the API key (401: Missing or invalid API key)" in done.stderr
    assert wrong not in done.stderr
    assert not file.exists()


def test_in_one_file_the_line_follows_what_announces_it(file: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "init"],
        input=answers(KEY, "clxxx", "/bin/job", "n"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    *_, announced, line, hint = done.stdout.splitlines()
    assert announced == "crontify: add this line to your crontab with crontab -e:"
    assert line.startswith("0 3 * * * ")
    assert hint == "crontify: 'crontify crontab wrap' monitors the jobs of a whole crontab"


def test_at_the_end_it_offers_to_wrap_the_crontab(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "table"
    table.write_text("0 1 * * * /bin/true\n")
    (tmp_path / "bin").mkdir()
    crontab = tmp_path / "bin/crontab"
    crontab.write_text(
        f"#!/bin/sh\ncase $1 in -l) cat {table};; -) cat >{table};; *) exit 1;; esac\n"
    )
    crontab.chmod(0o755)
    asked = [("API key", KEY), ("Monitor", "clxxx"), ("Job", "job"), ("Test", "n")]
    monkeypatch.setenv("PATH", f"{crontab.parent}:{os.environ['PATH']}")
    output = on_terminal(["init"], *asked, ("Wrap the 1 job", "n"))
    assert "crontify crontab wrap" in output
    assert table.read_text() == "0 1 * * * /bin/true\n"
    on_terminal(["init"], *asked, ("Wrap the 1 job", "y"), ("line 1 as true", "y"))
    assert table.read_text().endswith("/crontify exec true -- /bin/true\n")


def test_an_api_that_is_away_is_said_and_the_rest_done(crontify: Crontify, file: Path) -> None:
    env = {"CRONTIFY_BASE_URL": "http://127.0.0.1:1"}
    done = crontify("init", input=answers(KEY, "clxxx", "job", "y"), env=env)
    assert done.returncode == 0
    assert "key not tested: http://127.0.0.1:1 cannot be reached" in done.stderr
    assert file.exists()
    far = {"CRONTIFY_BASE_URL": "http://far.example"}
    done = crontify("init", input=answers(KEY, "clxxx", "job", "y"), env=far)
    assert "allow_http" in done.stderr


@pytest.mark.parametrize(
    ("text", "schedule", "command"),
    [
        ("0 3 * * * job", "0 3 * * *", "job"),
        ("*/5\t0-6,8 * JAN-mar Mon,3  job  a", "*/5 0-6,8 * JAN-mar Mon,3", "job  a"),
        ("@reboot job", "@reboot", "job"),
        ("job 1 2 3 4 5", NIGHTLY, "job 1 2 3 4 5"),
        ("date +%F", NIGHTLY, r"date +\%F"),
        (r"0 3 * * * date +\%F", "0 3 * * *", r"date +\%F"),
    ],
)
def test_a_job_is_a_crontab_line_or_a_command_alone(text: str, schedule: str, command: str) -> None:
    assert parse_job(text) == Job(schedule, command)


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("job a", "m -- job a"),
        ("'my job' $HOME/*", "m -- 'my job' $HOME/*"),
        ("job >> log 2>&1", "m -- job >> log 2>&1"),
        ("job '|' a", "m -- job '|' a"),
        ("a | b", "m --shell -- 'a | b'"),
        ("cd /x && a 'b'", r"m --shell -- 'cd /x && a '\''b'\'''"),
        ("A=1 job", "m --shell -- 'A=1 job'"),
        ("a; b", "m --shell -- 'a; b'"),
        ("cd /x", "m --shell -- 'cd /x'"),
    ],
)
def test_more_than_one_plain_command_goes_through_the_shell(command: str, line: str) -> None:
    assert crontab_line(Job("@daily", command), "m", "/c", None) == f"@daily /c exec {line}"


words = st.text("abc '\"|&;$%>\\*()", min_size=1).filter(str.strip)


@given(words)
def test_any_command_becomes_a_line_or_an_error_for_a_person(text: str) -> None:
    try:
        job = parse_job(text)
    except ValueError as error:
        message = str(error)
    else:
        message = crontab_line(job, "m", "/c", None)
    assert message.isprintable()


@pytest.mark.parametrize(
    "command", ["echo a b", "echo a | tr a b", "printf '%s\\n' 'x y' \"$0\"", "A=7; echo $A"]
)
def test_cron_would_run_the_line_as_it_would_have_run_the_command(
    command: str, tmp_path: Path
) -> None:
    """What sh makes of the line once cron has turned `\\%` to `%`, with a stand-in for exec."""
    stand_in = tmp_path / "c"
    stand_in.write_text(
        '#!/bin/sh\nif [ "$3" = --shell ]; then exec /bin/sh -c "$5"; fi\nshift 3; exec "$@"\n'
    )
    stand_in.chmod(0o755)
    job = parse_job(f"0 0 1 1 * {command}")
    line = crontab_line(job, "m", str(stand_in), None).removeprefix("0 0 1 1 * ")

    def run(text: str) -> bytes:
        return subprocess.run(
            ["/bin/sh", "-c", text.replace("\\%", "%")], capture_output=True
        ).stdout

    assert run(line) == run(job.command) != b""
