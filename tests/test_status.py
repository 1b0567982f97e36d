"""`crontify status`: how the monitors stand, by the journal alone."""

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from crontify_cli.cli.rhythm import rhythm
from tests.conftest import Crontify
from tests.past import Past
from tests.programs import PROGRAM
from tests.screen import screen
from tests.server import ApiServer, settings

HOUR, DAY = 3600.0, 86400.0


def standing(crontify: Crontify, *args: str) -> dict[str, dict[str, Any]]:
    """Return the JSON objects by monitor."""
    every = json.loads(crontify("status", "--json", *args).stdout)
    return {each["monitor"]: each for each in every}


def hourly(past: Past, monitor: str, last: float) -> None:
    """Write down twelve runs, one an hour; last: seconds since the start of the last one."""
    for number in range(11, -1, -1):
        past.run(monitor, ago=last + number * HOUR, duration=1)


def test_what_failed_ran_waits_and_is_late_is_on_one_screen(
    crontify: Crontify, past: Past, api: ApiServer, tmp_path: Path
) -> None:
    hourly(past, "late", 3 * HOUR)
    hourly(past, "well", 0.5 * HOUR)
    past.run("backup", ago=500)
    for ago in (400, 300):
        past.run("backup", "fail", ago=ago, code=3, message="exited with code 3: disk full")
    past.run("backup", "skipped", ago=200, report=None)
    past.run("sync", "fail", ago=100, code=1)
    queued = past.run("sync", "success", ago=50, report="queued")
    job = subprocess.Popen(
        [*PROGRAM, "exec", "living", "--", "sh", "-c", "read x"],
        cwd=tmp_path,
        env={**os.environ, **settings(api)},
        stdin=subprocess.PIPE,
    )
    api.wait_for(1)
    found = standing(crontify)
    document = (Path(__file__).parent.parent / "docs/output.md").read_text()
    section = document.split("crontify status --json`\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == list(found["backup"])
    backup, sync = found["backup"], found["sync"]
    assert (backup["last_outcome"], backup["failures_in_a_row"]) == ("failed", 2)
    assert (backup["exit_code"], backup["message"]) == (3, "exited with code 3: disk full")
    assert (sync["last_run"], sync["failures_in_a_row"], sync["queued"]) == (queued, 0, 1)
    assert len(found["living"]["running"]) == 1
    assert found["late"]["usual_period"] == pytest.approx(HOUR)
    due = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(past.now - 2 * HOUR))
    assert found["late"]["overdue_since"] == found["late"]["next_run_at"] == due
    assert found["well"]["overdue_since"] is None

    done = crontify("status")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    words = " ".join(crontify("status", "--help").stdout.split())
    columns = words.split("without a header: ")[1].split(". ")[0]
    assert {len(line) for line in lines} == {len(columns.split(", "))}
    assert [line[0] for line in lines] == sorted(found)

    shown = screen(["status"], 100, {"NO_COLOR": "1"})
    job.communicate(b"\n", timeout=60)
    assert shown.startswith("5 monitors: 1 failed, 1 overdue, 1 run going on, 1 report queued\n")
    assert re.search(r"\nbackup .* 3 +2  disk full\n", shown)
    assert re.search(r"\nlate .* 1h +2h ago\n", shown)
    assert re.search(r"\nliving .*s\n", shown)
    assert "1 report queued for another server, http://x, for " in shown
    assert "By the journal of this machine alone" in shown


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("success", 0), ("fail", 1), ("lost", 1), ("tolerated", 0), ("skipped", 0), (None, 0)],
)
def test_scripts_learn_of_a_failure_by_the_exit_code(
    outcome: Any, code: int, crontify: Crontify, past: Past
) -> None:
    past.run("good", ago=90)
    past.run("m", ago=80)
    past.run("m", outcome, ago=60, code=1)
    assert crontify("status").returncode == code
    assert crontify("status", "m").returncode == code
    assert crontify("status", "good", "--json").returncode == 0
    assert list(standing(crontify, "good")) == ["good"]
    unknown = crontify("status", "good", "zzz")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "no runs of zzz on this machine" in unknown.stderr


