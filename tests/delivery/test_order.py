"""What goes out before what, what is left out, and what is said of a queue."""

import os
import sqlite3
import subprocess
import time
from pathlib import Path

from crontify_cli.delivery.journal import VERSION
from tests.conftest import Crontify
from tests.delivery.outcomes import finish
from tests.faults import delayed, rate_limited
from tests.programs import PROGRAM
from tests.server import ApiServer, answer
from tests.terminal import Terminal
from tests.waiting import until


def test_an_end_does_not_overtake_the_start_that_is_still_on_its_way(
    crontify: Crontify, api: ApiServer, env: dict[str, str]
) -> None:
    api.script(delayed(1.0), kind="start")
    assert crontify("exec", "backup", "--", "true", env=env).returncode == 0
    assert [request.kind for request in api.accepted] == ["start", "success"]


def test_a_start_that_was_not_taken_by_the_jobs_end_is_dropped(
    crontify: Crontify, api: ApiServer, env: dict[str, str], tmp_path: Path
) -> None:
    api.default = answer(503)
    script = "until [ -e go ]; do sleep .02; done"
    command = [*PROGRAM, "exec", "backup", "--", "sh", "-c", script]
    run = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **env})
    until(lambda: api.kinds().count("start") >= 2, "the start is tried again")
    (tmp_path / "go").touch()
    until(lambda: "success" in api.kinds(), "the end is tried")
    tried = len(api.requests)
    api.heal()
    assert run.wait(60) == 0
    assert [request.kind for request in api.accepted] == ["success"]
    assert "start" not in api.kinds()[tried:]


def test_other_monitors_backlogs_go_out_after_our_own_end(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    finish(state, "other", "fail", words="other", url=api.url)
    finish(state, "backup", "fail", words="own", url=api.url)
    assert crontify("exec", "backup", "--", "true", env=env).returncode == 0
    sent = [(request.path.split("/")[4], request.kind) for request in api.accepted]
    assert sent == [
        *[("backup", "fail"), ("backup", "start"), ("backup", "success")],
        ("other", "fail"),
    ]


def test_a_backlog_that_does_not_go_out_holds_the_start_back(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    impatient: dict[str, str],
    state: Path,
) -> None:
    finish(state, "backup", "fail", words="own", url=api.url)
    api.default = answer(503)
    assert crontify("exec", "backup", "--", "sleep", "0.5", env=impatient).returncode == 0
    assert set(api.kinds()) == {"fail"}
    api.heal()
    assert crontify("flush", env=env).returncode == 0
    assert [request.kind for request in api.accepted] == ["fail", "success"]


def test_flush_says_what_it_left_out(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    finish(state, "backup", "success", url=api.url)
    finish(state, "backup", "fail", url=api.url)
    done = crontify("flush", "-v", env=env)
    assert done.stderr == "crontify: backup: 1 delivered, 1 superseded, 0 refused\n"
    assert api.kinds() == ["fail"]


def test_an_old_queue_is_worth_a_line_and_a_young_one_is_not(
    crontify: Crontify, api: ApiServer, impatient: dict[str, str], state: Path
) -> None:
    api.down()
    assert crontify("exec", "backup", "--", "true", env=impatient).stderr == ""
    finish(state, "other", "fail", url=api.url, ended_at=time.time() - 7300)
    said = crontify("exec", "backup", "--", "true", env=impatient).stderr
    assert "2 reports queued; 'crontify flush' delivers them; the oldest has waited for 2h" in said
    assert len(said.splitlines()) == 1


def test_what_is_queued_for_another_address_is_not_sent_here_and_said(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    finish(state, "backup", "fail", url="http://127.0.0.1:1/api")
    done = crontify("flush", env=env)
    assert done.returncode == 75
    assert "1 report queued for another server" in done.stderr
    assert "'CRONTIFY_BASE_URL=http://127.0.0.1:1/api crontify flush'" in done.stderr
    assert api.requests == []
    assert crontify("flush", "--quiet", env=env).stderr == ""


def test_without_a_journal_and_an_api_the_run_is_reported_from_its_record(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    impatient: dict[str, str],
    state: Path,
) -> None:
    finish(state, "other", "success", url=api.url)

    def set_version(version: int) -> None:
        db = sqlite3.connect(state / "journal.db")
        db.execute(f"PRAGMA user_version = {version}")
        db.close()

    set_version(VERSION + 1)
    api.down()
    done = crontify("exec", "backup", "--", "sh", "-c", "echo out; exit 7", env=impatient)
    assert done.returncode == 7
    assert "'crontify flush' reports the run from its record" in done.stderr
    api.up()
    set_version(VERSION)
    assert crontify("flush", env=env).returncode == 0
    (fail,) = [request.json for request in api.accepted if request.kind == "fail"]
    assert fail["errorMessage"].endswith(
        "exited with code 7; its own process could not report it: out"
    )
    assert (fail["meta"]["exit_code"], fail["logOutput"]) == (7, "out\n")


def test_ctrl_c_during_a_flush_leaves_the_rest_queued(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    finish(state, "backup", "fail", url=api.url)
    api.script(rate_limited(50))
    with Terminal() as terminal:
        flush = terminal.start([*PROGRAM, "flush"], env={**os.environ, **env})
        terminal.read_until("(Ctrl-C leaves the rest queued)")
        terminal.type("\x03")
        assert flush.wait(60) == 130
        assert "Traceback" not in terminal.read_to_end()
    assert crontify("flush", env=env).returncode == 0
    assert [request.kind for request in api.accepted] == ["fail"]
