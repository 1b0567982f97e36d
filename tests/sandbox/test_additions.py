"""The endpoints that only the sandbox has: one run whole, alerts in pages, and channels."""

import sqlite3
from contextlib import closing
from pathlib import Path

from crontify_cli.sandbox.schema import MIGRATIONS
from tests.sandbox.server import Server, sandbox, serving


def test_a_run_is_shown_with_meta_message_log_and_its_own_alerts(server: Server) -> None:
    monitor = server.monitor()
    server.send(monitor, "fail", {"errorMessage": "earlier"})
    run = server.send(
        monitor, "fail", {"errorMessage": "why", "meta": {"rows": 3}, "logOutput": "\x1b[1mhow"}
    )
    answer = server.get(f"/monitors/{monitor}/runs/{run}")
    assert answer.status_code == 200
    (alert,) = [alert for alert in server.alerts(monitor) if alert["runId"] == run]
    listed = server.runs(monitor)[0]
    assert answer.json() == {
        "success": True,
        "data": listed | {"log": "\x1b[1mhow", "alerts": [alert]},
    }
    assert (listed["errorMessage"], listed["meta"]) == ("why", {"rows": 3})


def test_a_run_is_found_only_under_its_own_monitor(server: Server) -> None:
    one, other = server.monitor(), server.monitor()
    run = server.send(one, "success")
    assert server.get(f"/monitors/{one}/runs/{run}").json()["data"]["log"] is None
    for path in (f"/monitors/{other}/runs/{run}", f"/monitors/{one}/runs/{run}x"):
        assert server.get(path).status_code == 404


def test_alerts_come_in_pages_of_one_monitor_or_of_all(tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db") as server:
        one, other = server.monitor(), server.monitor()
        for number in range(5):
            server.send((one, other)[number % 2], "fail", {"errorMessage": str(number)})
        for path, messages in (
            ("/alerts", ["4", "3", "2", "1", "0"]),
            (f"/monitors/{one}/alerts", ["4", "2", "0"]),
        ):
            found, cursor = [], None
            while True:
                page = server.get(path, limit=2, **({"cursor": cursor} if cursor else {})).json()
                assert len(page["data"]) <= 2
                found += [alert["message"] for alert in page["data"]]
                cursor = page["nextCursor"]
                if cursor is None:
                    break
            assert found == messages
        foreign = server.alerts(other)[0]["id"]
        answer = server.get(f"/monitors/{one}/alerts", cursor=foreign)
        assert (answer.status_code, answer.json()["message"]) == (
            400,
            "cursor: not the nextCursor of these alerts",
        )


def test_a_database_of_the_previous_version_is_migrated_with_all_that_it_has(
    tmp_path: Path,
) -> None:
    db = tmp_path / "sandbox.db"
    with closing(sqlite3.connect(db)) as old:
        old.executescript(MIGRATIONS[0])
        old.executescript(
            """
            INSERT INTO signing VALUES (zeroblob(32));
            INSERT INTO accounts (name, min_interval) VALUES ('default', 0);
            INSERT INTO monitors (account, id, created_at, last_ping_at) VALUES (1, 'old', 1, 9);
            INSERT INTO rules (monitor, field, operator, value) VALUES (1, 'rows', 'lt', 1);
            INSERT INTO runs (monitor, id, status, started_at, finished_at)
                VALUES (1, 'clfailed', 'failed', 1, 5), (1, 'clrunning', 'running', 9, NULL);
            INSERT INTO logs VALUES (1, 'the log');
            INSERT INTO alerts (run, id, kind, message, created_at)
                VALUES (1, 'clalert', 'failure', 'why', 5);
            PRAGMA application_id = 0x43524F4E;
            PRAGMA user_version = 1;
            """
        )
    assert sandbox("runs", "--db", str(db), check=True).stdout.count("old") == 2
    with serving(db) as server:
        (monitor,) = server.get("/monitors").json()["data"]
        assert (monitor["id"], monitor["state"], monitor["graceMs"]) == ("old", "failing", 300_000)
        assert monitor["rules"] == [{"field": "rows", "operator": "lt", "value": 1}]
        run = server.get("/monitors/old/runs/clfailed").json()["data"]
        assert (run["log"], [alert["message"] for alert in run["alerts"]]) == ("the log", ["why"])
        assert server.send("old", "success") == "clrunning"
