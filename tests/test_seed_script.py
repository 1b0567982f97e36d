"""The user's document has a shell script; it must work against the sandbox, and exec like it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Crontify
from tests.programs import need
from tests.sandbox_process import Sandbox

SEED = Path(__file__).parent / "data" / "seed-http-integration.txt"

JOB = """\
import os, sys
print("42 rows of \\"orders\\"\\tread")
if os.path.exists("broken"):
    raise ConnectionError("connection refused")
"""


def seed_script(sandbox: Sandbox, job: Path) -> str:
    """The seed's script with only API_KEY, MONITOR_ID, BASE_URL and the job's path replaced."""
    script = SEED.read_text().partition("#!/bin/bash")[2]
    for name, value in (
        ("API_KEY", sandbox.api_key),
        ("MONITOR_ID", "clnightly"),
        ("BASE_URL", sandbox.url),
    ):
        script, count = re.subn(rf'^{name}=".*"$', f'{name}="{value}"', script, flags=re.MULTILINE)
        assert count == 1
    assert script.count("/path/to/job.py") == 1
    return "#!/bin/bash" + script.replace("/path/to/job.py", str(job))


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.py"
    path.write_text(JOB)
    return path


def test_the_seeds_own_script_is_recorded_by_the_sandbox(
    sandbox: Sandbox, job: Path, tmp_path: Path
) -> None:
    need("bash", "curl")
    script = seed_script(sandbox, job)
    subprocess.run(["bash"], input=script, text=True, cwd=tmp_path, check=True, timeout=60)
    (tmp_path / "broken").touch()
    subprocess.run(["bash"], input=script, text=True, cwd=tmp_path, check=False, timeout=60)
    failed, succeeded = sandbox.runs()
    assert (failed["status"], succeeded["status"]) == ("failed", "success")
    assert succeeded["meta"] == {"exit_code": 0}
    assert failed["errorMessage"] == "Job exited with code 1"
    printed = subprocess.run(
        ["python3", job], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ).stdout
    assert "ConnectionError" in printed
    assert sandbox.log(failed["id"]) == printed


def test_exec_leaves_the_same_records_as_the_seeds_script(
    sandbox: Sandbox, job: Path, tmp_path: Path, crontify: Crontify
) -> None:
    env = {"CRONTIFY_API_KEY": sandbox.api_key, "CRONTIFY_BASE_URL": sandbox.url, **os.environ}
    crontify("exec", "clnightly", "--", "python3", str(job), env=env)
    (tmp_path / "broken").touch()
    done = crontify("exec", "clnightly", "--", "python3", str(job), env=env)
    failed, succeeded = sandbox.runs()
    assert (failed["status"], succeeded["status"]) == ("failed", "success")
    assert succeeded["meta"]["exit_code"] == 0
    assert failed["errorMessage"].startswith("exited with code 1: ConnectionError")
    log = sandbox.log(failed["id"])
    assert sorted(log.splitlines()) == sorted((done.stdout + done.stderr).splitlines())
