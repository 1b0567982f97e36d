"""The user's document has a shell script; it must work against the sandbox, and exec like it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from crontify_cli.report.api import Api
from tests.conftest import Crontify
from tests.programs import need

SEED = Path(__file__).parent / "data" / "seed-http-integration.txt"
PROGRAM = [sys.executable, "-m", "crontify_cli"]

JOB = """\
import os, sys
print("42 rows of \\"orders\\"\\tread")
if os.path.exists("broken"):
    raise ConnectionError("connection refused")
"""


class Sandbox(NamedTuple):
    """A running sandbox with a monitor `clnightly`."""

    url: str
    api_key: str
    token: str

    def runs(self) -> list[dict[str, Any]]:
        api = Api(self.url, token=self.token)
        data = api.get("/monitors/clnightly/runs")["data"]
        assert isinstance(data, list)
        return data

    def log(self, run_id: str) -> str:
        return Api(self.url, token=self.token).log("clnightly", run_id).content


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    database = str(tmp_path / "sandbox.db")
    add = [*PROGRAM, "sandbox", "monitor", "add", "clnightly", "--db", database]
    serve = [*PROGRAM, "sandbox", "serve", "--port", "0", "--json", "--until-stdin-closes"]
    process = subprocess.Popen(
        [*serve, "--db", database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        subprocess.run(add, check=True, stdout=subprocess.DEVNULL)
        yield Sandbox(ready["url"], ready["api_key"], ready["token"])
    finally:
        process.terminate()
        process.communicate(timeout=20)


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
