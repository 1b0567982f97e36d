"""What a report closes on the server: no run is overlapped, or closed by another's, in error."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crontify_cli.delivery.journal import Journal
from crontify_cli.delivery.records import live_runs
from tests.conftest import Crontify
from tests.delivery.outcomes import finish, queue
from tests.programs import PROGRAM
from tests.server import ApiServer, answer
from tests.waiting import until, until_exists

WAIT = "touch began-$0; until [ -e go-$0 ]; do sleep .02; done; exit $1"


def start(
    env: dict[str, str], folder: Path, name: str, code: int = 0, *flags: str
) -> "subprocess.Popen[bytes]":
    """Start a run of `backup` that ends with `code` once there is a file `go-NAME`."""
    command = [*PROGRAM, "exec", "backup", *flags, "--", "sh", "-c", WAIT, name, str(code)]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, **env})


def end(run: "subprocess.Popen[bytes]", folder: Path, name: str, code: int = 0) -> None:
    (folder / f"go-{name}").touch()
    assert run.wait(60) == code


def until_begun(state: Path, runs: int) -> None:
    """Wait until so many runs know that the server has their start."""

    def begun() -> bool:
        states = [row.start_state for row in Journal.open(str(state)).runs()]
        return states.count("acknowledged") == runs

    until(begun, f"{runs} starts are acknowledged")


def accepted(api: ApiServer) -> list[str]:
    return [request.kind for request in api.accepted]


def reports(state: Path) -> list[str | None]:
    """Return the state of each report, the oldest first."""
    return [row.report for row in Journal.open(str(state)).runs()][::-1]


def test_a_success_whose_run_the_server_has_open_goes_before_the_next_start(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    impatient: dict[str, str],
    state: Path,
    tmp_path: Path,
) -> None:
    run = start(impatient, tmp_path, "a")
    until_begun(state, 1)
    api.down()
    end(run, tmp_path, "a")
    crontify("exec", "backup", "--", "true", env=impatient)  # its own is superseded by the next
    api.up()
    run = start(env, tmp_path, "b")
    until_begun(state, 2)
    end(run, tmp_path, "b")
    assert accepted(api) == ["start", "success", "start", "success"]
    assert "late_seconds" in api.accepted[1].json["meta"]
    assert "late_seconds" not in api.accepted[3].json["meta"]
    assert reports(state) == ["delivered", "superseded", "delivered"]


def test_a_success_whose_run_is_open_goes_before_older_failures(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    impatient: dict[str, str],
    state: Path,
    tmp_path: Path,
) -> None:
    """The failure would close the run of the success as failed."""
    run = start(impatient, tmp_path, "a")
    until_begun(state, 1)
    queue(state, "backup", "old", url=api.url)
    api.down()
    end(run, tmp_path, "a")
    api.up()
    assert crontify("flush", env=env).returncode == 0
    assert accepted(api) == ["start", "success", "fail"]


def test_successes_with_numbers_of_the_jobs_own_are_delivered_late_the_newest_three(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    impatient: dict[str, str],
    state: Path,
    tmp_path: Path,
) -> None:
    api.down()
    for rows in range(5):
        crontify("exec", "backup", "--meta", f"rows={rows}", "--", "true", env=impatient)
    crontify("exec", "backup", "--", "true", env=impatient)
    api.up()
    run = start(env, tmp_path, "a")
    until_begun(state, 1)
    end(run, tmp_path, "a")
    late = [request.json["meta"] for request in api.accepted[:3]]
    assert [meta["rows"] for meta in late] == [2, 3, 4]
    assert all("late_seconds" in meta for meta in late)
    assert accepted(api) == ["success"] * 3 + ["start", "success"]
    assert reports(state) == ["superseded"] * 2 + ["delivered"] * 3 + ["superseded", "delivered"]


def test_a_success_with_numbers_does_not_hide_a_failure_that_was_delivered_after_it(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    """The server would take the late success for the end of the trouble."""
    success = finish(state, "backup", "success", url=api.url, meta={"rows": 0})
    failure = finish(state, "backup", "fail", url=api.url)
    journal = Journal.open(str(state))
    journal.settle(failure, "delivered")
    journal.close()
    assert success < failure
    assert crontify("flush", env=env).returncode == 0
    assert accepted(api) == []
    assert reports(state) == ["superseded", "delivered"]


@pytest.mark.parametrize("code", [0, 3])
def test_the_end_of_an_older_run_does_not_close_a_newer_one(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    state: Path,
    tmp_path: Path,
    code: int,
) -> None:
    """A success is left out, since the server has it as overlapped; a failure comes later."""
    older = start(env, tmp_path, "a", code)
    until_begun(state, 1)
    newer = start(env, tmp_path, "b")
    until_begun(state, 2)
    end(older, tmp_path, "a", code)
    assert accepted(api) == ["start", "start"]
    assert crontify("flush", "--wait", "0", env=env).returncode == (75 if code else 0)
    assert accepted(api) == ["start", "start"]
    end(newer, tmp_path, "b")
    assert accepted(api) == ["start", "start", "success", *(["fail"] if code else [])]
    assert reports(state) == ["delivered" if code else "superseded", "delivered"]


def test_the_end_of_a_newer_run_is_not_kept_from_the_server_by_an_older_one(
    api: ApiServer, env: dict[str, str], state: Path, tmp_path: Path
) -> None:
    older = start(env, tmp_path, "a")
    until_begun(state, 1)
    newer = start(env, tmp_path, "b", 3)
    until_begun(state, 2)
    end(newer, tmp_path, "b", 3)
    assert accepted(api) == ["start", "start", "fail"]
    end(older, tmp_path, "a")
    assert reports(state) == ["delivered", "delivered"]


def test_without_a_start_the_end_of_each_run_is_sent(
    api: ApiServer, env: dict[str, str], state: Path, tmp_path: Path
) -> None:
    """The server has none of the two as open, so that nothing can be closed."""
    older = start(env, tmp_path, "a", 0, "--no-start")
    until_exists(tmp_path / "began-a")
    newer = start(env, tmp_path, "b", 0, "--no-start")
    until_exists(tmp_path / "began-b")
    end(older, tmp_path, "a")
    end(newer, tmp_path, "b")
    assert accepted(api) == ["success", "success"]


@pytest.mark.parametrize(
    ("minutes", "sent", "has_record"),
    [
        (4, [], True),
        (6, ["fail"], True),
        pytest.param(4, [], False, marks=pytest.mark.uses("proc", reason="shows the wrapper")),
    ],
)
def test_an_old_failure_waits_for_a_moment_without_an_open_run_for_five_minutes(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    state: Path,
    tmp_path: Path,
    minutes: int,
    sent: list[str],
    has_record: bool,
) -> None:
    run = start(env, tmp_path, "a")
    until_begun(state, 1)
    if not has_record:  # as after a job that removes files of others
        (live,) = live_runs(str(state))
        os.unlink(live.path)
    ended_at = time.time() - 60 * minutes
    finish(state, "backup", "fail", words="old", url=api.url, ended_at=ended_at)
    crontify("flush", "--wait", "0", env=env)
    assert accepted(api) == ["start", *sent]
    end(run, tmp_path, "a")
    assert sorted(accepted(api)) == ["fail", "start", "success"]


def test_a_wrapper_that_waits_for_its_job_sends_what_it_no_longer_has_to_hold_back(
    api: ApiServer, env: dict[str, str], state: Path, tmp_path: Path
) -> None:
    hurried = (
        "import sys; from crontify_cli.delivery import meanwhile; meanwhile.LOOK_AGAIN = 0.1;"
        "from crontify_cli.__main__ import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", hurried, "exec", "backup", "--", "sh", "-c", WAIT, "a", "0"]
    run = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **env})
    until_begun(state, 1)
    for minutes in (6, 4):
        ended_at = time.time() - 60 * minutes
        words = f"{minutes} minutes ago"
        finish(state, "backup", "fail", words=words, url=api.url, ended_at=ended_at)
    until(lambda: "fail" in accepted(api), "the older failure is sent")
    assert run.poll() is None
    assert "6 minutes ago" in api.accepted[1].json["errorMessage"]
    end(run, tmp_path, "a")
    assert accepted(api) == ["start", "fail", "success", "fail"]
    assert "4 minutes ago" in api.accepted[3].json["errorMessage"]


def test_a_start_without_an_answer_may_have_opened_a_run(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    impatient: dict[str, str],
    state: Path,
    tmp_path: Path,
) -> None:
    api.default = answer(200, b"<html>a hotel's portal</html>")
    run = start(impatient, tmp_path, "a")
    until(lambda: "start" in api.kinds(), "the start is sent")
    end(run, tmp_path, "a")
    api.heal()
    run = start(env, tmp_path, "b")
    until_begun(state, 1)
    end(run, tmp_path, "b")
    assert accepted(api) == ["success", "start", "success"]
    assert reports(state) == ["delivered", "delivered"]
