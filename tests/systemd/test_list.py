"""The list of timers. No systemd runs where tests run: its manager is a script that says what
systemctl prints, taken from systemd 252."""

import json
import time
from pathlib import Path

import pytest

from tests.conftest import Crontify
from tests.programs import need
from tests.screen import screen

NOW = int(time.time() * 1e6)
TIMERS = [
    {
        "next": NOW + 3600 * 10**6,
        "left": 3600 * 10**6,
        "last": NOW - 60 * 10**6,
        "passed": 60 * 10**6,
        "unit": "backup@home.timer",
        "activates": "backup@home.service",
    },
    {
        "next": 0,
        "left": 0,
        "last": 0,
        "passed": 0,
        "unit": "idle.timer",
        "activates": "idle.service",
    },
    {
        "next": None,
        "left": None,
        "last": None,
        "passed": None,
        "unit": "gone.timer",
        "activates": None,
    },
]


@pytest.fixture
def timers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wrapped service of a timer, two other timers, and a manager that knows them."""
    need("systemd-analyze")
    units = tmp_path / "units"
    (units / "backup@home.service.d").mkdir(parents=True)
    (units / "backup@.service").write_text("[Service]\nType=oneshot\nExecStart=/bin/false\n")
    (units / "idle.service").write_text("[Service]\nExecStart=/bin/true\n")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "systemctl").write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n'
        f"[ \"$1\" != list-timers ] || cat <<'END'\n{json.dumps(TIMERS)}\nEND\n"
    )
    (programs / "systemctl").chmod(0o755)
    monkeypatch.setenv("SYSTEMD_UNIT_PATH", str(units))
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return tmp_path / "asked"


def test_each_timer_has_its_next_run_and_its_monitors_last_outcome(
    crontify: Crontify, timers: Path, env: dict[str, str]
) -> None:
    done = crontify("systemd", "wrap", "backup@.service", "--name", "nightly-%i", "--yes")
    assert done.returncode == 0, done.stderr
    assert timers.read_text() == "daemon-reload\n"
    assert crontify("exec", "nightly-home", "--", "false", env=env).returncode == 1
    done = crontify("systemd", "list", "--json")
    assert done.returncode == 0, done.stderr
    backup, idle, gone = json.loads(done.stdout)
    assert (backup["monitor"], backup["last_outcome"]) == ("nightly-home", "failed")
    assert backup["next_run"] is not None
    assert (idle["monitor"], idle["next_run"], idle["last_run"]) == (None, None, None)
    assert gone["timer"] == "gone.timer"
    done = crontify("systemd", "list", "backup@home.service")
    (line,) = done.stdout.splitlines()
    assert line.split("\t")[:5:2] == ["backup@home.timer", "backup@home.service", "failed"]
    seen = screen(["systemd", "list"])
    assert "nightly-home" in seen
    assert "failed" in seen


def test_an_unknown_timer_is_an_error(crontify: Crontify, timers: Path) -> None:
    done = crontify("systemd", "list", "nonesuch")
    assert (done.returncode, "no timer nonesuch.timer" in done.stderr) == (1, True)


def test_without_a_manager_its_own_words_are_shown(
    crontify: Crontify, timers: Path, tmp_path: Path
) -> None:
    (tmp_path / "bin/systemctl").write_text("#!/bin/sh\necho 'Host is down' >&2; exit 1\n")
    done = crontify("systemd", "list")
    assert (done.returncode, "Host is down" in done.stderr) == (1, True)
