"""When the API is away: the job does not notice, and no outcome is lost."""

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crontify_cli.delivery.records import live_runs
from crontify_cli.delivery.sending import SILENT_FOR
from crontify_cli.record import Record
from tests import faults
from tests.conftest import Crontify
from tests.programs import PROGRAM
from tests.server import ApiServer, Behaviour, answer
from tests.waiting import until

PYTHON = sys.executable


def test_a_backlog_goes_out_before_the_next_start_and_old_successes_not_at_all(
    crontify: Crontify, api: ApiServer, env: dict[str, str], impatient: dict[str, str]
) -> None:
    api.down()
    for command, code in (("true", 0), ("false", 1), ("true", 0)):
        done = crontify("exec", "backup", "--", command, env=impatient)
        assert (done.returncode, done.stderr) == (code, "")  # cron mail stays quiet in a blip
    api.up()
    crontify("exec", "backup", "--", "true", env=env)
    assert api.kinds() == ["fail", "start", "success"]
    late = api.requests[0].json
    assert late["meta"]["late_seconds"] >= 0
    assert late["meta"]["exit_code"] == 1
    assert "late" in late["errorMessage"]
    assert "exited with code 1" in late["errorMessage"]
    assert "late_seconds" not in api.requests[2].json["meta"]
    columns = crontify("runs", env=env).stdout.splitlines()
    reports = ["delivered", "superseded", "delivered", "superseded"]
    assert [report in line for report, line in zip(reports, columns[-4:], strict=True)] == [
        True
    ] * 4


@pytest.mark.parametrize("fault", [faults.close, faults.reset, faults.hang_after_reading])
def test_a_start_without_an_answer_is_never_sent_twice(
    crontify: Crontify, api: ApiServer, impatient: dict[str, str], fault: object
) -> None:
    # The end waits for the start's time-out, and is still to have time on a slow machine.
    Path(impatient["CRONTIFY_CONFIG"]).write_text("report_timeout = 10\nhttp_timeout = 1\n")
    api.script(fault, kind="start")  # type: ignore[arg-type]  # the faults are behaviours
    crontify("exec", "backup", "--", "sleep", "0.5", env=impatient)
    assert api.kinds() == ["start", "success"]


def test_a_server_that_is_frozen_gets_a_report_once_until_it_answers(
    crontify: Crontify, api: ApiServer, env: dict[str, str], impatient: dict[str, str]
) -> None:
    """It reads what was sent to it once it goes on: each attempt would be a report of its own."""
    Path(impatient["CRONTIFY_CONFIG"]).write_text("report_timeout = 4\nhttp_timeout = 1\n")
    api.default = faults.hang_after_reading
    crontify("exec", "--start", "never", "backup", "--", "false", env=impatient)
    assert crontify("flush", "--wait", "2s", env=impatient).returncode == 75
    kinds = api.kinds()
    assert (kinds[0], kinds.count("fail")) == ("fail", 1)
    assert set(kinds[1:]) == {"log"}, "it was asked whether it answers"
    api.heal()
    assert crontify("flush", env=env).returncode == 0
    assert api.kinds()[len(kinds) :] == ["log", "fail"]
    assert all("x-api-key" not in each.headers for each in api.requests if each.kind == "log")
    assert crontify("flush", env=env).returncode == 0
    assert api.kinds().count("fail") == 2


def test_a_server_that_answers_only_reports_gets_one_again_some_minutes_later(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    impatient: dict[str, str],
    state: Path,
) -> None:
    """Something in front of the API may drop the request that asks whether it answers."""
    Path(impatient["CRONTIFY_CONFIG"]).write_text("report_timeout = 4\nhttp_timeout = 1\n")
    api.choose = lambda request: faults.hang_after_reading if request.method == "GET" else None
    api.script(faults.hang_after_reading, kind="fail")
    crontify("exec", "--start", "never", "backup", "--", "false", env=impatient)
    assert crontify("flush", "--wait", "2s", env=impatient).returncode == 75
    assert api.kinds().count("fail") == 1
    with contextlib.closing(sqlite3.connect(state / "journal.db")) as db, db:
        db.execute("UPDATE unanswered SET sent_at = sent_at - ?", (SILENT_FOR,))
        db.execute("UPDATE reports SET ended_at = ended_at - ?", (SILENT_FOR,))
        db.execute("UPDATE runs SET boot_id = 'another'")
    assert crontify("flush", env=env).returncode == 0
    assert api.kinds().count("fail") == 2


