"""Many processes at once on one journal, and a queue that is long: the same in a small size.

The big ones are `python -m tests.delivery.crowd` and `benchmarks/flush_queue.py`.
"""

from pathlib import Path

from crontify_cli.delivery.journal import Journal
from tests.conftest import Crontify
from tests.delivery.crowd import crowd
from tests.delivery.outcomes import finish
from tests.server import ApiServer, settings


def test_a_crowd_of_runs_is_reported_once_each_and_after_an_outage_too(tmp_path: Path) -> None:
    assert crowd(tmp_path, runs=16, monitors=4, at_once=8) == []


def test_a_long_queue_goes_out_by_a_few_connections_in_order_within_each_monitor(
    crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    journal = Journal.open(str(state))
    for at in range(60):
        finish(state, f"m{at % 20}", "fail", words=f"n{at}", url=api.url, journal=journal)
    journal.close()
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(state)}
    assert crontify("flush", env=env).returncode == 0
    numbers = [int(request.json["errorMessage"].rpartition("n")[2]) for request in api.accepted]
    for first in range(20):
        assert [at for at in numbers if at % 20 == first] == [first, first + 20, first + 40]
    assert len(numbers) == 60
    assert 1 <= api.connections <= 10
