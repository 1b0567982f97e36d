"""Plans: how long a monitor has to wait from one ping to the next, and what a client is told."""

import re
import subprocess
from pathlib import Path

import pytest

from crontify_cli.sandbox.rules import parse_plan, seconds_to_wait
from tests.sandbox.server import PROGRAM, Server, environment, sandbox, serving
from tests.waiting import until


def _wait(server: Server, monitor: str) -> int:
    """Return how many seconds a refused ping is told to wait."""
    answer = server.ping(monitor, "success")
    assert answer.status_code == 429
    message = answer.json()["message"]
    (seconds,) = re.findall(r"wait (\d+) seconds", message)
    assert answer.headers["Retry-After"] == seconds
    return int(seconds)


def test_any_interval_is_a_plan_and_is_kept_until_another_is_named(tmp_path: Path) -> None:
    db = tmp_path / "sandbox.db"
    with serving(db, "--plan", "2h") as server:
        monitor, other = server.monitor(), server.monitor()
        server.send(monitor, "start")
        assert 7_000 < _wait(server, monitor) <= 7_200
        server.send(other, "start")  # each monitor has a limit of its own
        key = {"X-API-Key": server.api_key}
    with serving(db) as again:
        assert again.ping(monitor, "success", headers=key).status_code == 429
        # A refused ping leaves no trace, and the wait does not begin anew with it.
        before = again.get(f"/monitors/{monitor}").json()
        waits = [_wait(server._replace(http=again.http), monitor) for _ in range(3)]
        assert waits == sorted(waits, reverse=True)
        assert again.get(f"/monitors/{monitor}").json() == before
        assert [run["status"] for run in again.runs(monitor)] == ["running"]
    with serving(db, "--plan", "pro") as free_again:
        for _ in range(3):
            assert free_again.ping(monitor, "success", headers=key).status_code == 200


def test_a_ping_is_taken_again_once_the_interval_is_over(tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db", "--plan", "1s") as server:
        monitor = server.monitor()
        run = server.send(monitor, "start")
        until(lambda: server.ping(monitor, "success").status_code == 200, "a ping is taken")
        assert [(found["id"], found["status"]) for found in server.runs(monitor)] == [
            (run, "success")
        ]


@pytest.mark.parametrize(
    ("last", "now", "wait"),
    [
        (None, 1_000, 0),
        (1_000, 1_000, 60),
        (1_000, 1_001, 60),
        (1_000, 60_999, 1),
        (1_000, 61_000, 0),
        (5_000, 1_000, 0),  # the clock was set back
    ],
)
def test_the_wait_is_in_whole_seconds_after_which_the_ping_is_taken(
    last: int | None, now: int, wait: int
) -> None:
    assert seconds_to_wait(last, now, 60_000) == wait
    if wait and last is not None:
        assert seconds_to_wait(last, now + wait * 1000, 60_000) == 0


def test_plans_by_name_and_by_interval() -> None:
    assert [parse_plan(text) for text in ("free", "pro", "30", "1m30s")] == [
        *(60_000, 0, 30_000, 90_000)
    ]


@pytest.mark.parametrize("plan", ["gold", "", "-5s"])
def test_another_plan_is_wrong_usage(tmp_path: Path, plan: str) -> None:
    done = sandbox("serve", "--port", "0", "--plan", plan, "--db", str(tmp_path / "sandbox.db"))
    assert done.returncode == 2
    assert "free, pro" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_exec_waits_out_the_plan_and_both_ends_of_the_run_are_there(tmp_path: Path) -> None:
    """A job that is shorter than its plan's interval: a normal day."""
    with serving(tmp_path / "sandbox.db", "--plan", "2s") as server:
        monitor = server.monitor()
        env = {"CRONTIFY_BASE_URL": server.url, "CRONTIFY_API_KEY": server.api_key}
        done = subprocess.run(
            [*PROGRAM, "exec", monitor, "--", "true"],
            env=environment() | env | {"CRONTIFY_STATE_DIR": str(tmp_path / "state")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        (run,) = server.runs(monitor)
        assert run["status"] == "success"
        assert run["durationMs"] >= 1_900