@pytest.mark.parametrize("days", [99, -99])
def test_a_clock_that_was_set_does_not_change_when_that_is(
    crontify: Crontify, api: ApiServer, impatient: dict[str, str], state: Path, days: int
) -> None:
    """Neither at once, nor only when the clock is where it was."""
    Path(impatient["CRONTIFY_CONFIG"]).write_text("report_timeout = 4\nhttp_timeout = 1\n")
    api.default = faults.hang_after_reading
    crontify("exec", "--start", "never", "backup", "--", "false", env=impatient)
    with contextlib.closing(sqlite3.connect(state / "journal.db")) as db, db:
        db.execute("UPDATE unanswered SET sent_at = sent_at + ?", (days * 86400,))
    assert crontify("flush", "--wait", "2s", env=impatient).returncode == 75
    assert api.kinds().count("fail") == 1
    with contextlib.closing(sqlite3.connect(state / "journal.db")) as db:
        ((sent_at,),) = db.execute("SELECT sent_at FROM unanswered").fetchall()
    assert abs(time.time() - sent_at) < SILENT_FOR


@pytest.mark.parametrize("fault", [faults.close, faults.reset, answer(500), answer(503)])
def test_an_end_without_an_answer_is_sent_again_with_the_same_body(
    crontify: Crontify, api: ApiServer, env: dict[str, str], fault: object
) -> None:
    api.script(fault, kind="fail")  # type: ignore[arg-type]  # the faults are behaviours
    crontify("exec", "backup", "--", "sh", "-c", "echo why; exit 1", env=env)
    assert api.kinds() == ["start", "fail", "fail"]
    assert api.requests[1].body == api.requests[2].body
    assert b"why" in api.requests[1].body


@pytest.mark.parametrize(
    "limit",
    [
        faults.rate_limited(2),
        faults.rate_limited(date=2),
        faults.rate_limited(message="Rate limit exceeded, wait 2 seconds"),
    ],
)
def test_a_rate_limit_is_waited_for_as_long_as_the_server_says(
    crontify: Crontify, api: ApiServer, impatient: dict[str, str], limit: Behaviour
) -> None:
    """In the foreground, with a patience of its own: report_timeout is 1 s here."""
    Path(impatient["CRONTIFY_CONFIG"]).write_text("report_timeout = 1\n")
    api.script(limit, kind="success")
    done = crontify("exec", "backup", "--", "true", env=impatient)
    assert (done.returncode, done.stderr) == (0, "")  # nobody at a terminal: nothing to show
    assert api.kinds() == ["start", "success", "success"]
    waited = api.requests[2].arrived - api.requests[1].arrived
    assert 2 <= waited < 30, "not the 60 s of a server that does not say"


@pytest.mark.parametrize("status", [401, 404, 400])
def test_a_refusal_is_said_and_not_repeated(
    crontify: Crontify, api: ApiServer, env: dict[str, str], status: int
) -> None:
    api.default = answer(status, {"message": "the server's own words"})
    done = crontify("exec", "backup", "--", "true", env=env)
    assert done.returncode == 0
    assert api.kinds() == ["start", "success"]
    assert str(status) in done.stderr
    assert "the server's own words" in done.stderr


def test_a_refusing_server_does_not_cost_the_whole_patience(
    crontify: Crontify, api: ApiServer, env: dict[str, str], home: Path
) -> None:
    """The start is given up with the job, and the end after what policy allows."""
    config = home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('report_timeout = "10m"\n')
    api.down()
    done = crontify("exec", "b", "--", "true", env=env)
    assert done.returncode == 0  # before the runner's own minute is over


