"""A plan that limits the pings of a monitor: what is learned of it, and what is sent then."""

import contextlib
import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crontify_cli.delivery.journal import Journal
from tests.conftest import Crontify
from tests.delivery.outcomes import finish
from tests.faults import Plan
from tests.programs import PROGRAM
from tests.server import ApiServer
from tests.waiting import until


@pytest.fixture
def plan(api: ApiServer) -> Plan:
    """A plan of one ping a minute."""
    api.choose = plan = Plan(60)
    return plan


@pytest.fixture
def unwaiting(env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The settings of a run that does not wait for the plan's limit; for the server it does."""
    config = tmp_path / "unwaiting.toml"
    config.write_text("rate_limit_wait = 1\n")
    config.chmod(0o600)
    return {**env, "CRONTIFY_CONFIG": str(config)}


def accepted(api: ApiServer) -> list[str]:
    return [request.kind for request in api.accepted]


def limit(crontify: Crontify, env: dict[str, str]) -> float | None:
    """Return the limit of the monitor `backup` in seconds, as `runs --stats` shows it."""
    (stats,) = json.loads(crontify("runs", "backup", "--stats", "--json", env=env).stdout)
    found: float | None = stats["rate_limit"]
    return found


@contextlib.contextmanager
def waiting_run(
    then: str, env: dict[str, str], folder: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a run of `backup` whose job waits for the file `go`, and then does `then`."""
    job = f"until [ -e go ]; do sleep .02; done; {then}"
    command = [*PROGRAM, "exec", "backup", "--", "sh", "-c", job]
    with subprocess.Popen(command, cwd=folder, env={**os.environ, **env}) as run:
        try:
            yield run
        finally:
            run.terminate()


def test_the_first_429_teaches_the_limit_and_no_start_is_sent_then(
    crontify: Crontify, api: ApiServer, plan: Plan, unwaiting: dict[str, str]
) -> None:
    done = crontify("exec", "backup", "--", "true", env=unwaiting)
    assert (done.returncode, done.stderr) == (0, "")
    assert api.kinds() == ["start", "success"]
    assert accepted(api) == ["start"]
    assert limit(crontify, unwaiting) == 60
    crontify("exec", "backup", "--", "true", env=unwaiting)
    assert api.kinds() == ["start", "success", "success"]
    checks = json.loads(crontify("doctor", "--json", env=unwaiting).stdout)
    (check,) = [check for check in checks if check["check"] == "rate_limit"]
    assert check["result"] == "ok"
    assert "backup: one ping every 1m" in check["found"]


def test_a_limit_is_a_monitors_own(
    crontify: Crontify, api: ApiServer, plan: Plan, unwaiting: dict[str, str]
) -> None:
    for monitor in ("backup", "backup", "other"):
        crontify("exec", monitor, "--", "true", env=unwaiting)
    sent = [request.path.split("/")[4:] for request in api.requests]
    assert ["other", "start"] in sent


@pytest.mark.parametrize(
    ("flags", "config", "starts"),
    [
        ((), "", 1),
        (("--start", "always"), "", 2),
        ((), 'start = "always"', 2),
        (("--start", "auto"), 'start = "always"', 1),
        (("--no-start",), 'start = "always"', 0),
        ((), 'start = "always"\n[monitors.backup]\nno_start = true', 0),
        ((), 'no_start = true\n[monitors.backup]\nstart = "always"', 2),
        ((), "no_start = true\n[monitors.backup]\nno_start = false", 1),
        ((), "no_start = true", 0),
    ],
)
def test_start_says_whether_starts_are_sent(
    crontify: Crontify,
    api: ApiServer,
    plan: Plan,
    unwaiting: dict[str, str],
    flags: tuple[str, ...],
    config: str,
    starts: int,
) -> None:
    """Of two runs; the second knows the limit."""
    file = Path(unwaiting["CRONTIFY_CONFIG"])
    file.write_text(file.read_text() + config)
    for _ in range(2):
        assert crontify("exec", "backup", *flags, "--", "true", env=unwaiting).stderr == ""
    assert api.kinds().count("start") == starts


def test_start_and_no_start_contradict_each_other(crontify: Crontify) -> None:
    done = crontify("exec", "backup", "--start", "always", "--no-start", "--", "true")
    assert done.returncode == 2
    assert "--no-start means --start never: give only one of them" in done.stderr


def test_a_limit_that_is_applied_no_longer_is_forgotten(
    crontify: Crontify, api: ApiServer, plan: Plan, unwaiting: dict[str, str]
) -> None:
    crontify("exec", "backup", "--", "true", env=unwaiting)
    api.choose = None  # another plan
    for _ in range(2):
        crontify("exec", "backup", "--", "true", env=unwaiting)
    assert accepted(api) == ["start", "success", "start", "success"]
    assert limit(crontify, unwaiting) is None


def test_a_limit_is_put_to_the_test_after_a_day(
    crontify: Crontify, api: ApiServer, plan: Plan, unwaiting: dict[str, str], state: Path
) -> None:
    crontify("exec", "backup", "--", "true", env=unwaiting)
    with sqlite3.connect(state / "journal.db") as db:
        db.execute("UPDATE limits SET learned_at = learned_at - 86400")
    crontify("exec", "backup", "--", "true", env=unwaiting)
    assert api.kinds().count("start") == 2
    crontify("exec", "backup", "--", "true", env=unwaiting)
    assert api.kinds().count("start") == 2, "the test has confirmed it"


def test_a_run_that_lasts_much_longer_than_usual_sends_its_start(
    crontify: Crontify, api: ApiServer, unwaiting: dict[str, str], tmp_path: Path
) -> None:
    """With a limit of two seconds: after two seconds, since the usual run is over at once."""
    api.choose = Plan(2)
    crontify("exec", "backup", "--", "true", env=unwaiting)
    with waiting_run("exit 0", unwaiting, tmp_path) as run:
        until(lambda: accepted(api)[1:][-1:] == ["start"], "the start comes")
        first, *_, late = api.accepted
        assert late.arrived - first.arrived >= 2
        (tmp_path / "go").touch()
        assert run.wait(60) == 0


def test_a_report_does_not_wait_where_the_next_run_is_expected_first(
    crontify: Crontify, api: ApiServer, plan: Plan, env: dict[str, str], state: Path
) -> None:
    """A run every 40 s, and all the patience that there is: 90 s for a rate limit."""
    for at in range(5):
        ended_at = time.time() - 40 * (5 - at)
        report = finish(state, "backup", "success", url=api.url, ended_at=ended_at)
        Journal.open(str(state)).settle(report, "superseded")
    crontify("exec", "backup", "--start", "never", "--", "true", env=env)
    for kind, command in (("success", "true"), ("fail", "false")):
        began = time.monotonic()
        crontify("exec", "backup", "--start", "never", "--", command, env=env)
        assert time.monotonic() - began < 40, "not the minute of the plan"
        assert api.kinds()[-1] == kind
    assert accepted(api) == ["success"]


def test_a_failure_goes_before_the_older_ones_and_does_not_wait_for_them(
    crontify: Crontify, api: ApiServer, plan: Plan, unwaiting: dict[str, str], tmp_path: Path
) -> None:
    for command in ("true", "false"):
        crontify("exec", "backup", "--start", "never", "--", command, env=unwaiting)
    assert accepted(api) == ["success"]
    tried = len(api.requests)
    with waiting_run("exit 7", unwaiting, tmp_path) as run:
        api.wait_for(tried + 1)  # the older failure, which is refused again
        (tmp_path / "go").touch()
        assert run.wait(60) == 7
    codes = [request.json["meta"]["exit_code"] for request in api.requests[tried:]]
    assert codes[:2] == [1, 7]


def test_a_failure_does_not_go_before_a_run_that_the_server_has_as_open(
    crontify: Crontify, api: ApiServer, unwaiting: dict[str, str], state: Path
) -> None:
    """It would close that run."""
    crontify("exec", "backup", "--", "true", env=unwaiting)
    db = sqlite3.connect(state / "journal.db")
    with db:
        db.execute("UPDATE reports SET state = 'queued', kind = 'fail'")
    api.accepted.clear()
    crontify("exec", "backup", "--start", "never", "--", "sh", "-c", "exit 7", env=unwaiting)
    codes = [request.json["meta"]["exit_code"] for request in api.accepted]
    assert codes == [0, 7]
