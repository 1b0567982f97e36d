"""A long backlog of one monitor: few reports are sent, and each run says where its own went."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from crontify_cli import processes
from crontify_cli.delivery.backlog import Backlog, deliver_backlog
from crontify_cli.delivery.journal import Journal, MonitorQueue
from crontify_cli.delivery.lineup import LONGEST_TROUBLE
from crontify_cli.delivery.sending import UNLIMITED, Allowance, Delivery
from crontify_cli.model import Answer, Ping
from tests.conftest import Crontify
from tests.delivery.outcomes import URL, finish, queue
from tests.delivery.test_contest import Taker
from tests.delivery.test_open_runs import end, start
from tests.faults import hang_after_reading, rate_limited
from tests.programs import PROGRAM
from tests.server import ApiServer, Behaviour, answer, right
from tests.terminal import Terminal
from tests.waiting import until


def runs(crontify: Crontify, env: dict[str, str]) -> list[dict[str, object]]:
    """Return what `crontify runs --json` says, the oldest run first."""
    done = crontify("runs", "--json", "-n", "9999", env=env)
    return list(reversed(json.loads(done.stdout)))


def test_of_a_long_backlog_the_newest_three_failures_are_sent_and_one_for_the_rest(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path, tmp_path: Path
) -> None:
    day_ago = time.time() - 86400
    journal = Journal.open(str(state))
    for minute in range(200):
        words, at = f"failure {minute}", day_ago + 60 * minute
        finish(state, "backup", "fail", words=words, url=api.url, ended_at=at, journal=journal)
    journal.close()
    run = start(env, tmp_path, "a")
    until(lambda: "start" in api.kinds(), "the start is sent")
    end(run, tmp_path, "a")
    assert [request.kind for request in api.accepted] == ["fail"] * 4 + ["start", "success"]
    first, *others = [request.json for request in api.accepted[:4]]
    since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(day_ago))
    assert f"197 failures since {since}, the last: failure 196" in first["errorMessage"]
    assert first["meta"]["late_failures"] == 197
    assert [other["errorMessage"].rpartition(") ")[2] for other in others] == [
        "failure 197",
        "failure 198",
        "failure 199",
    ]
    assert all("late_failures" not in other["meta"] for other in others)
    found = runs(crontify, env)
    assert [run["report"] for run in found] == ["folded"] * 196 + ["late"] * 4 + ["delivered"]
    assert {run["folded_into"] for run in found[:196]} == {found[196]["run"]}
    assert {run["folded_into"] for run in found[196:]} == {None}
    shown = crontify("show", str(found[0]["run"]), env=env).stdout
    assert f"included in the report of run {found[196]['run']}" in shown


def test_a_backlog_that_grows_is_folded_again_and_counts_everything(tmp_path: Path) -> None:
    """Each time the server is away, as in a long outage."""
    journal = Journal.open(str(tmp_path))
    mine = MonitorQueue(URL, "backup", processes.identity())
    for number in range(30):
        finish(tmp_path, "backup", "fail", words=str(number), journal=journal)
        journal.claim(mine)
    sender = Taker()
    delivery = Delivery(sender, UNLIMITED, lambda _seconds, *, rate_limited: False)
    total = deliver_backlog(journal, delivery, mine, live=list)
    assert total == Backlog(delivered=4)
    words = [words.rpartition(") ")[2] for words in sender.taken if words]
    assert words[0].startswith("27 failures since ")
    assert words[0].endswith("the last: 26")
    assert words[1:] == ["27", "28", "29"]


def test_a_flush_that_is_killed_while_it_sends_the_folded_report_loses_none_and_doubles_none(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    queue(state, "backup", *map(str, range(10)), url=api.url)
    api.script(hang_after_reading)
    flush = subprocess.Popen([*PROGRAM, "flush"], env={**os.environ, **env})
    api.wait_for(1)
    flush.send_signal(signal.SIGKILL)
    flush.wait()
    assert crontify("flush", env=env).returncode == 0
    counts = [request.json["meta"].get("late_failures", 1) for request in api.accepted]
    assert counts == [7, 1, 1, 1]
    assert [run["report"] for run in runs(crontify, env)] == ["folded"] * 6 + ["delivered"] * 4


def test_old_reports_take_no_longer_than_they_may_from_a_start(tmp_path: Path) -> None:
    queue(tmp_path, "backup", *map(str, range(4)))

    class Slow(Taker):
        def ping(self, ping: Ping, within: float = 0.0) -> Answer:
            time.sleep(1)
            return super().ping(ping)

    sender = Slow()
    delivery = Delivery(sender, UNLIMITED, lambda _seconds, *, rate_limited: False)
    mine = MonitorQueue(URL, "backup", processes.identity())
    total = deliver_backlog(
        Journal.open(str(tmp_path)),
        delivery._replace(allowance=Allowance(2.5)),
        mine,
        live=list,
        before_start=True,
    )
    assert 1 <= len(sender.taken) <= 2  # one on a very busy machine
    assert total.left
    assert not total.holds_back
    (left,) = Journal.open(str(tmp_path)).query("SELECT count(*) FROM reports WHERE owner NOTNULL")
    assert left == (0,)


def test_a_report_that_was_taken_is_settled_before_anything_that_may_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would be sent again."""
    queue(tmp_path, "backup", "first")

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Allowance, "note", fail)
    monkeypatch.setattr(Answer, "is_missing", property(fail))
    delivery = Delivery(Taker(), UNLIMITED, lambda _seconds, *, rate_limited: False)
    delivery = delivery._replace(allowance=Allowance(9))
    mine = MonitorQueue(URL, "backup", processes.identity())
    journal = Journal.open(str(tmp_path))
    with contextlib.suppress(MemoryError):
        deliver_backlog(journal, delivery, mine, live=list)
    assert [row.report for row in journal.runs()] == ["delivered"]


