"""Where the job's two streams go, and in which order what it writes arrives."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.programs import PROGRAM
from tests.server import ApiServer, settings

ALTERNATING = "for n in 1 3 5 7 9; do echo $n; echo $((n + 1)) >&2; done; exit 1"
IN_ORDER = "".join(f"{n}\n" for n in range(1, 11))


def run(api: ApiServer, shell: str, cwd: Path) -> int:
    """Run `shell`, in which $C is the program's `exec`, as cron would."""
    env = {**os.environ, **settings(api), "JOB": ALTERNATING}
    command = " ".join([*PROGRAM, "exec", "backup"])
    script = f'C() {{ {command} "$@"; }}; {shell}'
    return subprocess.run(["sh", "-c", script], env=env, cwd=cwd, timeout=60).returncode


@pytest.mark.parametrize(
    "redirect",
    ["> out 2>&1", "2> out >&2", "2>&1 | cat > out; exit 1", "> out 2> out"],
)
def test_the_order_is_exact_if_both_streams_are_one_file(
    api: ApiServer, tmp_path: Path, redirect: str
) -> None:
    """As under cron, which gives a job one pipe for both."""
    assert run(api, f'C -- sh -c "$JOB" {redirect}', tmp_path) == 1
    assert (tmp_path / "out").read_text() == IN_ORDER
    assert api.requests[-1].json["logOutput"] == IN_ORDER


def test_two_files_stay_apart(api: ApiServer, tmp_path: Path) -> None:
    assert run(api, 'C -- sh -c "$JOB" > out 2> err', tmp_path) == 1
    assert (tmp_path / "out").read_text() == "1\n3\n5\n7\n9\n"
    assert (tmp_path / "err").read_text() == "2\n4\n6\n8\n10\n"


def test_the_message_is_found_in_what_both_streams_wrote(api: ApiServer, tmp_path: Path) -> None:
    job = "echo working; echo 'pg_dump: error: no disk' >&2; exit 1"
    assert run(api, f'C -- sh -c "{job}" > out 2>&1', tmp_path) == 1
    assert "pg_dump: error: no disk" in api.requests[-1].json["errorMessage"]


def test_half_a_line_of_a_long_stderr_is_not_told(api: ApiServer, tmp_path: Path) -> None:
    """What the limit has torn could hold half a secret, which no mask would know."""
    secret = "k3y-of-the-house-0123456789"
    script = (
        "import sys; secret = '" + secret + "'\n"
        "line = 'x' * 20 + secret + 'y' * (64 * 1024 - len(secret) // 2)\n"
        "sys.exit(sys.stderr.write(line) and 1)\n"
    )
    (tmp_path / "job.py").write_text(script)
    env = {**os.environ, **settings(api), "HOUSE_TOKEN": secret}
    command = [*PROGRAM, "exec", "backup", "--", "python3", "job.py"]
    assert subprocess.run(command, env=env, cwd=tmp_path, stderr=subprocess.DEVNULL).returncode == 1
    body = api.requests[-1].body.decode()
    assert not any(secret[at : at + 8] in body for at in range(len(secret) - 8))
