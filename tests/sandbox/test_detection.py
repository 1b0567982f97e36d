"""What is missed, hung or slow: decided from stored facts and the time, over a whole year."""

import json
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from crontify_cli.model import Ping
from crontify_cli.sandbox.database import open_database, transaction
from crontify_cli.sandbox.detection import (
    Finding,
    MonitorFacts,
    Watch,
    detect,
    is_slow,
    next_watch,
)
from crontify_cli.sandbox.detector import run_detection
from crontify_cli.sandbox.monitors import MonitorChanges, change_monitor, set_paused
from crontify_cli.sandbox.pings import record_ping
from crontify_cli.sandbox.records import Account
from crontify_cli.sandbox.schedule import parse_schedule, parse_timezone, period
from crontify_cli.sandbox.store import Store
from tests.sandbox import year
from tests.sandbox.server import Server, serving
from tests.sandbox.test_events import following, stream
from tests.sandbox.year import HOUR, MINUTE, SECOND
from tests.waiting import until

NOON = round(datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp() * 1000)
DAY = 24 * HOUR


# A year


@contextmanager
def _opened(db: Path) -> Iterator[sqlite3.Connection]:
    with open_database(db, create=True) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


def _watch_jobs(connection: sqlite3.Connection) -> Account:
    store = Store(connection)
    account = store.get_or_create_account("default")
    for job in year.JOBS:
        store.add_monitor(account, job.name)
        changes = MonitorChanges(parse_schedule(job.schedule), job.grace, job.zone)
        change_monitor(connection, account, job.name, changes)
    connection.execute("UPDATE monitors SET watched_from = 0")
    return account


def _alerts(connection: sqlite3.Connection, kind: str, name: str) -> list[int]:
    rows = connection.execute(
        "SELECT a.created_at FROM alerts a JOIN runs r ON r.row = a.run"
        " JOIN monitors m ON m.row = r.monitor WHERE a.kind = ? AND m.id = ? ORDER BY a.row",
        (kind, name),
    )
    return [at for (at,) in rows]


def test_in_a_year_each_missed_and_each_hung_run_is_detected_once_and_in_time(
    tmp_path: Path,
) -> None:
    """Daylight saving time begins and ends, the machine sleeps, and the sandbox restarts."""
    chance = random.Random(20260101)
    asleep = year.sleeps(chance)
    moments = list(year.ticks(chance, asleep))
    courses = {job.name: year.course(job, chance, asleep) for job in year.JOBS}
    events = sorted(
        [(at, job, kind) for job, course in courses.items() for at, kind in course.pings]
        + [(at, "", "tick") for at in moments]
    )
    db = tmp_path / "sandbox.db"
    with _opened(db) as connection:
        account = _watch_jobs(connection)
    pending = iter(events)
    for restart in range(40):
        with _opened(db) as connection, transaction(connection):
            for at, job, kind in pending:
                if kind == "tick":
                    run_detection(connection, at, year.TICK)
                    if chance.random() < 40 / len(moments) and restart < 39:
                        break
                else:
                    record_ping(connection, account, Ping(job, kind), at)  # type: ignore[arg-type]

    with _opened(db) as connection:
        for job in year.JOBS:
            missed, hung = year.expected(job, courses[job.name], moments)
            assert missed
            assert _alerts(connection, "missed", job.name) == missed
            assert _alerts(connection, "hung", job.name) == hung
            skipped = sum(len(silence.skipped) for silence in courses[job.name].silences)
            (recorded,) = connection.execute(
                "SELECT count(*) FROM runs r JOIN monitors m ON m.row = r.monitor"
                " WHERE m.id = ? AND r.status = 'missed'",
                (job.name,),
            ).fetchone()
            assert len(missed) <= recorded <= skipped
        total = connection.execute("SELECT kind, count(*) FROM alerts GROUP BY kind").fetchall()
        assert dict(total)["missed"] > 100
        assert dict(total)["hung"] > 100


# The decision


