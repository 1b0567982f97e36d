"""`crontify queue`: what waits, why and until when, and how to be rid of it."""

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Crontify
from tests.faults import rate_limited, refusing_url
from tests.past import Past
from tests.programs import PROGRAM
from tests.screen import screen
from tests.server import ApiServer, answer, error, right, settings
from tests.terminal import Terminal
from tests.waiting import until_exists, until_gone

HERE = "http://127.0.0.1:9/api"
AWAY = {"CRONTIFY_BASE_URL": HERE, "CRONTIFY_API_KEY": "ck_test"}


def listed(crontify: Crontify, env: dict[str, str] = AWAY) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(crontify("queue", "--json", env=env).stdout)
    return found


def reports(crontify: Crontify) -> dict[str, str]:
    """Return the state of the report of each run, by the run's id."""
    return {run["run"]: run["report"] for run in json.loads(crontify("runs", "--json").stdout)}


def kill_a_run(tmp_path: Path, monitor: str, env: dict[str, str]) -> None:
    """Start a run, and kill its wrapper and its job."""
    run = subprocess.Popen(
        [*PROGRAM, "exec", monitor, "--", "sh", "-c", "echo $$ >pid.new; mv pid.new pid; read x"],
        cwd=tmp_path,
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
    )
    until_exists(tmp_path / "pid")
    run.kill()
    run.communicate()
    until_gone(int((tmp_path / "pid").read_text()))
    (tmp_path / "pid").unlink()


def test_each_report_is_listed_with_its_server_its_error_and_its_next_attempt(
    crontify: Crontify, past: Past
) -> None:
    for day in range(5, 0, -1):  # the next run is due in twelve hours
        past.run("backup", ago=day * 86400 - 43200, duration=1)
    late = past.run(
        "backup", "fail", ago=300, code=1, report="queued", error="fail of backup: no", server=HERE
    )
    other = past.run("old", ago=200, report="queued", server="http://old/api")
    first, second = listed(crontify)
    document = (Path(__file__).parent.parent / "docs/output.md").read_text()
    section = document.split("crontify queue --json`\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == list(first)
    assert (first["run"], first["outcome"], first["base_url"]) == (late, "failed", HERE)
    assert (first["attempts"], first["error"]) == (1, "fail of backup: no")
    assert first["next_attempt"] == "next_run"
    assert first["next_run_at"] > time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(past.now))
    assert (second["run"], second["next_attempt"]) == (other, "other_server")

    lines = [line.split("\t") for line in crontify("queue", env=AWAY).stdout.splitlines()]
    words = " ".join(crontify("queue", "--help").stdout.split())
    columns = words.split("without a header: ")[1].split(". ")[0]
    assert len(lines[0]) == len(re.sub(r" \([^)]*\)", "", columns).split(", "))
    assert lines[0][1:6] == [late, "backup", "failed", "1", HERE]

    shown = screen(["queue"], 120, {**AWAY, "NO_COLOR": "1"})
    assert re.search(r"backup +failed +1 +next run, in \d+h\d+m +http\S+ +no\n", shown)
    assert "\n  'CRONTIFY_BASE_URL=http://old/api crontify flush' sends it" in shown


@pytest.mark.parametrize("columns", [60, 80, 140, 200])
def test_a_window_of_any_width_holds_every_line(past: Past, columns: int) -> None:
    past.run("m-" * 40, "fail", code=1, report="queued", error="e" * 400, server=HERE)
    lines = screen(["queue"], columns, {**AWAY, "TERM": "dumb"}).splitlines()
    assert max(map(len, lines)) <= columns
    assert "Why" in lines[0]


def test_an_empty_queue_is_said_to_a_person_only(crontify: Crontify, home: Path) -> None:
    assert crontify("queue").stdout == ""
    assert crontify("queue", "--json").stdout == "[]\n"
    assert "the queue is empty" in screen(["queue"])
    assert list(home.iterdir()) == []


