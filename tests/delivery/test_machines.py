"""What another machine holds in a shared state directory is unknown, and ends by age only."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crontify_cli import processes, record
from crontify_cli.delivery.journal import Journal, MonitorQueue
from crontify_cli.delivery.journal_queue import LEASE_SECONDS
from tests.conftest import Crontify
from tests.delivery.outcomes import URL, queue
from tests.faults import refusing_url
from tests.programs import PROGRAM, need
from tests.server import KEY
from tests.waiting import until

ELSEWHERE = "0123456789abcdef0123456789abcdef"
WITHOUT_ID = ["unshare", "--mount", "sh", "-ec", 'mount --bind "$1" /etc/machine-id; shift; "$@"']


def lease_elsewhere(state: Path, since: float) -> None:
    """Let a process of another machine, in another boot, hold the report that is queued."""
    journal = Journal.open(str(state))
    with journal.transaction() as db:
        db.execute(
            "UPDATE reports SET owner = ?, owned_at = ?",
            (f"{os.getpid()} 1 another-boot pid:[1] {ELSEWHERE}", since),
        )


@pytest.mark.parametrize(
    ("age", "claimed"),
    [(0.0, 0), (LEASE_SECONDS - 60, 0), (-5.0, 0), (LEASE_SECONDS + 1, 1), (-9e6, 1)],
)
def test_a_lease_of_another_machine_ends_by_age_only(
    tmp_path: Path, age: float, claimed: int
) -> None:
    queue(tmp_path, "backup", "first")
    lease_elsewhere(tmp_path, time.time() - age)
    mine = MonitorQueue(URL, "backup", processes.identity())
    lineup = Journal.open(str(tmp_path)).claim(mine)
    assert len(lineup.send if lineup else ()) == claimed


def test_a_lease_can_be_prolonged_until_another_process_has_taken_it(tmp_path: Path) -> None:
    (report,) = queue(tmp_path, "backup", "first", owner="me")
    journal = Journal.open(str(tmp_path))
    assert journal.renew("me", [report])
    lease_elsewhere(tmp_path, time.time())
    assert not journal.renew("me", [report])


def test_a_lease_without_a_machine_is_read_as_before(tmp_path: Path) -> None:
    queue(tmp_path, "backup", "first")
    journal = Journal.open(str(tmp_path))
    *old, _ = processes.identity().split(" ")
    with journal.transaction() as db:
        db.execute("UPDATE reports SET owner = ?, owned_at = 0", (" ".join(old),))
    assert journal.claim(MonitorQueue(URL, "backup", "another")) is None
    with journal.transaction() as db:
        db.execute("UPDATE reports SET owner = ?", (f"{old[0]} 1 {' '.join(old[2:])}",))
    assert journal.claim(MonitorQueue(URL, "backup", "another"))


def test_a_machine_without_an_id_gets_one_that_stays(
    crontify: Crontify, state: Path, tmp_path: Path
) -> None:
    need("unshare", "/etc/machine-id")
    empty = tmp_path / "empty"
    empty.touch()
    inside = [*WITHOUT_ID, "sh", str(empty)]
    if subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("no mount namespace here")
    ids = []
    # The record has it a moment after the spawn, from when it is made.
    script = tmp_path / "job.sh"
    script.write_text(
        f"until [ -s {state}/machine-id ] && grep -qF $(cat {state}/machine-id) $1; do sleep .05;"
        " done; cp $1 copy"
    )
    job = f'timeout 30 sh {script} "{state}/live/$CRONTIFY_RUN-backup.rec"'
    with refusing_url() as url:
        env = {**os.environ, "CRONTIFY_API_KEY": KEY, "CRONTIFY_BASE_URL": url}
        for _ in range(2):
            command = [*inside, *PROGRAM, "exec", "backup", "--", "sh", "-c", job]
            environ = {**env, "PYTHONPATH": str(Path(__file__).parents[2])}
            subprocess.run(command, env=environ, cwd=tmp_path, check=True, capture_output=True)
            ids.append(record.Record((tmp_path / "copy").read_bytes()).machine)
    kept = state / "machine-id"
    assert ids == [kept.read_text().strip()] * 2
    assert len(ids[0]) == 32
    assert kept.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in state.iterdir() if "machine" in path.name) == ["machine-id"]


def test_many_processes_that_make_the_id_at_once_agree(state: Path, tmp_path: Path) -> None:
    need("unshare", "/etc/machine-id")
    empty, go = tmp_path / "empty", tmp_path / "go"
    empty.touch()
    state.mkdir(parents=True)
    inside = [*WITHOUT_ID, "sh", str(empty)]
    if subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("no mount namespace here")
    code = (
        "import os, sys, time\n"
        "from crontify_cli.processes import keep_machine_id\n"
        "print(os.getpid(), file=sys.stderr, flush=True)\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(.001)\n"
        "print(keep_machine_id())"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    makers = [
        subprocess.Popen(
            [*inside, sys.executable, "-c", code],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for maker in makers:
        assert maker.stderr
        until(maker.stderr.readline, "it is ready")
    go.touch()
    (made,) = {maker.communicate(timeout=60)[0] for maker in makers}
    assert len(made.strip()) == 32