def _facts(
    last_ping_at: int = NOON,
    *,
    schedule: str | None = "0 12 * * *",
    grace: int = 5 * MINUTE,
    watched_from: int = 0,
    missed_at: int | None = None,
    started_at: int | None = None,
) -> MonitorFacts:
    return MonitorFacts(
        schedule,
        "UTC",
        grace,
        last_ping_at,
        watched_from,
        missed_at,
        None if started_at is None else "running",
        started_at,
    )


def _kinds(facts: MonitorFacts, now: int, since: int = 0) -> list[str]:
    return [finding.kind for finding in detect(facts, since, now)]


def test_a_run_is_missed_after_the_period_and_the_grace_and_not_before() -> None:
    assert _kinds(_facts(), NOON + DAY + 5 * MINUTE) == []
    assert _kinds(_facts(), NOON + DAY + 5 * MINUTE + 1) == ["missed"]


def test_without_a_schedule_no_run_is_missed() -> None:
    assert _kinds(_facts(schedule=None), NOON + 1000 * DAY) == []


def test_the_weekend_of_a_job_of_weekdays_is_no_silence() -> None:
    friday = round(datetime(2026, 6, 5, 9, 0, 3, tzinfo=UTC).timestamp() * 1000)
    facts = _facts(friday, schedule="0 9 * * 1-5")
    assert _kinds(facts, friday + 3 * DAY) == []
    assert _kinds(facts, friday + 3 * DAY + 6 * MINUTE) == ["missed"]


def test_a_ping_ahead_of_our_clock_belongs_to_the_run_that_it_is_ahead_of() -> None:
    friday = round(datetime(2026, 6, 5, 8, 59, 58, tzinfo=UTC).timestamp() * 1000)
    assert _kinds(_facts(friday, schedule="0 9 * * 1-5"), friday + 2 * DAY) == []


def test_a_run_is_hung_after_twice_the_grace() -> None:
    facts = _facts(started_at=NOON)
    assert _kinds(facts, NOON + 10 * MINUTE) == []
    assert _kinds(facts, NOON + 10 * MINUTE + 1) == ["hung"]


def test_a_running_run_is_not_missed() -> None:
    facts = _facts(schedule="* * * * *", started_at=NOON)
    assert _kinds(facts, NOON + 9 * MINUTE) == []


def test_after_a_change_the_time_counts_anew() -> None:
    assert _kinds(_facts(NOON - 9 * DAY, watched_from=NOON), NOON + DAY) == []
    assert _kinds(_facts(NOON - 9 * DAY, watched_from=NOON), NOON + 2 * DAY) == ["missed"]
    assert _kinds(_facts(started_at=NOON - DAY, watched_from=NOON), NOON + MINUTE) == []


def test_a_clock_that_was_set_back_neither_alerts_nor_silences_for_ever() -> None:
    facts = _facts(NOON + 365 * DAY)
    assert _kinds(facts, NOON, since=NOON) == []
    assert _kinds(facts, NOON + 2 * DAY, since=NOON) == ["missed"]


moments = st.integers(0, 400 * DAY).map(lambda past: NOON + past)
gaps = st.lists(st.integers(1, 3 * DAY) | st.sampled_from([MINUTE, MINUTE + 20]), max_size=60)
schedules = st.sampled_from(
    [
        "* * * * *",
        "*/7 * * * *",
        "@hourly",
        "30 2 * * *",
        "0 9 * * 1-5",
        "0 0 29 2 *",
        "5 4 1,15 * *",
    ]
)
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
graces = st.integers(1_000, 2 * DAY)