def test_an_alias_and_its_id_are_one_monitor(
    crontify: Crontify, past: Past, tmp_path: Path
) -> None:
    past.run("clxxx", "fail", ago=90, code=1)
    past.run("backup", ago=60)
    config = tmp_path / "c.toml"
    config.write_text('[monitors.backup]\nid = "clxxx"\n')
    env = {"CRONTIFY_CONFIG": str(config)}
    for names in ([], ["backup"], ["clxxx"]):
        done = crontify("status", *names, env=env)
        assert done.returncode == 0
        assert done.stdout.split("\t")[:2] == ["backup", "success"]
        assert done.stdout.count("\n") == 1


def test_all_well_and_nothing_yet_are_said(crontify: Crontify, home: Path) -> None:
    assert "no runs yet" in screen(["status"])
    assert crontify("status", "--json").stdout == "[]\n"
    assert list(home.iterdir()) == []
    Past().run("m")
    assert "1 monitor: no failures, nothing overdue or queued" in screen(
        ["status"], env={"NO_COLOR": "1"}
    )


@pytest.mark.parametrize("columns", [60, 80, 140, 200])
def test_a_window_of_any_width_holds_every_line(past: Past, columns: int) -> None:
    hourly(past, "a-monitor-with-a-very-long-name-of-its-own-indeed", 3 * HOUR)
    past.run("m" * 70, "fail", code=1, report="queued", error="e" * 300, message="b" * 300)
    lines = screen(["status"], columns, {"TERM": "dumb"}).splitlines()
    assert max(map(len, lines)) <= columns
    assert any(line.startswith("Monitor") and line.endswith("Message") for line in lines)


def test_many_failures_leave_room_for_the_rest(past: Past) -> None:
    for number in range(20):
        past.run(f"m{number}", "fail", code=1)
    lines = screen(["status"]).splitlines()
    assert len(lines) < 24
    assert any("(the first 8 of 20)" in line for line in lines)


# The rhythm


def starts(*gaps: float) -> list[float]:
    """Return the starts, the newest first, between which these pauses lie."""
    at, found = 1e9, [1e9]
    for gap in reversed(gaps):
        at -= gap
        found.append(at)
    return found


@pytest.mark.parametrize(
    ("gaps", "silence", "is_overdue"),
    [
        ([DAY] * 5, 1.01 * DAY, False),
        ([DAY] * 5, 1.1 * DAY, True),
        # A weekend, and a night, are no delay.
        ([DAY, DAY, DAY, 3 * DAY, DAY], 2.5 * DAY, False),
        ([600.0] * 60 + [14 * HOUR] + [600.0] * 60, 13 * HOUR, False),
        ([60.0] * 20, 300, False),
        ([60.0] * 20, 400, True),
    ],
)
def test_a_monitor_is_overdue_after_a_pause_longer_than_any(
    gaps: list[float], silence: float, is_overdue: bool
) -> None:
    found = rhythm(starts(*gaps))
    assert found
    assert found.is_overdue(silence) == is_overdue


@pytest.mark.parametrize(
    "gaps",
    [[], [DAY, DAY], [60.0] * 5, [5.0] * 50],
    ids=["one", "three", "trials by hand", "a loop by hand"],
)
def test_a_few_runs_are_no_rhythm(gaps: list[float]) -> None:
    assert rhythm(starts(*gaps)) is None


def test_runs_in_the_same_minute_count_as_one() -> None:
    found = rhythm(starts(HOUR, 5.0, HOUR, HOUR, 1.0, *[HOUR] * 9))
    assert found
    assert found.usual == pytest.approx(HOUR, rel=0.01)
