"""What `exec` says on stderr when neither the job's output nor its exit code tells it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Crontify
from tests.job.conftest import Launch
from tests.programs import PROGRAM, need
from tests.server import ApiServer, settings
from tests.waiting import until_exists


def test_a_forgotten_monitor_runs_nothing(
    crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    done = crontify("exec", "--", "touch", "touch", "ran", env=settings(api))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "crontify: missing argument 'MONITOR'. See: crontify exec --help\n"
    assert not (tmp_path / "ran").exists()
    assert api.requests == []


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        (["true && true"], "to run it with a shell, add --shell"),
        (["ls -l /x"], "to run it with a shell, add --shell"),
        (["FOO=1", "cmd"], "to set a variable, write env FOO=… in front of the command"),
        (["FOO=1"], "a shell's assignment needs --shell and quotes around the whole command"),
        (["cd", "/"], "cd is a word of the shell: add --shell, and quote the whole command"),
    ],
)
def test_a_command_for_a_shell_is_not_found_and_the_message_says_what_to_do(
    crontify: Crontify, env: dict[str, str], command: list[str], advice: str
) -> None:
    done = crontify("exec", "backup", "--", *command, env=env)
    line = f"crontify: could not be started: {command[0]}: command not found; {advice}\n"
    assert (done.returncode, done.stdout, done.stderr) == (127, "", line)


def test_a_mistyped_command_is_only_not_found(crontify: Crontify, env: dict[str, str]) -> None:
    done = crontify("exec", "backup", "--", "rsnyc", "-a", "/etc", env=env)
    assert done.stderr == "crontify: could not be started: rsnyc: command not found\n"


def test_a_timeout_is_one_line_on_stderr(crontify: Crontify, env: dict[str, str]) -> None:
    done = crontify("exec", "--timeout", "1", "backup", "--", "sleep", "60", env=env)
    assert (done.returncode, done.stderr) == (124, "crontify: backup: timed out after 1s\n")


def test_a_run_that_is_too_short_is_one_line_on_stderr(
    crontify: Crontify, env: dict[str, str]
) -> None:
    done = crontify("exec", "--min-duration", "1h", "backup", "--", "true", env=env)
    begin, middle = "crontify: backup: exited with code 0 after ", ", sooner than the expected 1h\n"
    assert done.returncode == 0
    assert done.stderr.startswith(begin)
    assert done.stderr.endswith(middle)
    assert done.stderr.count("\n") == 1


def test_a_failing_job_speaks_for_itself(crontify: Crontify, env: dict[str, str]) -> None:
    done = crontify("exec", "--min-duration", "1h", "backup", "--", "false", env=env)
    assert (done.returncode, done.stderr) == (1, "")


def test_waiting_for_another_run_is_one_line_on_stderr(launch: Launch, tmp_path: Path) -> None:
    hold = "touch holding; until [ -e go ]; do sleep .02; done"
    first = launch("--overlap", "wait", "--", "sh", "-c", hold)
    until_exists(tmp_path / "holding")
    second = launch("--overlap", "wait", "--", "true")
    line = f"crontify: backup is already running (pid {first.pid}): waiting for it to end\n"
    assert second.stderr
    assert second.stderr.readline() == line
    (tmp_path / "go").touch()
    assert second.wait(60) == 0
    assert second.stderr.read() == ""
    assert first.communicate(timeout=60)[1] == ""


@pytest.mark.parametrize("shell", ["/usr/sbin/nologin", "/bin/false"])
def test_a_shell_that_runs_no_commands_is_replaced_and_named_once(
    crontify: Crontify, env: dict[str, str], shell: str
) -> None:
    done = crontify("exec", "--shell", "backup", "--", "echo $0", env={**env, "SHELL": shell})
    assert (done.returncode, done.stdout) == (0, "/bin/sh\n")
    line = f"crontify: SHELL is {shell}, which runs no commands: --shell uses /bin/sh\n"
    assert done.stderr == line


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may enter, unlike tmp_path, which lies below a folder of root's."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_a_job_that_we_must_not_signal_is_named_at_once(api: ApiServer, shared: Path) -> None:
    """As a job that sudo runs as root: neither the timeout nor a TERM to us can end it."""
    need("setpriv")
    if os.geteuid():
        pytest.skip("needs root, to run a job as another user than crontify")
    as_root = shared / "setpriv"
    shutil.copy(shutil.which("setpriv") or "", as_root)
    as_root.chmod(0o4755)
    uid, caps = str(100_000 + os.getpid()), "+dac_read_search"
    us = ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups"]
    us += ["--inh-caps", caps, "--ambient-caps", caps]
    job = [str(as_root), "--reuid", "0", "timeout", "30", "sh", "-c", "read line < go"]
    os.mkfifo(shared / "go")
    process = subprocess.Popen(
        [*us, *PROGRAM, "exec", "--timeout", "3", "--kill-after", "1", "backup", "--", *job],
        env={**os.environ, **settings(api), "HOME": "/nonexistent"},
        cwd=shared,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr
        expected = "crontify: the job cannot be stopped: Operation not permitted\n"
        assert expected in iter(process.stderr.readline, "")
        assert process.poll() is None
    finally:
        (shared / "go").write_text("end\n")
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 124
    assert "timed out after 3s" in rest
