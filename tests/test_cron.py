"""A real cron daemon runs a job through exec, in cron's own poor environment."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import need
from tests.server import KEY, ApiServer

# A machine has one cron daemon, and one /etc/cron.d.
pytestmark = pytest.mark.xdist_group("cron")

SYSTEM = Path("/etc/cron.d/crontify-test")


def test_a_crontab_line_for_this_minute_reports(api: ApiServer, tmp_path: Path) -> None:
    need("cron")
    if os.geteuid() != 0:
        pytest.skip("needs root, to start a cron daemon")
    if _is_running():
        pytest.skip("a cron daemon is running here already")
    key = tmp_path / "api-key"
    key.touch(0o600)
    key.write_text(KEY + "\n")
    config = tmp_path / "config.toml"
    config.touch(0o600)
    config.write_text(f'api_key_file = "{key}"\nbase_url = "{api.url}"\n')
    program = Path(sys.executable).with_name("crontify")
    job = f"env > {tmp_path}/environ; echo out; exit 7"
    SYSTEM.touch(0o644)
    SYSTEM.write_text(
        f'CRONTIFY_CONFIG={config}\nCRONTIFY_STATE_DIR={tmp_path}/state\nMAILTO=""\n'
        f"* * * * * root {program} exec backup -- sh -c '{job}'\n"
    )
    daemon = subprocess.Popen(["cron", "-f"], start_new_session=True)
    try:
        requests = api.wait_for(2, timeout=150)  # it looks at its tables once a minute
    finally:
        SYSTEM.unlink()
        daemon.terminate()
        daemon.wait(60)
    assert [request.kind for request in requests] == ["start", "fail"]
    assert requests[1].json["errorMessage"] == "exited with code 7: out"
    environ = dict(line.split("=", 1) for line in (tmp_path / "environ").read_text().splitlines())
    assert "VIRTUAL_ENV" not in environ
    assert "CRONTIFY_API_KEY" not in environ


def _is_running() -> bool:
    """Tell whether a cron daemon holds its lock; one that was killed leaves an odd file behind."""
    try:
        with open("/run/crond.pid", "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
