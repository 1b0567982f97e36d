"""Runs the programs of systemd, and asks its manager through systemctl(1)."""

import json
import subprocess
from typing import NamedTuple

from crontify_cli.errors import CrontifyError, in_words, one_line

_SECONDS = 30.0


class Timer(NamedTuple):
    """A timer. next_run, last_run: seconds since the epoch, None for never."""

    name: str
    service: str
    next_run: float | None
    last_run: float | None


def timers(*, user: bool) -> list[Timer]:
    """Return the timers that the manager knows; raises CrontifyError."""
    found = json.loads(_systemctl(user, "list-timers", "--all", "--output=json"))
    return [
        Timer(
            str(each["unit"]),
            str(each.get("activates") or ""),
            _seconds(each.get("next")),
            _seconds(each.get("last")),
        )
        for each in found
    ]


def reload(*, user: bool) -> None:
    """Make the manager read the unit files again; raises CrontifyError."""
    _systemctl(user, "daemon-reload")


def _seconds(microseconds: object) -> float | None:
    return microseconds / 1e6 if isinstance(microseconds, int) and microseconds > 0 else None


def _systemctl(user: bool, *args: str) -> str:
    return run("systemctl", *(["--user"] if user else []), *args)


def run(*command: str) -> str:
    """Return what one of systemd's programs prints; raises CrontifyError."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise CrontifyError(
            f"there is no {command[0]} here; is this a system with systemd?"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CrontifyError(f"{command[0]}: {in_words(error)}") from None
    if done.returncode:
        words = one_line(done.stderr.strip(), 300) or f"exit code {done.returncode}"
        raise CrontifyError(f"{' '.join(command[:3])}: {words}")
    return done.stdout
