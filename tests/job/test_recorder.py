"""The record of a run: for any chunking the head and the newest bytes, also after a SIGKILL."""

import hashlib
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crontify_cli import record
from crontify_cli.job.recorder import Recorder
from tests.job.conftest import Launch
from tests.waiting import until, until_exists, until_gone


def output(size: int) -> bytes:
    """Return `size` bytes of which no two stretches are alike."""
    blocks = (hashlib.sha512(str(n).encode()).digest() for n in range(size // 64 + 1))
    return b"".join(blocks)[:size]


LONGEST = 3 * record.RING
DATA = output(LONGEST)


def feed(recorder: Recorder, pieces: list[int]) -> int:
    """Give the recorder that many bytes at a time through a pipe, as a job would."""
    read, write = os.pipe()
    at = 0
    try:
        for size in pieces:
            piece = DATA[at : at + size]
            while piece:
                sent = os.write(write, piece[:65536])
                got = 0
                while got < sent:
                    got += len(recorder.read_from(read))
                piece = piece[sent:]
                at += sent
        os.close(write)
        write = -1
        assert not recorder.read_from(read)
    finally:
        os.close(read)
        if write >= 0:
            os.close(write)
    return at


def check(recorder: Recorder, written: int) -> None:
    content = recorder.content()
    assert content.total == written
    assert content.head == DATA[: min(written, record.HEAD)]
    tail = min(max(0, written - record.HEAD), record.TAIL)
    assert content.tail == DATA[written - tail : written]
    assert content.dropped == written - len(content.head) - len(content.tail)


@pytest.fixture
def recorder() -> Recorder:
    made = Recorder("backup", ["true"])
    assert made.problem is None
    made.begin(0)
    return made


HEAD, RING, CHUNK = record.HEAD, record.RING, record.CHUNK


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([], id="empty"),
        pytest.param([1], id="one byte"),
        pytest.param([HEAD // 2], id="half of the head"),
        pytest.param([HEAD], id="exactly the head"),
        pytest.param([HEAD + 1], id="head and a byte"),
        pytest.param([HEAD + RING // 2], id="half of the ring"),
        pytest.param([HEAD + record.TAIL], id="as much as can be read"),
        pytest.param([HEAD + RING], id="the ring exactly full"),
        pytest.param([HEAD + RING + 1], id="wrapped by a byte"),
        pytest.param([HEAD + 2 * RING], id="twice around"),
        pytest.param([HEAD + RING - 1, 2, CHUNK], id="a piece over the seam"),
        pytest.param([0, 5, 0, HEAD], id="nothing written in between"),
    ],
)
def test_the_ring(recorder: Recorder, pieces: list[int]) -> None:
    check(recorder, feed(recorder, pieces))
    recorder.discard()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2 * record.CHUNK), max_size=12))
def test_for_any_chunking_the_head_and_the_newest_bytes_are_there(pieces: list[int]) -> None:
    recorder = Recorder("backup", ["true"])
    recorder.begin(0)
    check(recorder, feed(recorder, pieces))
    recorder.discard()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, record.SIZE))
def test_a_broken_file_is_refused_or_read_never_more(noise: bytes, at: int) -> None:
    data = bytearray(record.SIZE)
    data[:8] = record.MAGIC
    data[at : at + len(noise)] = noise
    try:
        content = record.Record(bytes(data[: record.SIZE]))
    except ValueError:
        return
    assert len(content.head) <= record.HEAD
    assert len(content.tail) <= record.TAIL


def records(home: Path) -> list[Path]:
    return list((home / ".local/state/crontify/live").glob("*.rec"))


def test_a_sigkill_of_the_wrapper_leaves_every_byte_it_had_relayed(
    launch: Launch, tmp_path: Path, home: Path
) -> None:
    script = "cat data; touch written; until [ -e go ]; do sleep .05; done; touch ended"
    (tmp_path / "data").write_bytes(DATA[: 2 * record.RING])
    with open(tmp_path / "out", "wb") as out:
        process = launch("--", "sh", "-c", script, stdout=out, text=False)
        until(lambda: (tmp_path / "out").stat().st_size == 2 * record.RING, "all came through")
    process.kill()
    process.wait(60)
    content = record.Record(records(home)[0].read_bytes())
    assert content.total == 2 * record.RING
    assert content.head == DATA[: record.HEAD]
    assert content.tail == DATA[2 * record.RING - record.TAIL : 2 * record.RING]
    assert (content.monitor, content.command) == ("backup", ["sh", "-c", script])
    job = content.job[0]
    os.kill(job, 0)
    (tmp_path / "go").touch()
    until_exists(tmp_path / "ended")  # it does not print, so it goes on to its end
    until_gone(job)


def test_a_sigkill_at_the_spawn_leaves_a_record_of_which_job_it_was(
    launch: Launch, tmp_path: Path, home: Path
) -> None:
    """The job itself kills its parent with its first instruction."""
    process = launch("--", "sh", "-c", "kill -9 $PPID; touch ran")
    process.wait(60)
    assert process.returncode == -signal.SIGKILL
    until_exists(tmp_path / "ran")
    content = record.Record(records(home)[0].read_bytes())
    assert (content.monitor, content.command[:2]) == ("backup", ["sh", "-c"])
    assert content.wrapper[0] == process.pid
    assert len(content.run) == 12


def test_the_record_is_private_and_gone_after_the_run(
    launch: Launch, tmp_path: Path, home: Path
) -> None:
    process = launch(
        "--", "sh", "-c", 'stat -c %a "$CRONTIFY_META" > mode; until [ -e go ]; do sleep .02; done'
    )
    until(lambda: (tmp_path / "mode").exists() and (tmp_path / "mode").read_text(), "it began")
    assert (tmp_path / "mode").read_text() == "600\n"
    (path,) = records(home)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    (tmp_path / "go").touch()
    process.wait(60)
    assert list(path.parent.iterdir()) == []
