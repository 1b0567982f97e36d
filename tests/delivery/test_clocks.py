"""A wrong clock costs no report: each is tried under the right one, and says what is known."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from crontify_cli import processes
from crontify_cli.delivery import retention
from crontify_cli.delivery.delays import LONGEST, plausible, since_end
from crontify_cli.delivery.journal import Journal
from crontify_cli.delivery.journal_rows import Queued
from crontify_cli.delivery.late import mark_late
from crontify_cli.delivery.retention import DAY, Dropped, prune
from crontify_cli.model import Ping
from tests.conftest import Crontify
from tests.delivery.outcomes import finish, queue
from tests.programs import PROGRAM, need
from tests.server import ApiServer

CLOCKS = {"1970": "1970-01-01 00:10:00", "behind": "-99d", "ahead": "+99d"}


def at_clock(clock: str, *command: str, env: dict[str, str]) -> None:
    """Run a failing job under another clock, as libfaketime makes it."""
    done = subprocess.run(
        ["faketime", "-f", clock, *PROGRAM, "exec", *command],
        env={**os.environ, **env, "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 5, done.stderr


def test_what_ran_under_a_wrong_clock_is_delivered_once(
    crontify: Crontify, api: ApiServer, env: dict[str, str], impatient: dict[str, str]
) -> None:
    need("faketime")
    began = time.monotonic()
    api.down()
    for name, clock in CLOCKS.items():
        at_clock(clock, name, "--", "sh", "-c", f"echo {name}; exit 5", env=impatient)
    api.up()
    done = crontify("exec", "now", "--", "true", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert crontify("flush", env=env).returncode == 0
    fails = {r.path.split("/")[4]: r.json for r in api.accepted if r.kind == "fail"}
    assert sorted(r.path.split("/")[4] for r in api.accepted if r.kind == "fail") == sorted(CLOCKS)
    for name, fail in fails.items():
        assert fail["logOutput"] == f"{name}\n"
        longest = time.monotonic() - began + 1  # it is rounded
        assert 0 <= fail["meta"]["late_seconds"] <= longest
    shown = crontify("runs", "--json", env=env)
    assert '"report": "queued"' not in shown.stdout


def test_a_delay_comes_from_the_boots_clock_or_a_plausible_one() -> None:
    now, boot = time.time(), processes.boot_id()
    ticks = processes.start_time(os.getpid())
    age = processes.seconds_alive(ticks)
    assert age is not None
    found = since_end(0.0, now, boot_id=boot, started=ticks, duration=0.0)
    assert found is not None
    assert age <= found < age + 60
    for ended_at, late in ((now - 500, 500), (now + 30, 0)):
        found = since_end(ended_at, now, boot_id="another", started=ticks, duration=0.0)
        assert found == pytest.approx(late, abs=0.01)
    for ended_at in (0.0, now + DAY, now - LONGEST - 1):
        assert plausible(now - ended_at) is None
        ping = Ping("m", "fail", {"exit_code": 1}, "why")
        marked = mark_late(Queued(1, "run", ping, ended_at, 0, "another", ticks, 0.0), now)
        assert marked.meta == {"exit_code": 1}
        assert marked.error_message == "(reported late) why"


def test_no_report_that_was_not_delivered_is_too_old(tmp_path: Path) -> None:
    finish(tmp_path, "old", "fail", ended_at=10.0)
    journal = Journal.open(str(tmp_path))
    assert prune(journal, keep_runs=5, keep_days=1) == Dropped()
    assert [row.report for row in journal.runs()] == ["queued"]


def test_the_queue_is_bounded_by_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "QUEUE_BYTES", 5000)
    words = "x" * 1000
    finish(tmp_path, "a", "success", words=words)
    for monitor in "bcdef":
        finish(tmp_path, monitor, "fail", words=words)
    finish(tmp_path, "g", "success", words=words)
    dropped = prune(Journal.open(str(tmp_path)), keep_runs=50, keep_days=90)
    assert dropped == Dropped(successes=2, failures=1)
    left = [row.monitor for row in Journal.open(str(tmp_path)).runs()]
    assert left == ["f", "e", "d", "c"]
    assert str(dropped).startswith(
        "3 queued reports dropped, the oldest successes first (2 of successes, 1 of failures)"
    )


def test_a_jump_of_the_clock_alone_makes_nothing_old(
    crontify: Crontify, env: dict[str, str], state: Path
) -> None:
    """For an hour: then the clock is taken for right, and ages count again."""
    (report,) = queue(state, "delivered", "success")
    journal = Journal.open(str(state))
    journal.settle(report, "delivered")
    with journal.transaction() as db:
        db.execute("UPDATE runs SET started_at = ?", (time.time() - 99 * DAY,))
        db.execute("INSERT INTO chores VALUES ('prune', ?)", (time.time() - 99 * DAY,))
    assert crontify("flush", env=env).returncode == 0
    assert [row.monitor for row in journal.runs()] == ["delivered"]
    with journal.transaction() as db:
        db.execute("UPDATE chores SET done_at = done_at - 3601")
    assert crontify("flush", env=env).returncode == 0
    assert list(journal.runs()) == []


def test_the_log_of_a_report_that_waits_is_never_too_old(
    crontify: Crontify, api: ApiServer, env: dict[str, str], impatient: dict[str, str], state: Path
) -> None:
    api.down()
    assert crontify("exec", "m", "--", "sh", "-c", "echo x; exit 5", env=impatient).returncode == 5
    (log,) = (state / "logs").iterdir()
    os.utime(log, (0, 0))
    other = log.with_name("0123456789ab.log")
    other.touch()
    os.utime(other, (0, 0))
    with Journal.open(str(state)).transaction() as db:
        db.execute("UPDATE chores SET done_at = done_at - 3601")
    assert crontify("flush", "--wait", "0", env=impatient).returncode == 75
    assert log.exists()
    assert not other.exists()