@given(moments, schedules, zones, graces, gaps)
def test_a_silence_is_one_alert_however_often_and_late_detection_runs(
    last_ping: int, schedule: str, zone: str, grace: int, pauses: list[int]
) -> None:
    now, watch, missed_at = last_ping, None, None
    found: list[Finding] = []
    for pause in pauses:
        now += pause
        watch = next_watch(watch, now, MINUTE)
        facts = MonitorFacts(schedule, zone, grace, last_ping, 0, missed_at, None, None)
        new = list(detect(facts, watch.since, now))
        assert len(new) <= 1  # also when thousands were due while it slept
        for finding in new:
            assert finding.kind == "missed"
            assert finding.due_at is not None
            assert now - last_ping > period(schedule, zone, last_ping) + grace
            assert (missed_at or last_ping) < finding.due_at <= now - grace
            missed_at = finding.due_at
            # What has been stored is not detected again at the same time.
            again = facts._replace(missed_at=missed_at)
            assert list(detect(again, watch.since, now)) == []
        found += new
    assert [finding.repeated for finding in found] == [False] * bool(found) + [True] * max(
        0, len(found) - 1
    )


@given(st.lists(st.integers(-2 * DAY, 2 * DAY), min_size=1), st.integers(100, HOUR))
def test_a_watch_begins_anew_after_each_interruption(steps: list[int], interval: int) -> None:
    now, watch, since = NOON, None, NOON
    for step in [0, *steps]:
        now += step
        if not -MINUTE <= step <= 2 * interval + MINUTE:
            since = now
        watch = next_watch(watch, now, interval)
        assert watch == Watch(now, since)


@given(schedules, zones, moments)
def test_the_period_is_that_of_the_run_before_the_ping(schedule: str, zone: str, at: int) -> None:
    """Held to all runs counted forwards, which takes too long for the sandbox itself."""
    expression = {"@hourly": "0 * * * *"}.get(schedule, schedule)
    moment = at / 1000 + 60
    back = timedelta(days=9 * 366) if "29 2" in schedule else timedelta(days=40)
    if schedule.startswith("*"):
        back = timedelta(hours=2)
    due = 0.0
    for run in CronSim(expression, datetime.fromtimestamp(moment, ZoneInfo(zone)) - back):
        if run.timestamp() > moment:
            break
        due = run.timestamp()
    assert period(schedule, zone, at) == round((run.timestamp() - due) * 1000)


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "* * * * * *", "61 * * * *", "0 3 31 2 *", "@reboot", "x" * 300, "a b c d e"],
)
def test_what_is_no_schedule_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
        parse_schedule(text)


