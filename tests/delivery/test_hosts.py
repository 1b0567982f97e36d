"""Two hosts share a state directory; `python -m tests.delivery.hosts` plays it in full."""

import random
import subprocess
from pathlib import Path

import pytest

from tests.delivery.hosts import host_command, play_hosts
from tests.programs import need


@pytest.fixture
def two_hosts(tmp_path: Path) -> None:
    """Skip where no namespaces can be made."""
    need("unshare", "mount", "hostname")
    made = subprocess.run(host_command(tmp_path, "t", "true"), capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no namespaces here: {made.stderr.strip()}")


@pytest.mark.usefixtures("two_hosts")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("with_locks", [True, False])
def test_two_hosts_share_a_state_directory(tmp_path: Path, with_locks: bool) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    found = play_hosts(tmp_path, 10, seed, with_locks=with_locks)
    print(found)
    assert found.problems == []
    if with_locks:
        assert found.unexplained == []
