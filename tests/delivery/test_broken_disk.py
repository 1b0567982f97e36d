"""The disk fails while a job runs and the API is away: that is said, and nothing breaks off."""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from crontify_cli.delivery.journal import Journal, JournalError, journal_path
from tests.delivery.outcomes import finish, queue
from tests.job.test_hostile_places import small_disk  # noqa: F401 - a fixture
from tests.programs import PROGRAM, need
from tests.server import ApiServer
from tests.waiting import until_exists

SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN, from linux/fs/ext4: `_IOR('X', 125, __u32)`."""


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Path]:
    """A mounted ext4 of 24 MB; needs a loop device."""
    need("mkfs.ext4", "mount", "umount")
    image, folder = tmp_path / "image", tmp_path / "ext4"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(24_000_000)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"may not mount here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def run_while(disk: Path, env: dict[str, str], api: ApiServer, tmp_path: Path, fail: str) -> str:
    """Run a job during which the disk of the state directory fails; return what was said."""
    state = disk / "state"
    Journal.open(str(state)).close()
    queue(state, "other", "old", url=api.url)
    api.down()
    run = subprocess.Popen(
        [*PROGRAM, "exec", "backup", "--", "sh", "-c", "echo out; touch on; read x; exit 5"],
        cwd=tmp_path,
        env={**os.environ, **env, "CRONTIFY_STATE_DIR": str(state)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until_exists(tmp_path / "on")
    if fail == "shutdown":
        fd = os.open(disk, os.O_RDONLY)
        fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", 2))  # EXT4_GOING_FLAGS_NOLOGFLUSH
        os.close(fd)
    else:
        subprocess.run(["mount", "-o", f"remount,{fail}", str(disk)], check=True)
    api.up()
    out, said = run.communicate("\n", timeout=60)
    assert (run.returncode, out) == (5, "out\n"), said
    return said


def test_ext4_is_shut_down_while_the_job_runs(
    api: ApiServer, env: dict[str, str], tmp_path: Path, ext4: Path
) -> None:
    said = run_while(ext4, env, api, tmp_path, "shutdown")
    assert "internal error" not in said
    assert "its report is sent directly" in said
    assert [request.kind for request in api.accepted].count("fail") == 1


def test_the_disk_becomes_read_only_while_the_job_runs(
    api: ApiServer, env: dict[str, str], tmp_path: Path, ext4: Path
) -> None:
    """As after an I/O error, with errors=remount-ro."""
    said = run_while(ext4, env, api, tmp_path, "abort")
    assert "internal error" not in said
    assert [request.kind for request in api.accepted].count("fail") >= 1


def test_a_corrupt_journal_on_a_disk_that_is_read_only_cannot_be_set_aside(
    tmp_path: Path,
    small_disk: Path,  # noqa: F811 - the fixture
) -> None:
    subprocess.run(["mount", "-o", "remount,size=3m", str(small_disk)], check=True)
    finish(small_disk, "backup", "fail")
    journal = Path(journal_path(str(small_disk)))
    journal.write_bytes(os.urandom(8192))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(JournalError) as raised:
        Journal.open(str(small_disk))
    assert "Read-only file system" in str(raised.value)


def test_a_journal_that_turns_out_corrupt_and_cannot_be_set_aside(tmp_path: Path) -> None:
    need("chattr")
    for _ in range(50):
        finish(tmp_path, "backup", "fail", log="x" * 9000)
    path = Path(journal_path(str(tmp_path)))
    with path.open("r+b") as file:  # all but the first page
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    journal = Journal.open(str(tmp_path))
    frozen = subprocess.run(["chattr", "+i", str(tmp_path)], capture_output=True, text=True)
    if frozen.returncode:
        pytest.skip(frozen.stderr)
    try:
        with pytest.raises(JournalError) as raised:
            list(journal.runs())
    finally:
        subprocess.run(["chattr", "-i", str(tmp_path)], check=True)
    assert "it cannot be set aside: " in str(raised.value)
    assert not raised.value.is_set_aside
