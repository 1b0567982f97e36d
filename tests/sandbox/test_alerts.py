"""Alert rules, and the alerts that Crontify would have sent."""

import re

import pytest

from tests.sandbox.server import Server, sandbox


@pytest.mark.parametrize(
    ("operator", "below", "same", "above"),
    [
        ("lt", True, False, False),
        ("gt", False, False, True),
        ("eq", False, True, False),
        ("ne", True, False, True),
    ],
)
def test_a_rule_compares_the_number_of_its_field(
    server: Server, operator: str, below: bool, same: bool, above: bool
) -> None:
    monitor = server.monitor()
    server.rule(monitor, "rows", operator, "-1.5")
    sent = {-2: below, -1.5: same, 0: above}
    runs = {server.send(monitor, "success", {"meta": {"rows": n}}): n for n in sent}
    fired = {runs[alert["runId"]] for alert in server.alerts(monitor)}
    assert fired == {number for number, fires in sent.items() if fires}
    assert {run["status"] for run in server.runs(monitor)} == {"success"}


def test_a_rule_says_nothing_of_a_success_without_its_field_nor_of_a_failure(
    server: Server,
) -> None:
    monitor = server.monitor()
    server.rule(monitor, "rows", "ne", "5")
    server.send(monitor, "success")
    server.send(monitor, "success", {"meta": {"other": 1}})
    server.send(monitor, "success", {"meta": {"Rows": 1}})
    assert server.alerts(monitor) == []
    server.send(monitor, "fail", {"meta": {"rows": 1}})
    assert [alert["kind"] for alert in server.alerts(monitor)] == ["failure"]


def test_each_rule_that_matches_is_an_alert_that_says_the_number_and_the_rule(
    server: Server,
) -> None:
    monitor = server.monitor()
    for rule in (("rows", "lt", "10"), ("rows", "eq", "0"), ("mails", "gt", "5")):
        server.rule(monitor, *rule)
    run_id = server.send(monitor, "success", {"meta": {"rows": 0, "mails": 5}})
    alerts = server.alerts(monitor)
    assert [alert["message"] for alert in alerts] == [
        "rows is 0 (the rule: rows eq 0)",
        "rows is 0 (the rule: rows lt 10)",
    ]
    for alert in alerts:
        assert alert == {
            "id": alert["id"],
            "monitorId": monitor,
            "runId": run_id,
            "kind": "silent_failure",
            "message": alert["message"],
            "logHead": None,
            "createdAt": alert["createdAt"],
        }
        assert re.fullmatch(r"cl[a-z0-9]{23}", alert["id"])
        assert alert["createdAt"] == server.runs(monitor)[0]["finishedAt"]


def test_a_failure_is_an_alert_with_its_message_and_the_head_of_its_log(server: Server) -> None:
    monitor = server.monitor()
    log = "".join(f"line {number}\n" for number in range(1000))
    run_id = server.send(monitor, "fail", {"errorMessage": "disk full", "logOutput": log})
    (alert,) = server.alerts(monitor)
    assert (alert["kind"], alert["runId"]) == ("failure", run_id)
    assert alert["message"] == "disk full"
    assert log.startswith(alert["logHead"])
    assert 500 < len(alert["logHead"]) < len(log)


def test_a_failure_without_a_word_is_an_alert_too(server: Server) -> None:
    monitor = server.monitor()
    server.send(monitor, "fail")
    (alert,) = server.alerts(monitor)
    assert (alert["kind"], alert["logHead"]) == ("failure", None)
    assert alert["message"]


def test_an_overlap_is_an_alert_about_the_older_run(server: Server) -> None:
    monitor = server.monitor()
    older = server.send(monitor, "start")
    assert server.alerts(monitor) == []
    server.send(monitor, "start")
    (alert,) = server.alerts(monitor)
    assert (alert["kind"], alert["runId"]) == ("overlapped", older)


def test_a_monitor_has_at_most_five_rules(server: Server) -> None:
    monitor = server.monitor()
    for number in range(5):
        server.rule(monitor, "rows", "lt", str(number))
    server.command("rule", "add", monitor, "rows", "lt", "4.0")  # is there already
    place = ("--db", str(server.db))
    sixth = sandbox("rule", "add", monitor, "rows", "gt", "5", *place)
    assert (sixth.returncode, sixth.stdout) == (1, "")
    assert len(sixth.stderr.splitlines()) == 1
    assert "5 rules" in sixth.stderr
    assert "rule remove" in sixth.stderr
    server.command("rule", "remove", monitor, "rows", "lt", "0")
    server.command("rule", "add", monitor, "rows", "gt", "5")
    rules = server.get(f"/monitors/{monitor}").json()["data"]["rules"]
    assert [(rule["operator"], rule["value"]) for rule in rules] == [
        *(("lt", number) for number in (1, 2, 3, 4)),
        ("gt", 5),
    ]


def test_a_removed_rule_fires_no_more_and_cannot_be_removed_again(server: Server) -> None:
    monitor = server.monitor()
    server.command("rule", "add", monitor, "rows", "lt", "-1")
    server.command("rule", "remove", monitor, "rows", "lt", "-1")
    server.send(monitor, "success", {"meta": {"rows": -2}})
    assert server.alerts(monitor) == []
    again = sandbox("rule", "remove", monitor, "rows", "lt", "-1", "--db", str(server.db))
    assert again.returncode == 1
    assert "no rule rows lt -1" in again.stderr


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        (("two words", "lt", "1"), "two words"),
        (("x" * 51, "lt", "1"), "50"),
        (("größe", "lt", "1"), "größe"),
        (("rows", "le", "1"), "lt, gt, eq, ne"),
        (("rows", "lt", "many"), "many"),
        (("rows", "lt", "nan"), "nan"),
        (("rows", "lt", "1e999"), "1e999"),
    ],
)
def test_a_rule_that_could_not_be_is_wrong_usage(
    server: Server, rule: tuple[str, ...], word: str
) -> None:
    monitor = server.monitor()
    done = sandbox("rule", "add", monitor, *rule, "--db", str(server.db))
    assert done.returncode == 2
    assert word in done.stderr
    assert server.get(f"/monitors/{monitor}").json()["data"]["rules"] == []
