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
    assert crowd(tmp_path, runs=24, monitors=4, at_once=12) == []


def test_a_long_queue_goes_out_in_order_by_one_connection(
    crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    journal = Journal.open(str(state))
    for at in range(450):
        finish(state, f"m{at % 3}", "fail", words=f"n{at}", url=api.url, journal=journal)
    journal.close()
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(state)}
    assert crontify("flush", env=env).returncode == 0
    words = [request.json["errorMessage"].rpartition("n")[2] for request in api.accepted]
    assert words == [str(at) for first in range(3) for at in range(first, 450, 3)]
    assert api.connections == 1
