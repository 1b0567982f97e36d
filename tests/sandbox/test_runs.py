"""What pings make of a monitor's runs, as a person reads them back over the API."""

import re
from datetime import datetime
from typing import Any

import pytest

from crontify_cli.sandbox.database import open_database
from tests.sandbox.server import Server

ID = r"cl[a-z0-9]{23}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def test_a_run_goes_from_running_to_its_end_and_is_one_run(server: Server) -> None:
    monitor = server.monitor()
    run_id = server.send(monitor, "start")
    (running,) = server.runs(monitor)
    assert running == {
        "id": run_id,
        "monitorId": monitor,
        "status": "running",
        "startedAt": running["startedAt"],
        "finishedAt": None,
        "durationMs": None,
        "meta": None,
        "errorMessage": None,
        "hasLog": False,
        "isDurationAnomaly": False,
    }
    sent = {"meta": {"rows": 3}, "errorMessage": "why", "logOutput": "how"}
    assert server.send(monitor, "fail", sent) == run_id
    (failed,) = server.runs(monitor)
    assert failed == running | {
        "status": "failed",
        "finishedAt": failed["finishedAt"],
        "durationMs": failed["durationMs"],
        "meta": {"rows": 3},
        "errorMessage": "why",
        "hasLog": True,
    }


def test_ids_and_times_have_the_form_of_the_documents_and_the_duration_is_their_difference(
    server: Server,
) -> None:
    monitor = server.monitor()
    server.send(monitor, "start")
    server.send(monitor, "success")
    (run,) = server.runs(monitor)
    assert re.fullmatch(ID, run["id"])
    assert re.fullmatch(TIME, run["startedAt"])
    assert re.fullmatch(TIME, run["finishedAt"])
    began, ended = (datetime.fromisoformat(run[name]) for name in ("startedAt", "finishedAt"))
    assert run["durationMs"] == round((ended - began).total_seconds() * 1000)


def test_a_start_while_a_run_is_running_makes_that_one_overlapped(server: Server) -> None:
    monitor = server.monitor()
    first, second = server.send(monitor, "start"), server.send(monitor, "start")
    newer, older = server.runs(monitor)
    assert (older["id"], older["status"]) == (first, "overlapped")
    assert older["finishedAt"] == newer["startedAt"]
    assert older["durationMs"] >= 0
    assert (newer["id"], newer["status"]) == (second, "running")
    assert server.send(monitor, "success") == second  # the end is the newer run's
    assert [run["status"] for run in server.runs(monitor)] == ["success", "overlapped"]


@pytest.mark.parametrize(("kind", "status"), [("success", "success"), ("fail", "failed")])
def test_an_end_without_an_open_run_makes_a_closed_run_of_its_own(
    server: Server, kind: str, status: str
) -> None:
    monitor = server.monitor()
    runs = [server.send(monitor, kind, {"meta": {"n": n}}) for n in (1, 2)]
    found = server.runs(monitor)
    assert [run["id"] for run in found] == runs[::-1]
    for run in found:
        assert (run["status"], run["startedAt"], run["durationMs"]) == (status, None, None)
        assert re.fullmatch(TIME, run["finishedAt"])
    assert [run["meta"] for run in found] == [{"n": 2}, {"n": 1}]


def test_monitors_do_not_close_each_others_runs(server: Server) -> None:
    one, two = server.monitor(), server.monitor()
    server.send(one, "start")
    server.send(two, "start")
    server.send(two, "success")
    assert [run["status"] for run in server.runs(one)] == ["running"]
    assert [run["status"] for run in server.runs(two)] == ["success"]


def _page(server: Server, monitor: str, **params: Any) -> tuple[list[str], str | None]:
    answer = server.get(f"/monitors/{monitor}/runs", **params)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return [run["id"] for run in found["data"]], found["nextCursor"]


def test_runs_come_in_pages_the_newest_first_none_twice_and_none_left_out(server: Server) -> None:
    monitor = server.monitor()
    made = [server.send(monitor, "success") for _ in range(7)][::-1]
    first, cursor = _page(server, monitor, limit=3)
    late = server.send(monitor, "success")  # arrives between two pages
    second, further = _page(server, monitor, limit=3, cursor=cursor)
    third, end = _page(server, monitor, limit=3, cursor=further)
    assert (first, second, third) == (made[:3], made[3:6], made[6:])
    assert end is None
    assert _page(server, monitor, limit=8) == ([late, *made], None)


