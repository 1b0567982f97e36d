"""What is kept, and that nothing grows however long the API is away."""

import os
import time
from pathlib import Path

import pytest

from crontify_cli.config import load
from crontify_cli.delivery.journal import Journal
from crontify_cli.delivery.retention import DAY, Dropped, is_due, prune, sweep, tidy
from tests.conftest import Crontify
from tests.delivery.outcomes import finish, queue
from tests.faults import hang_after_reading, refusing_url
from tests.server import KEY, ApiServer, settings


def left(state: Path) -> list[tuple[str, str | None]]:
    """Return monitor and report state of each run, the oldest first."""
    rows = Journal.open(str(state)).runs()
    return [(row.monitor, row.report) for row in rows][::-1]


def deliver(state: Path, report: int) -> None:
    Journal.open(str(state)).settle(report, "delivered")


def test_the_newest_runs_are_kept_and_the_reports_of_others_go_with_them(tmp_path: Path) -> None:
    for at in range(5):
        deliver(tmp_path, finish(tmp_path, f"m{at}", "fail"))
    journal = Journal.open(str(tmp_path))
    assert prune(journal, keep_runs=2, keep_days=90) == Dropped()
    assert left(tmp_path) == [("m3", "delivered"), ("m4", "delivered")]
    assert list(journal.query("SELECT count(*) FROM reports")) == [(2,)]


def test_what_is_older_goes_once_it_is_delivered(tmp_path: Path) -> None:
    finish(tmp_path, "old", "fail", ended_at=time.time() - 91 * DAY)
    deliver(tmp_path, finish(tmp_path, "older", "fail", ended_at=time.time() - 92 * DAY))
    deliver(tmp_path, finish(tmp_path, "new", "fail", ended_at=time.time() - 89 * DAY))
    assert tidy(str(tmp_path), Journal.open(str(tmp_path)), load().settings) is None
    assert left(tmp_path) == [("old", "queued"), ("new", "delivered")]


def test_what_is_dropped_from_the_queue_is_said(
    crontify: Crontify, impatient: dict[str, str], state: Path
) -> None:
    queue(state, "away", "one", "two", "three")
    with Path(impatient["CRONTIFY_CONFIG"]).open("a") as config:
        config.write("keep_runs = 2\n")
    done = crontify("flush", "--wait", "0", env=impatient)
    assert "1 queued report dropped, the oldest successes first (0 of successes, 1" in done.stderr
    assert left(state) == [("away", "queued")] * 2


def test_a_queue_is_not_shortened_by_the_runs_that_came_after_it(tmp_path: Path) -> None:
    queue(tmp_path, "away", "one", "two", "three")
    for at in range(5):
        deliver(tmp_path, finish(tmp_path, f"m{at}", "success"))
    assert prune(Journal.open(str(tmp_path)), keep_runs=3, keep_days=90) == Dropped()
    assert left(tmp_path) == [("away", "queued")] * 3 + [
        (f"m{at}", "delivered") for at in (2, 3, 4)
    ]


def test_a_queue_is_bounded_itself_and_old_successes_leave_it_first(tmp_path: Path) -> None:
    queue(tmp_path, "away", "success", "one", "success", "two", "three", "four", "success")
    assert prune(Journal.open(str(tmp_path)), keep_runs=3, keep_days=90) == Dropped(1, 1)
    rows = list(Journal.open(str(tmp_path)).runs())
    assert [row.message for row in rows if row.report == "queued"] == ["four", "three", "two"]


def test_it_happens_at_most_once_an_hour(tmp_path: Path) -> None:
    journal = Journal.open(str(tmp_path))
    assert is_due(journal, "prune", 3600)
    assert not is_due(journal, "prune", 3600)
    assert is_due(journal, "prune", 0)
    with journal.transaction() as db:
        db.execute("UPDATE chores SET done_at = done_at + 7200")  # a clock that was set back
    assert is_due(journal, "prune", 3600)


@pytest.mark.parametrize("keyed", [True, False])
def test_it_happens_without_a_key_and_while_the_api_is_away(
    crontify: Crontify, home: Path, keyed: bool
) -> None:
    config = home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("keep_runs = 2\nreport_timeout = 3\n")
    state = home / ".local/state/crontify"
    for at in range(4):
        deliver(state, finish(state, f"m{at}", "success"))
    with refusing_url() as url:
        env = {"CRONTIFY_API_KEY": KEY} if keyed else {}
        command = ["exec", "backup", "--", "sleep", "1.5"]
        assert crontify(*command, env={**env, "CRONTIFY_BASE_URL": url}).returncode == 0
    assert len(left(state)) <= 3


def test_it_happens_while_the_api_hangs_and_jobs_are_short(
    crontify: Crontify, api: ApiServer, home: Path
) -> None:
    config = home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("keep_runs = 2\nhttp_timeout = 1\nreport_timeout = 6\n")
    state = home / ".local/state/crontify"
    for at in range(4):
        deliver(state, finish(state, f"m{at}", "success"))
    api.default = hang_after_reading
    env = settings(api)
    assert crontify("exec", "backup", "--", "true", env=env).returncode == 0
    assert len(left(state)) <= 3


def test_logs_are_bounded_in_bytes(crontify: Crontify, api: ApiServer, home: Path) -> None:
    config = home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("keep_log_mb = 1\n")
    logs = home / ".local/state/crontify/logs"
    logs.mkdir(parents=True, mode=0o700)
    for at in range(4):
        (logs / f"{at:012x}.log").write_bytes(b"x" * 400_000)
        os.utime(logs / f"{at:012x}.log", (time.time() - 1000 + at,) * 2)
    env = settings(api)
    assert crontify("flush", env=env).returncode == 0
    assert sorted(path.name for path in logs.iterdir()) == ["000000000002.log", "000000000003.log"]


def test_what_killed_processes_left_is_swept_up_once_it_is_old(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    stays = [live / "aaaaaaaaaaaa-m.rec", live / "aaaaaaaaaaaa-m.meta", live / "not-ours.meta"]
    stays += [tmp_path / "journal.db", tmp_path / "other"]
    goes = [live / "bbbbbbbbbbbb-m.meta"]
    goes += [tmp_path / "journal.db.new-1-2", tmp_path / "journal.db.new-1-2-wal"]
    aside = tmp_path / "journal.db.corrupt-1-2"
    for path in (*stays, *goes, aside):
        path.touch()
    now = time.time()
    sweep(str(tmp_path), 90, now)
    assert all(path.exists() for path in (*stays, *goes, aside))
    sweep(str(tmp_path), 90, now + 2 * DAY)
    assert all(path.exists() for path in (*stays, aside))
    assert not any(path.exists() for path in goes)
    sweep(str(tmp_path), 90, now + 91 * DAY)
    assert not aside.exists()
