"""Many processes at one queue: each report is sent once, in order, and nobody waits in vain."""

import math
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crontify_cli import processes
from crontify_cli.delivery.backlog import Backlog, deliver_backlog
from crontify_cli.delivery.journal import Journal, MonitorQueue
from crontify_cli.delivery.sending import UNLIMITED, Delivery
from crontify_cli.model import Answer, Ping
from tests.conftest import Crontify
from tests.delivery.outcomes import URL, queue
from tests.programs import PROGRAM
from tests.server import ApiServer, settings


class Taker:
    """A server that takes everything; `taken` has the error messages."""

    def __init__(self) -> None:
        self.taken: list[str | None] = []

    def ping(self, ping: Ping, within: float = math.inf) -> Answer:
        self.taken.append(ping.error_message)
        return Answer("received", 200)

    def silence(self, monitor_id: str, within: float = math.inf) -> Answer | None:
        return None

    def fingerprint(self, _monitor_id: str) -> str:
        return "settings"


def deliver(
    state: Path,
    sender: Taker,
    own_report: int | None = None,
    live: Callable[[], list[str]] = list,
) -> Backlog:
    def wait(_seconds: float, *, rate_limited: bool) -> bool:
        raise AssertionError("nothing here has to be waited for")

    return deliver_backlog(
        Journal.open(str(state)),
        Delivery(sender, UNLIMITED, wait),
        MonitorQueue(URL, "backup", processes.identity(), own_report=own_report),
        live=live,
    )


@pytest.fixture
def other() -> Iterator["subprocess.Popen[bytes]"]:
    """Another living process."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def identity(process: "subprocess.Popen[bytes]") -> str:
    """Return what `processes.identity` gives in that process."""
    pid = process.pid
    return f"{pid} {processes.start_time(pid)} {processes.boot_id()} {processes.namespace()}"


def test_what_is_behind_a_report_that_another_is_sending_waits_for_it(
    tmp_path: Path, other: "subprocess.Popen[bytes]"
) -> None:
    queue(tmp_path, "backup", "first", owner=identity(other))
    queue(tmp_path, "backup", "second")
    sender = Taker()
    assert deliver(tmp_path, sender) == Backlog(left=True, is_contested=True)
    assert sender.taken == []


def test_a_lease_ends_with_its_holder(tmp_path: Path, other: "subprocess.Popen[bytes]") -> None:
    queue(tmp_path, "backup", "first", "second", owner=identity(other))
    other.kill()
    other.wait()
    sender = Taker()
    assert deliver(tmp_path, sender) == Backlog(delivered=2)
    assert [words.rpartition(") ")[2] for words in sender.taken if words] == ["first", "second"]


def test_a_lease_of_this_pid_from_before_a_reboot_is_over(tmp_path: Path) -> None:
    pid, start, _, namespace, _ = processes.identity().split(" ")
    queue(tmp_path, "backup", "first", owner=f"{pid} {start} another-boot {namespace}")
    queue(tmp_path, "backup", "second", owner=f"{pid} 1 {processes.boot_id()} {namespace}")
    assert deliver(tmp_path, Taker()) == Backlog(delivered=2)


def test_a_run_that_ends_does_not_wait_for_one_that_ended_after_it(
    tmp_path: Path, other: "subprocess.Popen[bytes]"
) -> None:
    queue(tmp_path, "backup", "old")
    (own,) = queue(tmp_path, "backup", "own", owner=processes.identity())
    queue(tmp_path, "backup", "newer", owner=identity(other))
    sender = Taker()
    assert deliver(tmp_path, sender, own) == Backlog(delivered=1)
    assert [words.rpartition(") ")[2] for words in sender.taken if words] == ["old"]


def test_what_another_leases_while_we_look_for_open_runs_is_not_overtaken(
    tmp_path: Path, other: "subprocess.Popen[bytes]"
) -> None:
    """Another run ends between that look and our lease."""
    queue(tmp_path, "backup", "old")
    sender = Taker()

    def live() -> list[str]:
        queue(tmp_path, "backup", "newer", owner=identity(other))
        return []

    assert deliver(tmp_path, sender, live=live) == Backlog(left=True, is_contested=True)
    assert sender.taken == []
    owners = Journal.open(str(tmp_path)).query("SELECT owner FROM reports ORDER BY id")
    assert list(owners) == [(None,), (identity(other),)]


def test_runs_of_one_monitor_that_end_together_do_not_hold_each_other_up(
    api: ApiServer, state: Path, tmp_path: Path
) -> None:
    script = "touch began-$0; until [ -e go ]; do sleep .02; done"
    command = [*PROGRAM, "exec", "backup", "--", "sh", "-c", script]
    runs = [
        subprocess.Popen([*command, str(at)], cwd=tmp_path, env={**os.environ, **settings(api)})
        for at in range(4)
    ]
    api.wait_for(4)
    (tmp_path / "go").touch()
    assert [run.wait(60) for run in runs] == [0] * 4
    ends = api.requests[4:]
    assert {request.kind for request in ends} == {"success"}
    waited = ends[-1].arrived - ends[0].arrived
    assert waited < 15, "they waited for each other until they gave up"
    reports = [row.report for row in Journal.open(str(state)).runs()]
    assert reports.count("delivered") == len(ends)  # the server has the other runs as overlapped
    assert reports.count("superseded") == 4 - len(ends)


def test_a_flush_does_not_close_a_run_that_goes_on(
    crontify: Crontify, api: ApiServer, env: dict[str, str], tmp_path: Path, home: Path
) -> None:
    """A late failure waits until then: a report names no run, and closes whichever is open."""
    script = "until [ -e go ]; do sleep .02; done"
    command = [*PROGRAM, "exec", "backup", "--", "sh", "-c", script]
    run = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **env})
    api.wait_for(1)
    queue(home / ".local/state/crontify", "backup", "old", url=api.url)
    done = crontify("flush", "--wait", "0", env=env)
    assert done.returncode == 75
    assert api.kinds() == ["start"]
    (tmp_path / "go").touch()
    assert run.wait(60) == 0
    assert api.kinds() == ["start", "success", "fail"]
