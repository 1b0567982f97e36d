"""Whatever of ours is missing, broken or replaced: the job runs, and its exit code comes back."""

import os
import resource
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import crontify_cli
from tests.job.conftest import Launch
from tests.programs import PROGRAM
from tests.server import ApiServer, settings
from tests.waiting import until_idle

INSTALLED = str(Path(sys.executable).with_name("crontify"))
SHADOWED = ("typing", "re", "json", "fcntl", "select", "contextlib", "resource", "h11", "regex")


@pytest.mark.parametrize("module", SHADOWED)
def test_a_module_of_the_jobs_python_path_is_none_of_ours(
    api: ApiServer, tmp_path: Path, module: str
) -> None:
    """PYTHONPATH in a crontab is meant for the job, whose modules have names like `resource`."""
    (tmp_path / f"{module}.py").write_text("raise RuntimeError('not yours')")
    done = subprocess.run(
        [
            *(INSTALLED, "exec", "backup", "--redact", "x", "--"),
            *("sh", "-c", "echo $PYTHONPATH; exit 3"),
        ],
        env={**os.environ, **settings(api), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{tmp_path}\n", "")
    assert api.kinds() == ["start", "fail"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder from which `python -m crontify_cli` runs a package of its own."""
    here = Path(crontify_cli.__file__).parent
    shutil.copytree(here, tmp_path / "crontify_cli")
    return tmp_path


def run_from(copy: Path, api: ApiServer, script: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*PROGRAM, "exec", "backup", "--", "sh", "-c", script],
        env={**os.environ, **settings(api)},
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_an_upgrade_during_the_run_costs_nothing(
    launch: Launch, copy: Path, api: ApiServer
) -> None:
    """What a run's end needs is loaded soon, not hours later from another version's files."""
    script = "until [ -e go ]; do sleep .05; done; rm -r crontify_cli; echo out; exit 3"
    process = launch("--", "sh", "-c", script, cwd=copy)
    api.wait_for(1)
    until_idle(process.pid, 1.5)
    (copy / "go").touch()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (3, "out\n", "")
    assert api.kinds() == ["start", "fail"]


def test_a_package_that_is_gone_at_once_costs_the_job_nothing(copy: Path, api: ApiServer) -> None:
    done = run_from(copy, api, "rm -r crontify_cli; sleep .5; echo out; exit 3")
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("missing", ["job/supervisor.py", "job/relay.py", "crash.py"])
def test_a_broken_installation_costs_the_job_nothing(
    copy: Path, api: ApiServer, missing: str
) -> None:
    (copy / "crontify_cli" / missing).write_text("1/0")
    (copy / "crontify_cli/delivery/reporter.py").write_text("1/0")
    done = run_from(copy, api, "echo out; echo err >&2; sleep .2; kill -KILL $$")
    assert (done.returncode, done.stdout) == (128 + 9, "out\n")
    assert "crontify: internal error: ZeroDivisionError" in done.stderr
    assert done.stderr.endswith("; the job goes on\nerr\n")


def test_a_reporter_that_cannot_even_say_why_costs_no_traceback(copy: Path, api: ApiServer) -> None:
    for missing in ("delivery/api.py", "crash.py"):
        (copy / "crontify_cli" / missing).write_text("1/0")
    done = run_from(copy, api, "echo out; exit 3")
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert "crontify: internal error, reporting failed: ZeroDivisionError\n" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("descriptors", [5, 6, 7, 8, 9])
def test_too_few_descriptors_even_for_the_spawn(launch: Launch, descriptors: int) -> None:
    limit = (descriptors, descriptors)
    process = launch(
        *("--", "sh", "-c", "echo out; exit 7"),
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_NOFILE, limit),
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (7, "out\n"), err
    assert "Traceback" not in err
