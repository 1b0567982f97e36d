"""What the job prints: shown, held back or dropped, and always reported."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import Crontify
from tests.job.conftest import Launch
from tests.job.test_hostile_places import small_disk  # noqa: F401 - a fixture
from tests.paced import paced
from tests.programs import PROGRAM
from tests.server import ApiServer, settings
from tests.waiting import is_running, until, until_exists

BOTH = ("out1", "err1", "out2")


def test_on_failure_prints_nothing_of_a_success(crontify: Crontify, api: ApiServer) -> None:
    options = ("--output", "on-failure", "--", *paced(*BOTH))
    done = crontify("exec", "backup", *options, env=settings(api))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert api.requests[-1].json["meta"]["output_bytes"] == 15


def test_on_failure_prints_a_failures_output_on_its_streams(
    crontify: Crontify, api: ApiServer
) -> None:
    options = ("--output", "on-failure", "--", *paced(*BOTH, code=3))
    done = crontify("exec", "backup", *options, env=settings(api))
    assert (done.returncode, done.stdout, done.stderr) == (3, "out1\nout2\n", "err1\n")
    assert api.requests[-1].json["logOutput"] == "out1\nerr1\nout2\n"


def test_on_failure_keeps_the_order_of_the_two_streams(launch: Launch, api: ApiServer) -> None:
    process = launch(
        *("--output", "on-failure", "--", *paced(*BOTH, code=3)), stderr=subprocess.STDOUT
    )
    out, _ = process.communicate(timeout=60)
    assert out == "out1\nerr1\nout2\n"


def test_on_failure_prints_what_a_killed_job_had_written(
    crontify: Crontify, api: ApiServer
) -> None:
    options = ("--output=on-failure", "--", "sh", "-c", "echo last words; kill -9 $$")
    done = crontify("exec", "backup", *options, env=settings(api))
    assert (done.returncode, done.stdout) == (137, "last words\n")


def test_on_failure_holds_at_most_64_mib_and_counts_what_is_missing(
    launch: Launch, api: ApiServer, tmp_path: Path
) -> None:
    script = "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo the end; exit 2"
    with open(tmp_path / "out", "wb") as out:
        process = launch("--output", "on-failure", "--", "sh", "-c", script, stdout=out)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    shown = (tmp_path / "out").read_bytes()
    assert 40 * 2**20 < len(shown) <= 64 * 2**20
    assert shown.endswith(b"x\nthe end\n")
    missing = 100_000_000 + len("\nthe end\n") - len(shown)
    assert err == f"\ncrontify: [… {missing:,} bytes of output were not kept …]\n"
    assert api.requests[-1].json["meta"]["output_bytes"] == 100_000_009


@pytest.mark.parametrize("flag", [("-q",), ("--output", "none")])
def test_quiet_prints_nothing_and_reports_all(
    crontify: Crontify, api: ApiServer, flag: tuple[str, ...]
) -> None:
    done = crontify("exec", "backup", *flag, "--", *paced(*BOTH, code=3), env=settings(api))
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    assert api.requests[-1].json["logOutput"] == "out1\nerr1\nout2\n"


def test_the_config_may_hold_the_output_back(
    crontify: Crontify, api: ApiServer, home: Path
) -> None:
    config = home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[monitors.backup]\noutput = "on-failure"\n')
    assert crontify("exec", "backup", "--", "echo", "hi", env=settings(api)).stdout == ""
    done = crontify("exec", "backup", "--", "sh", "-c", "echo hi; exit 1", env=settings(api))
    assert done.stdout == "hi\n"


def test_a_full_stdout_costs_only_what_is_shown(launch: Launch, api: ApiServer) -> None:
    script = "echo one; echo two >&2; yes | head -c 3000000; echo the end; exit 6"
    with open("/dev/full", "w") as full:
        process = launch("--", "sh", "-c", script, stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 6
    assert err.splitlines() == [
        "two",
        "crontify: the job's output no longer went to stdout: No space left on device",
    ]
    assert api.requests[-1].json["logOutput"].rstrip().endswith("the end")


def test_a_reader_that_leaves_early_does_not_end_the_job(
    launch: Launch, api: ApiServer, tmp_path: Path
) -> None:
    script = "for n in 1 2 3; do yes | head -c 300000; sleep .05; done; touch ended; exit 4"
    process = launch("--", "sh", "-c", script)
    assert process.stdout
    process.stdout.readline()
    process.stdout.close()
    process.wait(60)
    assert process.returncode == 4
    assert (tmp_path / "ended").exists()
    assert api.requests[-1].json["meta"]["output_bytes"] == 900_000


@pytest.mark.parametrize("closing", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_none_of_the_jobs_business(
    api: ApiServer, tmp_path: Path, closing: str
) -> None:
    job = "echo out; echo err >&2; ls -l /proc/self/fd > fds; exit 5"
    command = [*PROGRAM, "exec", "backup", "--", "sh", "-c", job]
    shell = ["sh", "-c", f'"$@" {closing}', "sh", *command]
    environ = {**os.environ, **settings(api)}
    done = subprocess.run(
        shell, env=environ, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    assert done.returncode == 5
    assert sorted(api.requests[-1].json["logOutput"].split()) == ["err", "out"]
    assert "RUN" not in (tmp_path / "fds").read_text()
    assert ".rec" not in (tmp_path / "fds").read_text()


def test_a_nonblocking_stdout_that_is_full_loses_nothing(launch: Launch) -> None:
    """As when the terminal's or pipe's other user has set O_NONBLOCK on it."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    process = launch("--", "sh", "-c", "yes | head -c 2000000", stdout=write)
    os.close(write)
    time.sleep(0.2)  # for the pipe to fill
    size = 0
    while block := os.read(read, 65536):
        size += len(block)
    os.close(read)
    process.wait(60)
    assert (process.returncode, size) == (0, 2_000_000)


