"""`--jitter`: a wait before the job that belongs to no part of the run."""

import re
import signal
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from crontify_cli.delivery.journal import Journal
from crontify_cli.job import jitter
from tests.job.conftest import Launch
from tests.server import ApiServer
from tests.waiting import until

FIXED = ("--jitter", "2s", "--jitter-fixed", "-v")


def said(text: str) -> str:
    found = re.search(r"backup: waiting (\S+) before the job \(--jitter\)", text)
    assert found, text
    return found[1]


def test_the_wait_comes_before_the_run_and_is_always_the_same_if_fixed(
    launch: Launch, api: ApiServer, home: Path, tmp_path: Path
) -> None:
    waits = set()
    for number in (1, 2):
        began = time.time()
        process = launch(*FIXED, "--", "sh", "-c", f"date +%s.%N >ran{number}")
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0
        waits.add(said(err))
        share = jitter._share_of_host("backup")
        assert float((tmp_path / f"ran{number}").read_text()) - began >= 2 * share
        newest = next(iter(Journal.open(str(home / ".local/state/crontify")).runs()))
        assert newest.started_at - began >= 2 * share
    assert len(waits) == 1
    assert api.kinds() == ["start", "success"] * 2


def test_a_signal_during_the_wait_ends_the_run_without_a_job(
    launch: Launch, api: ApiServer, home: Path, tmp_path: Path
) -> None:
    process = launch("--jitter", "300d", "-v", "--overlap", "skip", "--", "touch", "ran")
    assert process.stderr
    line = process.stderr.readline()
    said(line)
    # The lock is not taken yet.
    other = launch("--overlap", "skip", "--", "true")
    assert other.wait(60) == 0
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert err == "crontify: backup: stopped before the job was started\n"
    assert not (tmp_path / "ran").exists()
    until(lambda: len(api.kinds()) == 2, "the other run is reported")
    assert len(list(Journal.open(str(home / ".local/state/crontify")).runs())) == 1


def test_other_signals_do_not_shorten_the_wait(launch: Launch, tmp_path: Path) -> None:
    process = launch("--jitter", "300d", "-v", "--", "touch", "ran")
    assert process.stderr
    process.stderr.readline()
    process.send_signal(signal.SIGUSR1)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert not (tmp_path / "ran").exists()


@settings(max_examples=50)
@given(st.binary(min_size=8, max_size=8))
def test_it_is_at_most_the_whole_time(data: bytes) -> None:
    assert 0 <= jitter._share(data) <= 1


def test_hosts_and_monitors_have_shares_of_their_own() -> None:
    shares = {round(jitter._share_of_host(f"m{number}"), 3) for number in range(50)}
    assert len(shares) > 40
    assert min(shares) < 0.2 < 0.8 < max(shares)