def test_a_killed_run_and_a_hindered_one_wait_in_their_records(
    crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    kill_a_run(tmp_path, "killed", settings(api))
    missing = {"CRONTIFY_API_KEY_FILE": str(tmp_path / "missing")}
    assert crontify("exec", "hindered", "--", "false", env=missing).returncode == 1
    found = {each["monitor"]: each for each in listed(crontify)}
    assert found["killed"]["outcome"] == "died"
    assert found["hindered"]["outcome"] == "failed"
    assert [each["in_journal"] for each in found.values()] == [False, False]


def test_runs_flush_and_doctor_count_as_queue_does(
    crontify: Crontify, past: Past, api: ApiServer, tmp_path: Path
) -> None:
    down = {**settings(api), "CRONTIFY_BASE_URL": HERE}
    past.run("a", "fail", ago=90, code=1, report="queued", server=HERE)
    past.run("a", "fail", ago=80, code=1, report="queued", server="http://old/api")
    kill_a_run(tmp_path, "b", down)
    assert len(listed(crontify, down)) == 3
    ours = r"2 reports queued \(1 of runs that died\), the oldest for \S+ 'crontify queue' shows"
    theirs = "1 report queued for another server, http://old/api, for "
    queue = " ".join(screen(["runs"], 200, down).split())
    assert re.search(ours, queue)
    assert theirs in queue
    checks = json.loads(crontify("doctor", "--json", env=down).stdout)
    found = [f"{each['found']} {each['advice']}" for each in checks if each["check"] == "queue"]
    assert re.match(ours, found[0])
    assert found[1].startswith(theirs)
    flushed = crontify("flush", "--wait", "0", env=down)
    assert flushed.returncode == 75
    # Flush has put the killed run into the journal, and its report has failed as the others'.
    assert re.search(r"2 reports still queued, the oldest for \S+: ", flushed.stderr)
    assert theirs in flushed.stderr
    assert "'crontify queue' shows them, 'crontify flush' sends them" in flushed.stderr


def test_flush_with_reports_for_another_server_alone_is_not_done(
    crontify: Crontify, past: Past, env: dict[str, str]
) -> None:
    past.run("a", "fail", code=1, report="queued", server="http://old/api")
    done = crontify("flush", env=env)
    assert done.returncode == 75
    assert "'CRONTIFY_BASE_URL=http://old/api crontify flush' sends it" in done.stderr
    quiet = crontify("flush", "--quiet", env=env)
    assert (quiet.returncode, quiet.stderr) == (75, "")


def test_a_running_job_holds_back_what_is_queued_for_its_monitor(
    crontify: Crontify, past: Past, api: ApiServer, tmp_path: Path
) -> None:
    env = settings(api)
    past.run("m", "fail", ago=90, code=1, report="queued", server=HERE)
    job = subprocess.Popen(
        [*PROGRAM, "exec", "m", "--", "sh", "-c", "read x"],
        cwd=tmp_path,
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
    )
    api.wait_for(1)
    assert listed(crontify, {**env, "CRONTIFY_BASE_URL": HERE})[0]["next_attempt"] == "after_run"
    job.communicate(b"\n", timeout=60)


# retry


def test_retry_sends_the_reports_of_what_is_named_and_no_others(
    crontify: Crontify, past: Past, api: ApiServer, env: dict[str, str]
) -> None:
    past.run("a", "fail", ago=90, code=1, report="queued", server=api.url)
    past.run("b", "fail", ago=80, code=1, report="queued", server=api.url)
    third = past.run("c", "fail", ago=70, code=1, report="queued", server=api.url)
    done = crontify("queue", "retry", "a", third, env=env)
    assert (done.returncode, done.stderr) == (0, "crontify: 2 reports delivered\n")
    assert [request.path.split("/")[-2] for request in api.accepted] == ["a", "c"]
    assert [each["monitor"] for each in listed(crontify, env)] == ["b"]
    assert crontify("queue", "retry", env=env).returncode == 0
    assert listed(crontify, env) == []
    assert crontify("queue", "retry", env=env).stderr == "crontify: the queue is empty\n"


def test_retry_shows_how_far_it_is_and_how_long_it_waits(
    past: Past, api: ApiServer, env: dict[str, str]
) -> None:
    for ago in (90, 80):
        past.run("a", "fail", ago=ago, code=1, report="queued", server=api.url)
    api.script(right, rate_limited(2), right)
    shown = screen(["queue", "retry"], env=env)
    before, waiting, after = shown.partition("waiting")
    assert waiting
    assert "delivering" in before
    assert "1/2" in before + after
    assert after.rstrip().endswith("crontify: 2 reports delivered")


def test_an_error_of_the_network_is_told_in_words_everywhere(
    crontify: Crontify, past: Past, env: dict[str, str]
) -> None:
    with refusing_url() as url:
        past.run("a", "fail", ago=90, code=1, report="queued", server=url)
        there = {**env, "CRONTIFY_BASE_URL": url, "CRONTIFY_TOKEN": "x"}
        for args in (
            ("queue", "retry"),
            ("queue", "--json"),
            ("flush", "--wait", "0s"),
            ("doctor",),
            ("exec", "-v", "a", "--", "true"),
            ("ping", "fail", "a", "-v"),
            ("logs", "a", "clx8f3k2m0000"),
        ):
            done = crontify(*args, env=there)
            shown = done.stdout + done.stderr
            assert "Connection refused" in shown, (args, shown)
            assert "Errno" not in shown


def test_retry_says_why_a_report_is_still_queued(
    crontify: Crontify, past: Past, api: ApiServer, impatient: dict[str, str]
) -> None:
    past.run("a", "fail", ago=75, code=1, report="queued", server=api.url)
    past.run("b", "fail", ago=80, code=1, report="queued", server="http://old/api")
    api.down()
    done = crontify("queue", "retry", env=impatient)
    assert done.returncode == 75
    assert "1 report still queued, for 1m" in done.stderr
    assert "cannot connect to 127.0.0.1" in done.stderr
    assert "'CRONTIFY_BASE_URL=http://old/api crontify flush' sends it" in done.stderr


def test_a_refused_report_is_retried_when_its_run_is_named(
    crontify: Crontify, past: Past, api: ApiServer, env: dict[str, str]
) -> None:
    run = past.run("a", "fail", code=1, report="refused", error="no", server=api.url)
    assert listed(crontify, env) == []
    by_monitor = crontify("queue", "retry", "a", env=env)
    assert by_monitor.returncode == 1
    assert "no queued report of a; 'crontify queue' lists those there are" in by_monitor.stderr
    api.script(answer(*error(400, "still bad")), kind="fail")
    again = crontify("queue", "retry", run[:12], env=env)
    assert again.returncode == 1
    assert "1 report refused by the server: " in again.stderr
    assert "still bad" in again.stderr
    assert crontify("queue", "retry", run, env=env).stderr == "crontify: 1 report delivered\n"


def test_names_that_stand_for_nothing_or_too_much_are_errors(
    crontify: Crontify, past: Past, env: dict[str, str], api: ApiServer
) -> None:
    for _ in range(2):
        past.run("a", "fail", code=1, report="queued", server=api.url)
    several = crontify("queue", "retry", "00000000000", env=env)
    assert several.returncode == 1
    assert "run id 00000000000 is ambiguous: it matches 000000000001, 0" in several.stderr
    assert "no queued report of zzz" in crontify("queue", "retry", "zzz", env=env).stderr
    assert api.requests == []


# discard


def test_a_discarded_report_is_never_sent_and_its_run_is_still_listed(
    crontify: Crontify, past: Past, api: ApiServer, env: dict[str, str], tmp_path: Path
) -> None:
    one = past.run("a", "fail", ago=90, code=1, report="queued", server=api.url)
    two = past.run("b", "fail", ago=80, code=1, report="refused", error="no", server=api.url)
    kill_a_run(tmp_path, "c", {**env, "CRONTIFY_BASE_URL": HERE})
    done = crontify("queue", "discard", "--yes", "a", two, "c", env=env)
    assert (done.returncode, done.stderr) == (0, "crontify: 3 reports discarded\n")
    assert listed(crontify, env) == []
    assert set(reports(crontify).values()) == {"discarded"}
    assert {one, two} < set(reports(crontify))
    assert "discarded" in screen(["runs"])
    crontify("flush", "--refused", env=env)
    assert api.accepted == []
    assert "warning" not in crontify("queue", env=env).stdout


def test_discard_asks_at_a_terminal_and_takes_no_answer_for_no(
    past: Past, crontify: Crontify, tmp_path: Path
) -> None:
    past.run("a", "fail", code=1, report="queued", server=HERE)
    for answered, code in (("", 1), ("n", 1), ("y", 0)):
        with Terminal() as terminal:
            process = terminal.start(
                [*PROGRAM, "queue", "discard"], env={**os.environ, **AWAY}, cwd=tmp_path
            )
            terminal.read_until("Discard 1 report, never to be sent? [y/N]")
            terminal.type_line(answered)
            assert process.wait(60) == code
            assert ("1 report discarded" in terminal.read_to_end()) == (code == 0)
    assert listed(crontify) == []


def test_discard_without_a_terminal_and_without_yes_is_a_usage_error(
    past: Past, crontify: Crontify
) -> None:
    past.run("a", "fail", code=1, report="queued", server=HERE)
    done = crontify("queue", "discard", env=AWAY, input="y\n")
    assert done.returncode == 2
    assert "use --yes" in done.stderr
    assert len(listed(crontify)) == 1


def test_a_report_that_a_process_is_sending_is_not_discarded(
    past: Past, crontify: Crontify
) -> None:
    from crontify_cli import processes
    from crontify_cli.delivery.journal import MonitorQueue

    past.run("a", "fail", code=1, report="queued", server=HERE)
    past.journal.claim(MonitorQueue(HERE, "a", processes.identity()))
    assert listed(crontify)[0]["next_attempt"] == "now"
    done = crontify("queue", "discard", "--yes", env=AWAY)
    assert done.returncode == 75
    assert "a process is sending the report right now" in done.stderr
    assert len(listed(crontify)) == 1