def test_a_page_has_20_runs_unless_another_limit_is_asked_for(server: Server) -> None:
    monitor = server.monitor()
    for _ in range(21):
        server.send(monitor, "success")
    page, cursor = _page(server, monitor)
    assert len(page) == 20
    assert cursor == page[-1]
    assert len(_page(server, monitor, limit=100)[0]) == 21


def test_runs_are_listed_by_status_and_the_cursor_minds_it(server: Server) -> None:
    monitor = server.monitor()
    made: dict[str, list[str]] = {"success": [], "fail": []}
    for _ in range(3):
        for kind in made:
            made[kind].insert(0, server.send(monitor, kind))
    page, cursor = _page(server, monitor, status="failed", limit=2)
    assert page == made["fail"][:2]
    assert _page(server, monitor, status="failed", limit=2, cursor=cursor) == (
        made["fail"][2:],
        None,
    )
    assert _page(server, monitor, status="success")[0] == made["success"]
    for status in ("running", "overlapped"):
        assert _page(server, monitor, status=status) == ([], None)


def test_a_cursor_of_another_monitor_is_refused(server: Server) -> None:
    one, two = server.monitor(), server.monitor()
    run = server.send(one, "success")
    answer = server.get(f"/monitors/{two}/runs", cursor=run)
    assert (answer.status_code, answer.json()["message"]) == (
        400,
        "cursor: not the nextCursor of this monitor's runs",
    )


def test_monitors_are_listed_with_their_rules_and_how_the_newest_run_stands(
    server: Server,
) -> None:
    monitor = server.monitor()
    server.rule(monitor, "rows", "lt", "10")
    before = server.get(f"/monitors/{monitor}").json()["data"]
    assert before == {
        "id": monitor,
        "createdAt": before["createdAt"],
        "lastPingAt": None,
        "state": "waiting",
        "status": None,
        "schedule": None,
        "timezone": "UTC",
        "graceMs": 300_000,
        "tags": [],
        "rules": [{"field": "rows", "operator": "lt", "value": 10}],
        "lastRuns": [],
    }
    assert re.fullmatch(TIME, before["createdAt"])
    server.send(monitor, "success")
    server.send(monitor, "start")
    after = server.get(f"/monitors/{monitor}").json()["data"]
    assert after == before | {
        "state": "active",
        "status": "running",
        "lastPingAt": after["lastPingAt"],
        "lastRuns": after["lastRuns"],
    }
    summary = server.runs(monitor)
    assert [run["status"] for run in summary] == ["running", "success"]
    for short, whole in zip(after["lastRuns"], summary, strict=True):
        assert short == {name: whole[name] for name in short}
    assert after["lastPingAt"] == server.runs(monitor)[0]["startedAt"]
    assert after in server.get("/monitors").json()["data"]


@pytest.mark.parametrize(
    "path",
    [
        "/monitors",
        "/monitors/{}",
        *("/monitors/{}/runs", "/monitors/{}/runs/{}", "/monitors/{}/runs/{}/log"),
        *("/monitors/{}/alerts", "/monitors/{}/channels", "/alerts", "/channels"),
    ],
)
def test_lists_and_logs_want_the_users_token(server: Server, path: str) -> None:
    monitor = server.monitor()
    path = path.format(monitor, server.send(monitor, "success"))
    assert server.get(path).status_code == 200
    assert server.http.get(path).status_code == 401
    assert server.http.get(path, headers={"X-API-Key": server.api_key}).status_code == 401


def test_the_log_is_in_a_table_of_its_own(server: Server) -> None:
    monitor = server.monitor()
    server.send(monitor, "fail", {"logOutput": f"needle of {monitor}"})
    with open_database(server.db, create=False) as connection:
        rows = connection.execute(
            "SELECT r.* FROM runs r JOIN monitors m ON m.row = r.monitor WHERE m.id = ?", (monitor,)
        ).fetchall()
        (logs,) = connection.execute(
            "SELECT count(*) FROM logs WHERE content = ?", (f"needle of {monitor}",)
        ).fetchone()
    assert len(rows) == 1
    assert "needle" not in str(rows)
    assert logs == 1