@pytest.mark.parametrize("fault", [answer(500, {"message": "boom"}), rate_limited(30)])
def test_a_monitor_whose_report_is_not_taken_does_not_hold_up_the_others(
    api: ApiServer, env: dict[str, str], state: Path, fault: Behaviour
) -> None:
    for monitor in ("poisoned", *(f"m{number}" for number in range(20))):
        queue(state, monitor, "failure", url=api.url)
    api.choose = lambda request: fault if "/poisoned/" in request.path else None
    flush = subprocess.Popen([*PROGRAM, "flush"], env={**os.environ, **env})
    until(lambda: len(api.accepted) == 20, "the others are delivered")
    flush.terminate()
    flush.wait()


def poison(state: Path, report: int, seconds: float) -> None:
    """Let the server have failed on a report for so long."""
    journal = Journal.open(str(state))
    journal.settle(report, "queued", "500: boom", is_trouble=True)
    with journal.transaction() as db:
        db.execute("UPDATE troubled SET since = since - ?", (seconds,))
    journal.close()


@pytest.mark.parametrize("days", [0.9, 1.1])
def test_after_a_day_of_failing_on_a_report_the_monitors_others_no_longer_wait_for_it(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    impatient: dict[str, str],
    state: Path,
    days: float,
) -> None:
    poisoned, _ = queue(state, "backup", "poisoned", "healthy", url=api.url)
    poison(state, poisoned, days * LONGEST_TROUBLE)
    boom = answer(500, {"message": "boom"})
    api.choose = lambda request: boom if b"poisoned" in request.body else None
    patience = impatient if days < 1 else env
    assert crontify("exec", "backup", "--no-start", "--", "true", env=patience).returncode == 0
    accepted = [request.kind for request in api.accepted]
    assert accepted == ([] if days < 1 else ["fail", "success"])
    api.choose = None
    assert crontify("flush", env=env).returncode == 0
    assert "poisoned" in str([request.body for request in api.accepted])


def test_a_success_that_the_server_fails_on_is_not_sent_behind_newer_reports(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    """It would say that all is well again."""
    success = finish(state, "backup", "success", url=api.url, meta={"rows": 1})
    finish(state, "backup", "fail", url=api.url)
    poison(state, success, 1.1 * LONGEST_TROUBLE)
    assert crontify("flush", env=env).returncode == 0
    assert [request.kind for request in api.accepted] == ["fail"]


def test_a_flush_shows_on_a_terminal_how_far_it_is(
    api: ApiServer, env: dict[str, str], state: Path
) -> None:
    for monitor in ("one", "two"):
        queue(state, monitor, "failure", url=api.url)
    go = threading.Event()
    api.default = Behaviour(lambda exchange: (go.wait(60), right.act(exchange))[1])
    with Terminal() as terminal:
        flush = terminal.start([*PROGRAM, "flush"], env={**os.environ, **env})
        terminal.read_until("0/2")
        go.set()
        assert flush.wait(60) == 0
        assert "Traceback" not in terminal.read_to_end()
    assert len(api.accepted) == 2


def test_a_flush_says_nothing_in_a_pipe(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    queue(state, "backup", "failure", url=api.url)
    done = crontify("flush", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
