"""A run on a system that lacks what Linux has: at most, less is known of other processes."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crontify_cli import record
from crontify_cli.delivery.records import FORGET_AFTER, live_runs
from crontify_cli.job import recorder
from tests.portability.features import FEATURES, parse
from tests.server import ApiServer
from tests.waiting import until

PROGRAM = str(Path(__file__).with_name("program.py"))


def crontify(without: str, *args: str) -> list[str]:
    return [sys.executable, PROGRAM, without, *args]


@pytest.mark.parametrize("without", [*FEATURES, "all"])
def test_a_run_is_reported_whatever_is_missing(
    env: dict[str, str], api: ApiServer, tmp_path: Path, without: str
) -> None:
    job = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    done = subprocess.run(
        crontify(without, "exec", "backup", "--overlap", "skip", "--", *job),
        env={**os.environ, **env},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")
    assert api.kinds()[-1] == "fail"
    assert api.requests[-1].json["errorMessage"] == "exited with code 3: err"


def test_a_pid_that_may_be_another_process_is_not_taken_for_the_job_for_ever(
    env: dict[str, str], api: ApiServer, state: Path
) -> None:
    """Without /proc: after the wrapper's death, a run is reported when its pid is free or a day on.

    Our own pid stands for one that was used again.
    """
    wrapper = subprocess.Popen(
        crontify("all", "exec", "backup", "--", "sh", "-c", "echo seen; exec sleep 1000"),
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
    )
    until(lambda: api.kinds() == ["start"], "the start is taken")
    (live,) = live_runs(str(state))
    path = Path(live.path)
    until(lambda: record.Record(path.read_bytes()).total, "the output is recorded")
    wrapper.kill()
    wrapper.wait()
    os.kill(record.Record(path.read_bytes()).job[0], signal.SIGKILL)

    def flush() -> list[str]:
        subprocess.run(crontify("all", "flush"), env={**os.environ, **env}, check=True, timeout=60)
        return api.kinds()

    with path.open("r+b") as file:
        file.seek(record.AT_JOB * 8)
        file.write(record.word(os.getpid()))
    assert flush() == ["start"]
    with path.open("r+b") as file:
        file.seek(record.AT_STARTED * 8)
        file.write(record.word(time.time_ns() - int((FORGET_AFTER + 60) * 1e9)))
    assert flush() == ["start", "fail"]
    assert "the job's outcome is unknown" in api.requests[-1].json["errorMessage"]
    assert not path.exists()


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, None])
def test_a_record_has_its_space_on_disk_also_where_it_cannot_be_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(code, "refused")

    if code is None:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    else:
        monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    with (tmp_path / "record").open("w+b", buffering=0) as file:
        file.write(b"h" * record.HEADER)
        recorder._allocate(file.fileno())
        status = os.fstat(file.fileno())
        assert status.st_size == record.SIZE
        assert status.st_blocks * 512 >= record.SIZE
        assert os.pread(file.fileno(), record.HEADER, 0) == b"h" * record.HEADER


def test_a_full_disk_is_told_from_a_file_system_that_reserves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOSPC, "the disk is full")

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    with (tmp_path / "record").open("w+b", buffering=0) as file:
        with pytest.raises(OSError, match="the disk is full"):
            recorder._allocate(file.fileno())
        assert os.fstat(file.fileno()).st_size == 0


def test_a_name_that_hides_nothing_is_an_error() -> None:
    assert parse("all") == FEATURES
    assert parse("proc,deprecated") == ("proc", "deprecated")
    with pytest.raises(ValueError, match="'porc' is none of"):
        parse("porc")