@pytest.mark.parametrize("name", ["", "Mars", "/etc/localtime", "../etc", "Europe", "x\0y"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a time zone"):
        parse_timezone(name)


@given(st.lists(st.integers(0, DAY), max_size=30), st.integers(0, DAY))
def test_slow_is_far_beyond_the_usual(history: list[int], duration: int) -> None:
    if is_slow(duration, history):
        assert len(history) >= 5
        assert sum(3 * earlier < duration for earlier in history) >= len(history) / 2
        assert is_slow(duration + 1, history)


def test_a_success_three_times_as_long_as_usual_is_slow() -> None:
    history = [10 * SECOND] * 4 + [HOUR]  # one that was slow before does not make it usual
    assert is_slow(30 * SECOND + 1, history)
    assert not is_slow(30 * SECOND, history)
    assert not is_slow(HOUR, history[1:])
    assert not is_slow(900, [1] * 20)  # less than a second more: nobody minds


# The running sandbox


def _prepare(db: Path, *statements: str) -> None:
    """Change what is stored, as if time had passed."""
    with open_database(db, create=False) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_run_that_hangs_is_detected_once_and_may_end_after_all(tmp_path: Path) -> None:
    db = tmp_path / "sandbox.db"
    with serving(db, "--detect-every", "0.2s") as server:
        server.command("monitor", "add", "stuck", "--grace", "1s")
        run = server.send("stuck", "start")
        until(lambda: server.runs("stuck")[0]["status"] == "hung", "the run is hung")
        assert server.get("/monitors/stuck").json()["data"]["state"] == "failing"
        server.process.kill()
    with serving(db, "--detect-every", "0.2s") as again:
        seen = _seen_at(db)
        until(lambda: _seen_at(db) > seen + 3 * SECOND, "detection has run often")
        (alert,) = again.alerts("stuck")
        assert (alert["kind"], alert["runId"]) == ("hung", run)
        assert "more than 2s" in alert["message"]
        key = {"X-API-Key": server.api_key}
        ended = again.ping("stuck", "success", headers=key).json()["data"]
        assert (ended["runId"], ended["status"]) == (run, "success")
        assert again.get("/monitors/stuck").json()["data"]["state"] == "active"


def _seen_at(db: Path) -> int:
    with open_database(db, create=False) as connection:
        row = connection.execute("SELECT seen_at FROM detection").fetchone()
    return int(row[0]) if row else 0


def test_a_hung_run_stays_hung_when_the_next_one_starts(tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db", "--detect-every", "0.2s") as server:
        server.command("monitor", "add", "stuck", "--grace", "1s")
        with stream(server) as lines:
            first = server.send("stuck", "start")
            events = following(lines, 2, "stuck")
        assert [event["status"] for event in events] == ["running", "hung"]
        _prepare(server.db, f"UPDATE monitors SET grace = {HOUR}")  # or the second would hang, too
        second = server.send("stuck", "start")
        assert [(run["id"], run["status"]) for run in server.runs("stuck")] == [
            (second, "running"),
            (first, "hung"),
        ]
        assert server.send("stuck", "success") == second
        assert [alert["kind"] for alert in server.alerts("stuck")] == ["hung"]


def test_a_silence_is_shown_as_a_missed_run_until_the_next_ping(tmp_path: Path) -> None:
    db = tmp_path / "sandbox.db"
    with serving(db) as server:
        server.command(*("monitor", "add", "silent", "--schedule", "0 * * * *", "--grace", "1s"))
        server.send("silent", "success")
    now = time.time_ns() // 1_000_000
    _prepare(
        db,
        f"UPDATE monitors SET last_ping_at = {now - DAY}, watched_from = 0",
        "DELETE FROM detection",
        f"INSERT INTO detection VALUES ({now}, {now - DAY})",
    )
    with serving(db, "--detect-every", "0.2s") as server:
        until(lambda: server.runs("silent")[0]["status"] == "missed", "the run is missed")
        (alert,) = server.alerts("silent")
        run = server.runs("silent")[0]
        assert (alert["kind"], alert["runId"]) == ("missed", run["id"])
        assert alert["message"] == run["errorMessage"]
        assert "(0 * * * *)" in alert["message"]
        assert server.get("/monitors/silent").json()["data"]["state"] == "failing"
        assert server.process.stdout
        event = json.loads(server.process.stdout.readline())
        assert event == {
            "event": "detected",
            "timestamp": alert["createdAt"],
            "monitor": "silent",
            "runId": run["id"],
            "status": "missed",
            "alerts": [{"kind": "missed", "message": alert["message"]}],
        }


def test_a_time_zone_that_has_vanished_concerns_its_monitor_alone(tmp_path: Path) -> None:
    db, stderr = tmp_path / "sandbox.db", tmp_path / "stderr"
    names = ("lost", "silent")
    with serving(db) as server:
        for name in names:
            added = ("monitor", "add", name, "--schedule", "0 * * * *", "--grace", "1s")
            server.command(*added)
            server.send(name, "start")
        server.send("silent", "success")
    now = time.time_ns() // 1_000_000
    _prepare(
        db,
        f"UPDATE monitors SET last_ping_at = {now - DAY}, watched_from = 0",
        "UPDATE monitors SET timezone = 'Europe/Atlantis' WHERE id = 'lost'",
        "DELETE FROM detection",
        f"INSERT INTO detection VALUES ({now}, {now - DAY})",
    )
    redirected = ("sh", "-c", f'exec "$@" 2>{stderr}', "sh")
    with serving(db, "--detect-every", "0.2s", before=redirected) as server:
        until(lambda: server.runs("silent")[0]["status"] == "missed", "the run is missed")
        until(lambda: server.runs("lost")[0]["status"] == "hung", "the other one is hung")
        seen = _seen_at(db)
        until(lambda: _seen_at(db) > seen + SECOND, "detection has run again")
        assert [alert["kind"] for alert in server.alerts("lost")] == ["hung"]
    (line,) = stderr.read_text().splitlines()
    assert line.startswith("crontify: warning: missed runs of monitor lost are not detected: ")
    assert "Europe/Atlantis" in line
    assert "crontify sandbox monitor set lost --timezone" in line


def test_a_paused_monitor_records_pings_and_has_no_alerts(tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db", "--detect-every", "0.2s") as server:
        server.command("monitor", "add", "quiet", "--grace", "1s")
        server.command("monitor", "pause", "quiet")
        server.send("quiet", "fail", {"errorMessage": "why"})
        server.send("quiet", "start")
        seen = _seen_at(server.db)
        until(lambda: _seen_at(server.db) > seen + 3 * SECOND, "detection has run often")
        assert [run["status"] for run in server.runs("quiet")] == ["running", "failed"]
        assert server.alerts("quiet") == []
        assert server.get("/monitors/quiet").json()["data"]["state"] == "paused"
        server.command("monitor", "resume", "quiet")
        until(lambda: server.runs("quiet")[0]["status"] == "hung", "the run is hung")
        assert [alert["kind"] for alert in server.alerts("quiet")] == ["hung"]


def test_a_success_that_took_far_longer_than_usual_is_flagged(server: Server) -> None:
    monitor = server.monitor()
    for _ in range(5):
        server.send(monitor, "start")
        server.send(monitor, "success")
    slow = server.send(monitor, "start")
    _prepare(server.db, f"UPDATE runs SET started_at = started_at - 60000 WHERE id = '{slow}'")
    server.send(monitor, "success")
    flags = [run["isDurationAnomaly"] for run in server.runs(monitor)]
    assert flags == [True] + [False] * 5
    (alert,) = server.alerts(monitor)
    assert (alert["kind"], alert["runId"]) == ("slow", slow)
    assert alert["message"].startswith("took 1m")
    assert server.runs(monitor)[0]["status"] == "success"
    assert server.get(f"/monitors/{monitor}").json()["data"]["state"] == "active"


def test_what_is_removed_leaves_nothing_behind(tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db") as server:
        server.command("monitor", "add", "gone")
        server.rule("gone", "rows", "lt", "1")
        server.send("gone", "fail", {"logOutput": "x"})
        assert server.command("monitor", "remove", "gone") == "monitor gone removed"
        assert server.ping("gone", "start").status_code == 404
        with open_database(server.db, create=False) as connection:
            for table in ("monitors", "rules", "runs", "logs", "alerts"):
                assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_settings_are_changed_one_by_one_and_removed(server: Server) -> None:
    monitor = server.monitor()

    def settings() -> list[object]:
        found = server.get(f"/monitors/{monitor}").json()["data"]
        return [found[name] for name in ("schedule", "graceMs", "timezone", "tags")]

    def change(*args: str) -> list[object]:
        server.command("monitor", "set", monitor, *args)
        return settings()

    assert settings() == [None, 300_000, "UTC", []]
    assert change("--schedule", " 0  3 * * * ") == ["0 3 * * *", 300_000, "UTC", []]
    assert change("--grace", "1m30s") == ["0 3 * * *", 90_000, "UTC", []]
    assert change(
        "--timezone", "Europe/Berlin", "--tag", "db", "--tag", "night", "--tag", "db"
    ) == [
        *("0 3 * * *", 90_000, "Europe/Berlin"),
        ["db", "night"],
    ]
    assert change("--tag", "", "--schedule", "") == [None, 90_000, "Europe/Berlin", []]


def test_resuming_a_monitor_that_is_not_paused_changes_nothing(tmp_path: Path) -> None:
    with open_database(tmp_path / "sandbox.db", create=True) as connection:
        store = Store(connection)
        account = store.get_or_create_account("default")
        store.add_monitor(account, "calm")
        set_paused(connection, account, "calm", paused=False)
        row = connection.execute("SELECT watched_from FROM monitors").fetchone()
        assert row == (0,)