def test_a_grandchild_at_the_pipe_neither_delays_the_end_nor_dies(
    launch: Launch, api: ApiServer, tmp_path: Path
) -> None:
    script = (
        "(trap '' HUP; echo $$ >/dev/null; until [ -e go ]; do sleep .05; done;"
        " echo late && echo late >&2 && touch survived) & echo $! > grandchild; echo done; exit 3"
    )
    process = launch("--", "bash", "-c", script)
    process.wait(60)  # the grandchild holds its pipes until we say so, after this
    assert process.returncode == 3
    assert api.requests[-1].json["logOutput"] == "done\n"
    assert is_running(int((tmp_path / "grandchild").read_text()))
    (tmp_path / "go").touch()
    until_exists(tmp_path / "survived")


def test_endless_output_leaves_memory_and_disk_as_they_were(
    launch: Launch, api: ApiServer, tmp_path: Path, home: Path
) -> None:
    process = launch(
        *("-q", "--timeout", "1m", "--", "sh", "-c", "touch begun; exec cat /dev/zero")
    )
    until_exists(tmp_path / "begun")
    record = next((home / ".local/state/crontify/live").glob("*.rec"))
    until(lambda: api.kinds() == ["start"], "all that reports is loaded")
    early = _peak(process.pid)
    until(lambda: _total(record) > 1_000_000_000, "1 GB went through")
    assert _peak(process.pid) - early < 4 * 1024
    disk = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    assert disk < 4 * 2**20
    process.terminate()
    process.wait(60)


def _peak(pid: int) -> int:
    """Return the process's peak memory in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _total(record: Path) -> int:
    from crontify_cli.record import Record

    return Record(record.read_bytes()).total


@pytest.mark.parametrize("size", ["64k", "900k", "3m"])
def test_on_failure_keeps_beginning_and_end_where_the_disk_is_full(
    crontify: Crontify,
    api: ApiServer,
    small_disk: Path,  # noqa: F811 - the fixture
    size: str,
) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(small_disk)], check=True)
    env = {**settings(api), "TMPDIR": str(small_disk)}
    script = "echo first; seq 1000000; echo last >&2; exit 3"
    done = crontify("exec", "backup", "--output", "on-failure", "--", "sh", "-c", script, env=env)
    assert done.returncode == 3
    assert done.stdout.startswith("first\n1\n2\n")
    assert done.stdout.endswith("\n999999\n1000000\n")
    marker, last = done.stderr.strip().split("\n")
    missing = int(re.sub(r"\D", "", marker))
    assert len(done.stdout) + len("last\n") + missing == 6 + 6888896 + 5
    assert last == "last"
