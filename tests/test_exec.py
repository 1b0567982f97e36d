"""`crontify exec` from the command line to the server, as its users rely on it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crontify_cli.job.supervisor import SOON
from crontify_cli.report.excerpt import units
from tests.conftest import Crontify
from tests.programs import PROGRAM, need
from tests.server import KEY, ApiServer, settings

PYTHON = sys.executable
HEAVY = {
    *("typer", "click", "h11", "rich", "platformdirs", "tomllib", "sqlite3", "subprocess"),
    *("dataclasses", "logging", "argparse", "typing", "re", "signal", "enum", "json"),
}


def test_a_success_is_start_then_success_as_the_seed_shows(
    crontify: Crontify, api: ApiServer
) -> None:
    done = crontify("exec", "backup", "--", "echo", "two words", env=settings(api))
    assert (done.returncode, done.stdout, done.stderr) == (0, "two words\n", "")
    start, success = api.requests
    assert (start.method, start.path) == ("POST", "/api/v1/ping/backup/start")
    assert (success.method, success.path) == ("POST", "/api/v1/ping/backup/success")
    assert start.headers["x-api-key"] == success.headers["x-api-key"] == KEY
    assert start.body == b""
    assert "content-type" not in start.headers
    assert success.headers["content-type"] == "application/json"
    assert set(success.json) == {"meta"}
    assert success.json["meta"]["exit_code"] == 0
    assert success.json["meta"]["output_bytes"] == len("two words\n")


NEEDLESS = {
    *("httpx", "httpcore", "ssl", "urllib.parse", "urllib.request", "email.utils", "http.client"),
    *("random", "hashlib", "base64", "pathlib", "traceback", "platform", "ipaddress", "tempfile"),
    *(
        "logging",
        "signal",
        "socket",
        "subprocess",
        "unicodedata",
        "encodings.idna",
        "regex",
        "socksio",
    ),
    *("crontify_cli.report.cause", "crontify_cli.report.patterns", "crontify_cli.crash"),
    *("crontify_cli.delivery.tls", "crontify_cli.delivery.recovery"),
}


def test_a_run_that_succeeds_loads_only_what_it_needs(api: ApiServer) -> None:
    """Loading is most of what a run costs."""
    done = subprocess.run(
        [PYTHON, "-X", "importtime", "-m", "crontify_cli", "exec", "backup", "--", "true"],
        env={**os.environ, **settings(api)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert api.kinds() == ["start", "success"]
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"h11", "sqlite3", "crontify_cli.delivery.api"} <= loaded
    assert loaded & NEEDLESS == set()


def test_only_a_run_that_lasts_collects_garbage(api: ApiServer, tmp_path: Path) -> None:
    """While modules are loaded there is none to collect."""
    called, collected = tmp_path / "called", tmp_path / "collected"
    (tmp_path / "sitecustomize.py").write_text(
        "import gc, sys\n"
        "real = gc.enable\n"
        "def enable():\n"
        "    real()\n"
        f"    open({str(called)!r}, 'a').write(str(gc.isenabled()))\n"
        "gc.enable = enable\n"
        "def note(*_):\n"
        f"    'h11' in sys.modules and open({str(collected)!r}, 'a').close()\n"
        "gc.callbacks.append(note)\n"
    )
    env = {**os.environ, **settings(api), "PYTHONPATH": str(tmp_path)}

    def run(*job: str) -> float:
        for file in (called, collected):
            file.unlink(missing_ok=True)
        began = time.monotonic()
        subprocess.run([*PROGRAM, "exec", "backup", "--", *job], env=env, check=True, timeout=60)
        return time.monotonic() - began

    # On a busy machine the shortest run may last as long.
    assert any(run("true") < SOON for _ in range(20))
    assert not called.exists()
    assert not collected.exists()
    run("sh", "-c", f"until [ -s {called} ]; do sleep 0.1; done")
    assert called.read_text() == "True"


def test_a_failure_brings_message_meta_and_log_and_the_jobs_exit_code(
    crontify: Crontify, api: ApiServer
) -> None:
    script = "echo out; echo err >&2; exit 33"
    done = crontify("exec", "backup", "--", "sh", "-c", script, env=settings(api))
    assert (done.returncode, done.stdout, done.stderr) == (33, "out\n", "err\n")
    assert api.kinds() == ["start", "fail"]
    body = api.requests[1].json
    assert set(body) == {"errorMessage", "meta", "logOutput"}
    assert body["errorMessage"] == "exited with code 33: err"
    assert body["meta"]["exit_code"] == 33
    assert sorted(body["logOutput"].splitlines()) == ["err", "out"]


def test_both_streams_are_logged_in_the_order_they_came(api: ApiServer, tmp_path: Path) -> None:
    """The job goes on only when its last line came through: nothing is held back."""
    script = (
        "next() { until [ -e step$1 ]; do sleep .01; done; };"
        "for n in 1 2 3; do echo out$n; next out$n; echo err$n >&2; next err$n; done; exit 1"
    )
    process = subprocess.Popen(
        [*PROGRAM, "exec", "backup", "--", "sh", "-c", script],
        cwd=tmp_path,
        env={**os.environ, **settings(api)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    for number in (1, 2, 3):
        for stream, name in ((process.stdout, "out"), (process.stderr, "err")):
            assert stream.readline() == f"{name}{number}\n"
            (tmp_path / f"step{name}{number}").touch()
    process.communicate(timeout=60)
    assert process.returncode == 1
    log = api.requests[-1].json["logOutput"]
    assert log.split() == ["out1", "err1", "out2", "err2", "out3", "err3"]


@pytest.mark.parametrize("dashes", [(), ("--",)])
def test_the_first_word_after_the_monitor_begins_the_command(
    crontify: Crontify, api: ApiServer, dashes: tuple[str, ...]
) -> None:
    done = crontify("exec", "backup", *dashes, "echo", "--timeout", "-q", "--", env=settings(api))
    assert done.stdout == "--timeout -q --\n"


def test_a_missing_command_is_127_and_reported(crontify: Crontify, api: ApiServer) -> None:
    done = crontify("exec", "backup", "--", "no-such-program", env=settings(api))
    assert done.returncode == 127
    assert "no-such-program: command not found" in done.stderr
    assert "no-such-program: command not found" in api.requests[-1].json["errorMessage"]
    assert api.requests[-1].json["meta"]["exit_code"] == 127


def test_a_file_without_run_bit_is_126_and_reported(
    crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    (tmp_path / "job").write_text("#!/bin/sh\n")
    done = crontify("exec", "backup", "--", "./job", env=settings(api))
    assert done.returncode == 126
    assert "./job: not executable" in api.requests[-1].json["errorMessage"]


def test_a_missing_interpreter_is_127_and_named(
    crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    (tmp_path / "job").write_text("#!/no/such/interpreter\n")
    (tmp_path / "job").chmod(0o755)
    done = crontify("exec", "backup", "--", "./job", env=settings(api))
    assert done.returncode == 127
    assert "its interpreter is missing" in api.requests[-1].json["errorMessage"]


def test_a_script_without_shebang_runs_as_it_would_from_a_shell(
    crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    (tmp_path / "job").write_text("echo from sh $1\n")
    (tmp_path / "job").chmod(0o755)
    done = crontify("exec", "backup", "--", "./job", "here", env=settings(api))
    assert (done.returncode, done.stdout) == (0, "from sh here\n")


def test_a_job_killed_by_sigkill_is_137_and_reported(crontify: Crontify, api: ApiServer) -> None:
    done = crontify("exec", "backup", "--", "sh", "-c", "kill -9 $$", env=settings(api))
    assert done.returncode == 128 + signal.SIGKILL
    assert api.requests[-1].json["errorMessage"] == "terminated by SIGKILL"


@pytest.mark.parametrize("monitor", ["../x", "a b", "a/b", "", "ü", "..", "a" * 129])
def test_a_monitor_that_no_url_can_hold_is_a_usage_error(
    crontify: Crontify, api: ApiServer, tmp_path: Path, monitor: str
) -> None:
    done = crontify("exec", monitor, "--", "touch", "ran", env=settings(api))
    assert done.returncode == 2
    assert "invalid monitor" in done.stderr
    assert not (tmp_path / "ran").exists()
    assert api.requests == []


def test_without_a_key_the_job_runs_and_one_line_says_so(crontify: Crontify) -> None:
    done = crontify("exec", "backup", "--", "sh", "-c", "echo done; exit 5")
    assert (done.returncode, done.stdout) == (5, "done\n")
    assert len(done.stderr.splitlines()) == 1
    assert "no API key" in done.stderr


def test_a_broken_config_costs_the_job_nothing_and_the_report_waits(
    crontify: Crontify, api: ApiServer, home: Path
) -> None:
    config = home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("this is = = no TOML")
    done = crontify("exec", "backup", "--", "echo", "ran", env=settings(api))
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert "config.toml" in done.stderr
    assert api.requests == []
    config.write_text("")
    assert crontify("flush", env=settings(api)).returncode == 0
    assert api.kinds() == ["success"]


def test_an_alias_stands_for_its_id(crontify: Crontify, api: ApiServer, home: Path) -> None:
    config = home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[monitors.backup]\nid = "clabc123"\n')
    crontify("exec", "backup", "--", "true", env=settings(api))
    assert [request.path.split("/")[4] for request in api.requests] == ["clabc123", "clabc123"]


def test_a_wrong_key_is_said_once_and_costs_the_job_nothing(
    crontify: Crontify, api: ApiServer
) -> None:
    env = {**settings(api), "CRONTIFY_API_KEY": "ck_live_wrong_wrong_wrong"}
    done = crontify("exec", "backup", "--", "echo", "ran", env=env)
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert done.stderr.count("401") == 1
    assert "check CRONTIFY_API_KEY" in done.stderr
    assert "wrong_wrong" not in done.stderr


def test_the_numbers_of_flags_and_of_the_job_go_into_the_meta(
    crontify: Crontify, api: ApiServer
) -> None:
    script = 'printf "rows=17\\nratio = 0.5\\nnonsense\\nflag=3" >> "$CRONTIFY_META"'
    done = crontify(
        *("exec", "backup", "--meta", "flag=2", "--meta=other=-1.5", "--", "sh", "-c", script),
        env=settings(api),
    )
    meta = api.requests[-1].json["meta"]
    assert (meta["rows"], meta["ratio"], meta["flag"], meta["other"]) == (17, 0.5, 3, -1.5)
    assert done.stderr.count("\n") == 1
    assert "nonsense" in done.stderr


def test_numbers_are_found_in_the_output(crontify: Crontify, api: ApiServer) -> None:
    script = "echo copied 3 files; echo copied 12 files; echo done"
    regex = r"copied (?P<files>\d+) files"
    crontify("exec", "backup", "--meta-regex", regex, "--", "sh", "-c", script, env=settings(api))
    assert api.requests[-1].json["meta"]["files"] == 12


def test_our_key_is_masked_in_the_report_and_untouched_in_the_output(
    crontify: Crontify, api: ApiServer
) -> None:
    script = f"echo the key is {KEY}; exit 1"
    done = crontify("exec", "backup", "--", "sh", "-c", script, env=settings(api))
    assert KEY in done.stdout
    assert KEY.encode() not in api.requests[-1].body
    assert "the key is [masked]" in api.requests[-1].json["logOutput"]


def test_fifty_thousand_lines_pass_through_and_the_log_ends_in_the_traceback(
    crontify: Crontify, api: ApiServer
) -> None:
    script = (
        "import sys\n"
        "for n in range(50_000): print('line', n, '\\U0001f600')\n"
        "sys.stdout.flush()\n"
        "raise ValueError('bad row 17')\n"
    )
    done = crontify("exec", "backup", "--", PYTHON, "-c", script, env=settings(api))
    assert done.stdout == "".join(f"line {n} \U0001f600\n" for n in range(50_000))
    assert done.stderr.endswith("ValueError: bad row 17\n")
    body = api.requests[-1].json
    assert units(body["logOutput"]) <= 10_000
    assert body["logOutput"].rstrip().endswith("ValueError: bad row 17")
    assert body["logOutput"].startswith("line 0 ")
    assert "bytes omitted" in body["logOutput"]
    assert body["errorMessage"] == "exited with code 1: ValueError: bad row 17"


def test_binary_output_becomes_readable_valid_json(crontify: Crontify, api: ApiServer) -> None:
    script = (
        "import os\n"
        "os.write(1, b'\\x00\\xff\\xfe \\xed\\xa0\\x80 \\x1b[31mred\\x1b[0m\\n')\n"
        "os.write(1, b'10%\\r50%\\r100%\\n' + '\\U0001f600'.encode() * 6000)\n"
        "raise SystemExit(1)\n"
    )
    done = crontify("exec", "backup", "--", PYTHON, "-c", script, env=settings(api), text=False)
    assert done.stdout.startswith(b"\x00\xff\xfe \xed\xa0\x80 \x1b[31mred")
    body = api.requests[-1].body
    assert b"\\u0000" not in body
    assert b"\\x1b" not in body
    log = json.loads(body)["logOutput"]
    log.encode("utf-8")  # a lone surrogate would raise
    assert " red\n" in log
    assert "100%" in log
    assert "50%" not in log
    assert units(log) <= 10_000


def test_the_job_sees_our_stdin_and_our_variables(crontify: Crontify, api: ApiServer) -> None:
    script = 'cat; echo "$CRONTIFY_MONITOR $CRONTIFY_RUN"'
    done = crontify("exec", "backup", "--", "sh", "-c", script, env=settings(api), input="in\n")
    first, second = done.stdout.splitlines()
    assert first == "in"
    assert second.startswith("backup ")
    assert len(second.split()[1]) == 12


def test_nothing_heavy_is_loaded_at_the_spawn(crontify: Crontify, tmp_path: Path) -> None:
    """An audit hook in the real process writes down what is loaded when the job is spawned."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "before = set(sys.modules)\n"
        "def hook(event, args):\n"
        "    if event == 'os.posix_spawn':\n"
        "        with open('modules', 'w') as file:\n"
        "            file.write('\\n'.join(set(sys.modules) - before))\n"
        "sys.addaudithook(hook)\n"
    )
    program = Path(sys.executable).with_name("crontify")
    subprocess.run(
        [program, "exec", "backup", "--timeout", "1m", "--overlap", "skip", "--", "true"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        check=True,
        stderr=subprocess.DEVNULL,
    )
    loaded = set((tmp_path / "modules").read_text().splitlines())
    assert "crontify_cli.job.wrapper" in loaded
    assert not loaded & HEAVY
    outside = {name for name in loaded if not name.startswith("crontify_cli")}
    assert outside <= {"_crontify", "__future__", "pwd", "time"}


def test_the_way_to_the_spawn_is_short(tmp_path: Path) -> None:
    """Counted in system calls, where a clock would lie: Python's own start makes more of them."""
    need("strace")
    env = {**os.environ, "CRONTIFY_STATE_DIR": str(tmp_path / "state")}

    def calls(*command: str) -> list[str]:
        trace = ["strace", "-o", "trace", *command]
        subprocess.run(trace, env=env, cwd=tmp_path, check=True, stderr=subprocess.DEVNULL)
        return (tmp_path / "trace").read_text().splitlines()

    program = str(Path(sys.executable).with_name("crontify"))
    calls(program, "exec", "backup", "--", "true")  # from now on everything is compiled
    floor = len(calls(sys.executable, "-c", "pass"))
    ours = calls(program, "exec", "backup", "--", "true")
    spawn = next(at for at, line in enumerate(ours) if "clone" in line or "vfork(" in line)
    assert spawn < 2 * floor
    until_spawn = "\n".join(ours[:spawn])
    assert until_spawn.count(".rec") == 1  # the record: made by one call
    assert "fsync" not in until_spawn
    assert "connect(" not in until_spawn


def test_both_ways_to_start_are_the_same_program(crontify: Crontify) -> None:
    program = Path(sys.executable).with_name("crontify")
    installed = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert crontify("--version").stdout == installed.stdout
    assert installed.stdout.startswith("crontify ")