def test_a_run_whose_wrapper_was_killed_is_reported_by_the_next(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path, tmp_path: Path
) -> None:
    script = "echo before; until [ -e go ]; do sleep .01; done"
    wrapper = subprocess.Popen(
        [*PROGRAM, "exec", "backup", "--", "sh", "-c", script],
        cwd=tmp_path,
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
    )
    api.wait_for(1)
    (live,) = live_runs(str(state))
    until(lambda: Record(Path(live.path).read_bytes()).total, "the output is recorded")
    wrapper.send_signal(signal.SIGKILL)
    wrapper.wait()
    crontify("exec", "backup", "--", "true", env=env)
    assert api.kinds() == ["start", "start", "success"]  # the job itself still lives
    (tmp_path / "go").touch()

    def is_reported() -> bool:
        crontify("exec", "backup", "--", "true", env=env)
        return "fail" in api.kinds()

    until(is_reported, "the run is reported")
    fails = [request for request in api.requests if request.kind == "fail"]
    assert len(fails) == 1
    assert "the wrapper was killed, the job's outcome is unknown" in fails[0].json["errorMessage"]
    assert fails[0].json["logOutput"] == "before\n"


def test_a_broken_journal_is_set_aside_and_the_report_goes_out(
    crontify: Crontify, api: ApiServer, env: dict[str, str], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir(0o700)
    (state / "journal.db").write_bytes(os.urandom(8192))
    done = crontify("exec", "backup", "--", "true", env={**env, "CRONTIFY_STATE_DIR": str(state)})
    assert done.returncode == 0
    assert api.kinds() == ["start", "success"]
    assert "journal.db" in done.stderr
    assert "set aside" in done.stderr
    assert list(state.glob("journal.db.corrupt-*"))


def test_a_state_folder_that_cannot_be_made_costs_a_warning(
    crontify: Crontify, api: ApiServer, env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = crontify(
        *("exec", "backup", "--", "sh", "-c", "echo ran; exit 3"),
        env={**env, "CRONTIFY_STATE_DIR": str(tmp_path / "file" / "state")},
    )
    assert (done.returncode, done.stdout) == (3, "ran\n")
    assert api.kinds() == ["start", "fail"]
    assert "no record on disk" in done.stderr


def test_flush_delivers_the_queue_and_says_with_its_exit_code_what_is_left(
    crontify: Crontify, api: ApiServer, env: dict[str, str], impatient: dict[str, str]
) -> None:
    api.down()
    for monitor in ("one", "two"):
        for command in ("true", "false", "true"):
            crontify("exec", monitor, "--", command, env=impatient)
    left = crontify("flush", "--wait", "0", env=impatient)
    assert left.returncode == 75
    # Three of a monitor, but for the success that one of the later runs left out already.
    assert re.search("[456] reports still queued, ", left.stderr)
    assert f"cannot connect to 127.0.0.1:{api.port}" in left.stderr
    api.up()
    done = crontify("flush", "-v", env=env)
    assert done.returncode == 0
    assert "one: 2 delivered, " in done.stderr
    sent = [(request.path.split("/")[4], request.kind) for request in api.requests]
    for monitor in ("one", "two"):  # in order within each
        assert [kind for name, kind in sent if name == monitor] == ["fail", "success"]
    assert crontify("flush", env=env).returncode == 0
    assert len(api.requests) == 4


def test_several_flushes_at_once_send_each_report_once(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    impatient: dict[str, str],
    tmp_path: Path,
) -> None:
    api.down()
    for number in range(4):
        crontify("exec", f"monitor{number}", "--", "false", env=impatient)
    api.up()
    command = [*PROGRAM, "flush", "--quiet"]
    flushes = [subprocess.Popen(command, env={**os.environ, **env}) for _ in range(4)]
    for flush in flushes:
        assert flush.wait(60) == 0  # it waits for what the others are at
    monitors = sorted(request.path.split("/")[4] for request in api.requests)
    assert monitors == ["monitor0", "monitor1", "monitor2", "monitor3"]
