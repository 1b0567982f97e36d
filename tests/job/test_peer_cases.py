"""What the peers test themselves with, as tests of ours: a section a peer.

Where a room's own tests hold a case already, they are named at the section's head.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Crontify
from tests.faults import answer
from tests.job.conftest import Launch
from tests.paced import paced
from tests.programs import PROGRAM
from tests.server import ApiServer, settings
from tests.waiting import until_exists


def script(folder: Path, text: str) -> str:
    path = folder / "job.sh"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


# cronitor-cli, exec. By hand: signals (test_signals.py), endless output (test_output.py).
# Others: ping (test_ping.py), configure (test_config_load.py), list (test_runs.py).


def test_bash_arrays_work_in_shell_mode(crontify: Crontify, api: ApiServer) -> None:
    line = 'words=(one "two three" four); echo "${words[1]}" "${#words[@]}"'
    env = settings(api) | {"SHELL": "/bin/bash"}
    done = crontify("exec", "backup", "--shell", "--", line, env=env)
    assert (done.returncode, done.stdout) == (0, "two three 3\n")
    assert api.kinds() == ["start", "success"]


def test_shell_mode_is_sh_where_no_shell_is_named(
    crontify: Crontify, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHELL", raising=False)
    done = crontify("exec", "backup", "--shell", "--", 'echo "$0"', env=settings(api))
    assert done.stdout == "/bin/sh\n"


def test_an_argument_with_a_space_survives(crontify: Crontify, api: ApiServer) -> None:
    show = [sys.executable, "-c", "import sys; print(sys.argv[1:])"]
    done = crontify("exec", "backup", "--", *show, "a b", "", "*", "--help", env=settings(api))
    assert done.stdout == "['a b', '', '*', '--help']\n"


@pytest.mark.parametrize("name", ["my name", "-sh"])
def test_a_job_can_be_given_a_name_of_its_own(
    crontify: Crontify, api: ApiServer, name: str
) -> None:
    """As with the @ of systemd.service(5), or `exec -a` in bash."""
    flags = ("--argv0", name)
    job = ["sh", "-c", "cat /proc/$$/cmdline"]
    done = crontify("exec", "backup", *flags, "--", *job, env=settings(api))
    assert done.stdout.split("\0") == [name, *job[1:], ""]


def test_a_chain_of_commands_in_shell_mode(crontify: Crontify, api: ApiServer) -> None:
    done = crontify("exec", "backup", "--shell", "cd /tmp && pwd", env=settings(api))
    assert (done.returncode, done.stdout) == (0, "/tmp\n")


@pytest.mark.parametrize(
    ("command", "code", "kind"), [("true", 0, "success"), ("false", 1, "fail")]
)
def test_true_and_false(
    crontify: Crontify, api: ApiServer, command: str, code: int, kind: str
) -> None:
    assert crontify("exec", "backup", "--", command, env=settings(api)).returncode == code
    assert api.kinds() == ["start", kind]


def test_a_script_that_sleeps_and_exits_123(
    crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    job = script(tmp_path, "#!/bin/sh\nsleep 1\nexit 123\n")
    assert crontify("exec", "backup", "--", job, env=settings(api)).returncode == 123
    body = api.requests[-1].json
    assert body["meta"]["exit_code"] == 123
    assert body["errorMessage"] == "exited with code 123"
    assert 1000 <= body["meta"]["duration_ms"] < 20_000


def test_output_reaches_the_report_and_with_no_log_stays_out(
    crontify: Crontify, api: ApiServer
) -> None:
    job = ["sh", "-c", "echo a telling line; exit 4"]
    crontify("exec", "backup", "--", *job, env=settings(api))
    assert api.requests[-1].json["logOutput"] == "a telling line\n"
    done = crontify("exec", "backup", "--no-log", "--", *job, env=settings(api))
    assert done.stdout == "a telling line\n"
    assert api.kinds()[2:] == ["start", "fail"]
    assert "logOutput" not in api.requests[-1].json


def test_stdout_passes_through_with_its_newlines(crontify: Crontify, api: ApiServer) -> None:
    printed = "one\n\n two \r\n\tthree\nno newline at the end"
    job = [sys.executable, "-c", f"import sys; sys.stdout.write({printed!r})"]
    done = crontify("exec", "backup", "--", *job, env=settings(api), text=False)
    assert done.stdout == printed.encode()


def test_the_wrapper_as_an_interpreter_line(api: ApiServer, tmp_path: Path) -> None:
    """`#!/usr/bin/env -S crontify exec backup -- bash`, then a bash script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    wrapper = folder / "crontify"
    wrapper.write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@"\n')
    wrapper.chmod(0o755)
    job = script(
        tmp_path, '#!/usr/bin/env -S crontify exec backup -- bash\necho "args: $*"\nexit 6\n'
    )
    path = f"{folder}:{os.environ['PATH']}"
    done = subprocess.run(
        [job, "a", "b c"],
        env={**os.environ, **settings(api), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (6, "args: a b c\n")
    assert api.kinds() == ["start", "fail"]


# runitor. Methods, statuses, bodies, headers, redirects, slashes (test_api.py); the ring
# (test_recorder.py).


def test_a_retry_brings_the_same_body_through_every_passing_fault(
    crontify: Crontify, api: ApiServer
) -> None:
    wait = {"Retry-After": "0"}
    faults = [answer(status, b"", wait) for status in (408, 429, 500, 502, 503, 504)]
    api.script(*faults, kind="fail")
    job = ["sh", "-c", "echo the cause >&2; exit 1"]
    assert crontify("exec", "backup", "--", *job, env=settings(api)).returncode == 1
    assert api.kinds() == ["start", *["fail"] * 7]
    bodies = {request.body for request in api.requests[1:]}
    assert len(bodies) == 1
    assert json.loads(bodies.pop())["logOutput"] == "the cause\n"
    assert [request.kind for request in api.accepted] == ["start", "fail"]


def test_a_bad_request_is_tried_once(crontify: Crontify, api: ApiServer) -> None:
    api.script(answer(400, {"message": "no such thing"}), kind="success")
    done = crontify("exec", "backup", "--", "true", env=settings(api))
    assert (done.returncode, api.kinds()) == (0, ["start", "success"])
    assert "no such thing" in done.stderr


def test_a_job_without_output_has_its_success(crontify: Crontify, api: ApiServer) -> None:
    crontify("exec", "backup", "--", "true", env=settings(api))
    assert [request.kind for request in api.accepted] == ["start", "success"]
    assert api.requests[-1].headers["content-length"] == str(len(api.requests[-1].body))


def test_out_err_out_exit_33(api: ApiServer) -> None:
    """On one pipe, as under `2>&1`, the order is the job's."""
    done = subprocess.run(
        [*PROGRAM, "exec", "backup", "--", *paced("out1", "err", "out2", code=33)],
        env={**os.environ, **settings(api)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (33, "out1\nerr\nout2\n")
    assert api.requests[-1].json["logOutput"] == "out1\nerr\nout2\n"


# sentry-cli. Missing command or monitor (test_options.py).


def test_our_variables_are_visible_in_the_job(crontify: Crontify, api: ApiServer) -> None:
    job = 'test -w "$CRONTIFY_META" && echo "$CRONTIFY_MONITOR $CRONTIFY_RUN"'
    done = crontify("exec", "backup", "--", "sh", "-c", job, env=settings(api))
    assert re.fullmatch(r"backup [0-9a-f]{12}\n", done.stdout)


def test_500_on_both_pings_costs_the_job_nothing(
    crontify: Crontify, api: ApiServer, home: Path
) -> None:
    api.default = answer(500, {"message": "out of order"})
    config = home / "config.toml"
    config.write_text("report_timeout = 1\n")
    env = settings(api) | {"CRONTIFY_CONFIG": str(config)}
    job = ["sh", "-c", "echo 123; exit 3"]
    done = crontify("exec", "backup", "-v", "--", *job, env=env)
    assert (done.returncode, done.stdout) == (3, "123\n")
    assert done.stderr.count("500: out of order") >= 2
    api.default = answer(200)
    assert crontify("flush", env=env).returncode == 0
    assert api.kinds()[-1] == "fail"


def test_a_binary_that_does_not_exist_is_an_error_report(
    crontify: Crontify, api: ApiServer
) -> None:
    done = crontify("exec", "backup", "--", "no-such-binary", env=settings(api))
    assert done.returncode == 127
    message = api.requests[-1].json["errorMessage"]
    assert message == "could not be started: no-such-binary: command not found"
    assert message in done.stderr


# task-mon.


def test_a_long_log_that_ends_in_an_emoji_is_cut_between_characters(
    crontify: Crontify, api: ApiServer
) -> None:
    job = [sys.executable, "-c", "print('é' * 9_999 + '\\U0001f600' * 5_000, end=''); exit(1)"]
    crontify("exec", "backup", "--", *job, env=settings(api) | {"PYTHONIOENCODING": "utf-8"})
    log = api.accepted[-1].json["logOutput"]
    assert log.endswith("\U0001f600")
    assert "\ufffd" not in log
    assert len(log.encode("utf-16-le")) <= 2 * 10_000


# cronwrap. The grammar of durations (test_durations.py), TERM then KILL (test_timeout.py),
# the counter of failures and its reset (test_outcome.py).


def test_a_second_copy_is_refused_with_already_running(
    launch: Launch, crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    first = launch(
        "--overlap", "skip", "--", "sh", "-c", "touch begun; until [ -e go ]; do sleep .02; done"
    )
    until_exists(tmp_path / "begun")
    second = crontify("exec", "backup", "--overlap", "skip", "--", "true", env=settings(api))
    assert second.returncode == 75
    assert "backup is already running" in second.stderr
    (tmp_path / "go").touch()
    assert first.wait(60) == 0


# cronutils. Partial output at a time-out (test_timeout.py), the lock (test_overlap.py).


def test_exit_5_is_recorded(crontify: Crontify, api: ApiServer) -> None:
    assert crontify("exec", "backup", "--", "sh", "-c", "exit 5", env=settings(api)).returncode == 5
    (row,) = json.loads(crontify("runs", "--json").stdout)
    assert (row["monitor"], row["exit_code"], row["outcome"]) == ("backup", 5, "failed")


# supercronic: waiting for the job at TERM (test_signals.py), zombies (test_container.py).


# chronic: see test_output.py for what `--output on-failure` prints and when.


def test_on_failure_prints_both_streams_then_the_exit_code(
    crontify: Crontify, api: ApiServer
) -> None:
    job = ["sh", "-c", "echo out; echo err >&2; exit 9"]
    done = crontify("exec", "backup", "--output", "on-failure", "--", *job, env=settings(api))
    assert (done.returncode, done.stdout, done.stderr) == (9, "out\n", "err\n")
    quiet = crontify(
        "exec", "backup", "--output", "on-failure", "--", "echo", "well", env=settings(api)
    )
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_on_failure_shows_what_a_job_killed_by_a_signal_had_printed(
    crontify: Crontify, api: ApiServer
) -> None:
    job = ["sh", "-c", "echo before; kill -ABRT $$"]
    done = crontify("exec", "backup", "--output", "on-failure", "--", *job, env=settings(api))
    assert (done.returncode, done.stdout) == (134, "before\n")
    assert api.requests[-1].json["errorMessage"].startswith("terminated by SIGABRT")
