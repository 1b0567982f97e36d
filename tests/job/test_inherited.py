"""What the job inherits is what it would have alone, and what we inherit does not hold us up."""

import os
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.job.conftest import Launch
from tests.programs import PROGRAM
from tests.server import ApiServer, settings
from tests.waiting import until_exists, within_any

OURS = ("CRONTIFY_META", "CRONTIFY_MONITOR", "CRONTIFY_RUN")


_REPLACED = pytest.mark.uses("proc", reason="only /proc tells that LC_CTYPE=C was given")


@pytest.mark.parametrize(
    "locale",
    [{}, pytest.param({"LC_CTYPE": "C"}, marks=_REPLACED), {"LC_CTYPE": "C.UTF-8"}, {"LANG": "C"}],
)
def test_the_jobs_environment_is_as_it_was(
    api: ApiServer, tmp_path: Path, locale: dict[str, str]
) -> None:
    """Cron sets no locale, and then Python sets LC_CTYPE in its own environment (PEP 538)."""
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **locale, **settings(api)}
    job = ["env", "-0"]
    alone = subprocess.run(job, env=environ, cwd=tmp_path, capture_output=True, check=True)
    command = [*PROGRAM, "exec", "backup", "--", *job]
    wrapped = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, timeout=60)
    words = wrapped.stdout.decode().split("\0")
    theirs = [word for word in words if word.partition("=")[0] not in OURS]
    assert sorted(theirs) == sorted(alone.stdout.decode().split("\0"))


def block(*numbers: signal.Signals) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def test_a_blocked_sigchld_does_not_hide_the_jobs_end(launch: Launch, api: ApiServer) -> None:
    process = launch(
        *("--", "sh", "-c", "sleep .5; exit 3"), preexec_fn=partial(block, signal.SIGCHLD)
    )
    process.communicate(timeout=60)
    assert process.returncode == 3
    assert api.kinds() == ["start", "fail"]


def test_a_blocked_sigalrm_does_not_hold_up_the_timeout(launch: Launch) -> None:
    process = launch(
        *("--timeout", "0.5s", "--", "sleep", "60"), preexec_fn=partial(block, signal.SIGALRM)
    )
    process.communicate(timeout=60)
    assert process.returncode == 124


def test_the_job_has_the_signal_mask_that_we_were_given(launch: Launch) -> None:
    blocked = (signal.SIGCHLD, signal.SIGALRM, signal.SIGUSR2)
    process = launch(
        *("--", "grep", "^SigBlk", "/proc/self/status"), preexec_fn=partial(block, *blocked)
    )
    out, _ = process.communicate(timeout=60)
    assert int(out.split()[1], 16) == sum(1 << number - 1 for number in blocked)


def test_an_alarm_set_by_who_started_us_is_the_jobs(launch: Launch, api: ApiServer) -> None:
    """As `perl -e 'alarm 5; exec @ARGV'`, a time limit for where there is no timeout(1)."""

    def attempt(seconds: float) -> int:
        alarm = partial(signal.setitimer, signal.ITIMER_REAL, seconds)
        process = launch("--", "sleep", "60", preexec_fn=alarm)
        process.communicate(timeout=60)
        return process.returncode

    # On a busy machine it may come before there is a job.
    assert within_any(attempt, lambda code: code != -signal.SIGALRM) == 128 + signal.SIGALRM
    assert api.requests[-1].json["errorMessage"].startswith("terminated by SIGALRM")


def test_python_inspect_is_the_jobs(launch: Launch, tmp_path: Path) -> None:
    first = launch("--overlap", "skip", "--", "sh", "-c", "touch begun; read line", stdin=-1)
    until_exists(tmp_path / "begun")
    second = launch("--overlap", "skip", "--", "true", env={"PYTHONINSPECT": "1"})
    _, err = second.communicate(timeout=60)
    assert second.returncode == 75
    assert "Traceback" not in err
    first.communicate("\n", timeout=60)
