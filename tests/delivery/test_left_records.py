"""Records of runs that could not be reported: they are bounded, and listed as what they are."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from crontify_cli.delivery import retention
from crontify_cli.delivery.records import live_runs
from crontify_cli.delivery.retention import Dropped, drop_records
from tests.conftest import Crontify
from tests.programs import PROGRAM
from tests.server import ApiServer, settings
from tests.waiting import until_exists


def hindered(crontify: Crontify, tmp_path: Path, monitor: str, code: int) -> None:
    """Run a job whose report something hinders: the key file is missing."""
    env = {"CRONTIFY_API_KEY_FILE": str(tmp_path / "missing")}
    done = crontify("exec", monitor, "--", "sh", "-c", f"echo out; exit {code}", env=env)
    assert done.returncode == code
    assert "the report is not sent" in done.stderr


def outcomes(crontify: Crontify) -> dict[str, tuple[str, str | None]]:
    runs = json.loads(crontify("runs", "--json").stdout)
    return {run["monitor"]: (run["outcome"], run["report"]) for run in runs}


def test_they_are_listed_as_queued_and_not_as_died(
    crontify: Crontify, api: ApiServer, tmp_path: Path, state: Path
) -> None:
    hindered(crontify, tmp_path, "good", 0)
    hindered(crontify, tmp_path, "bad", 5)
    assert outcomes(crontify) == {"good": ("success", "queued"), "bad": ("failed", "queued")}
    checks = json.loads(crontify("doctor", "--json", env=settings(api)).stdout)
    (queue,) = [each["found"] for each in checks if each["check"] == "queue"]
    assert queue.startswith("2 reports queued, the oldest for ")
    assert crontify("flush", env=settings(api)).returncode == 0
    assert sorted(request.kind for request in api.accepted) == ["fail", "success"]
    assert live_runs(str(state)) == []


def test_they_are_bounded_and_successes_go_first(
    crontify: Crontify, tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for monitor, code in (("a", 5), ("b", 0), ("c", 5), ("d", 0), ("e", 5)):
        hindered(crontify, tmp_path, monitor, code)
    assert drop_records(str(state), 5) == Dropped()
    assert drop_records(str(state), 4) == Dropped(successes=1)
    assert sorted(live.monitor for live in live_runs(str(state))) == ["a", "c", "d", "e"]
    assert drop_records(str(state), 2) == Dropped(successes=1, failures=1)
    assert sorted(live.monitor for live in live_runs(str(state))) == ["c", "e"]
    monkeypatch.setattr(retention, "QUEUE_BYTES", 5000)
    assert drop_records(str(state), 5) == Dropped(failures=1)
    (left,) = live_runs(str(state))
    assert left.monitor == "e"
    assert not list((state / "live").glob("*a.*"))


def test_that_is_said_by_the_run_after_which_it_happens(crontify: Crontify, tmp_path: Path) -> None:
    config = tmp_path / "few.toml"
    config.write_text("keep_runs = 1\n")
    hindered(crontify, tmp_path, "a", 5)
    hindered(crontify, tmp_path, "b", 5)
    env = {
        "CRONTIFY_CONFIG": str(config),
        "CRONTIFY_API_KEY_FILE": str(tmp_path / "missing"),
    }
    said = "1 queued report dropped, the oldest successes first (0 of successes, 1 of"
    job = ("timeout", "50", "sh", "-c", "until [ -e go ]; do sleep .02; done")
    with subprocess.Popen(
        [*PROGRAM, "exec", "c", "--", *job],
        cwd=tmp_path,
        env={**os.environ, **env},
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stderr
        assert any(said in line for line in run.stderr)
        (tmp_path / "go").touch()


@pytest.mark.uses("proc", reason="without a record, only its start time shows a wrapper")
def test_a_running_job_without_a_record_is_not_called_dead(
    crontify: Crontify, env: dict[str, str], tmp_path: Path, state: Path
) -> None:
    """As after a job that removes files of others."""
    run = subprocess.Popen(
        [*PROGRAM, "exec", "backup", "--", "sh", "-c", "touch on; read x"],
        cwd=tmp_path,
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until_exists(tmp_path / "on")

    def outcome() -> str | None:
        found = json.loads(crontify("runs", "backup", "--json", env=env).stdout)
        return found[0]["outcome"] if found else None

    while (found := outcome()) is None:
        assert run.poll() is None
    assert found == "running"
    (live,) = live_runs(str(state))
    os.unlink(live.path)
    assert outcome() == "running"
    run.kill()
    run.communicate()
    assert outcome() == "unknown"
