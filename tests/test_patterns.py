"""A user's regular expressions are tried where they can be stopped."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crontify_cli.report.patterns import MetaScan, redact

HOSTILE = r"^(a+)+$"
FODDER = "a" * 60 + "b"
PLENTY = 60.0
"""Seconds that no test needs; they only keep a broken one from hanging."""

needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")

Scan = Callable[..., MetaScan]


@pytest.fixture
def scan() -> Scan:
    return lambda *patterns: MetaScan(patterns)


def alive(pid: int) -> bool:
    """Say whether a process runs; one that nobody has reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def child_of(pid: int) -> int:
    """Return the one child of a process, once it has one."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while not (found := children.read_text().split()):
        time.sleep(0.01)
    return int(found[0])


def test_everything_that_a_pattern_matches_is_masked() -> None:
    text = "id 4711\nuser bob\nbob and 12\n"
    assert (
        redact(text, [r"\d+", "^bob"], PLENTY) == "id [masked]\nuser bob\n[masked] and [masked]\n"
    )
    assert redact("é😀\udc80", ["x*"], PLENTY) == "é😀\udc80"
    assert redact(text, [], PLENTY) == text


@pytest.mark.parametrize("pattern", [HOSTILE, "(", r"(?P<n>(a|aa)+)$"])
def test_a_text_that_cannot_be_redacted_is_withheld(pattern: str) -> None:
    assert redact(FODDER, [pattern], 0.3) is None


def _children() -> set[str]:
    lists = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {pid for path in lists for pid in path.read_text().split()}


@needs_proc
def test_no_child_survives_a_hostile_pattern() -> None:
    before = _children()
    redact(FODDER, [HOSTILE], 0.1)
    assert _children() <= before


def test_a_text_is_withheld_when_no_process_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert redact("text", ["x"], PLENTY) is None


def test_the_last_match_of_each_group_wins(scan: Scan) -> None:
    search = scan(r"copied (?P<files>\d+) of (?P<all>\d+)?", r"took (?P<took>[\d.]+)s")
    search.feed(b"copied 1 of 9\ncopied 2 of 9, copied 3 of \n")
    search.feed(b"took 1.5s\n", 2)
    assert search.finish(PLENTY) == ({"files": 3, "all": 9, "took": 1.5}, [])


def test_lines_are_searched_as_a_person_saw_them(scan: Scan) -> None:
    search = scan(r"^rows (?P<rows>\d+)$", r"^bar (?P<bar>\d+)%$")
    search.feed(b"\x1b[1mro\x1b[0mws 12\0\r\nbar 10%\rbar 55%\r")
    assert search.finish(PLENTY) == ({"rows": 12, "bar": 55}, [])


def test_the_streams_do_not_tear_each_others_lines(scan: Scan) -> None:
    search = scan(r"^rows=(?P<rows>\d+)$", r"^errors=(?P<errors>\d+)$")
    for out, err in zip(b"rows=123\n", b"errors=4\n", strict=True):
        search.feed(bytes([out]), 1)
        search.feed(bytes([err]), 2)
    assert search.finish(PLENTY) == ({"rows": 123, "errors": 4}, [])


def test_a_last_line_without_a_newline_counts(scan: Scan) -> None:
    search = scan(r"(?P<n>\d+)$")
    search.feed(b"1\n2\nend 3")
    assert search.finish(PLENTY) == ({"n": 3}, [])


def test_no_output_is_no_warning(scan: Scan) -> None:
    assert scan(r"(?P<n>\d+)").finish(PLENTY) == ({}, [])


def test_what_is_no_number_is_named_once(scan: Scan) -> None:
    search = scan(r"n=(?P<n>\S+)")
    search.feed(b"n=7\n" + b"n=1,523\n" * 1000 + b"n=many\n")
    numbers, warnings = search.finish(PLENTY)
    assert numbers == {"n": 7}
    assert warnings == ["--meta-regex: n: not a number: '1,523'"]


def test_of_an_endless_line_the_beginning_is_searched(scan: Scan) -> None:
    search = scan(r"^n=(?P<n>\d+)", r"end=(?P<end>\d+)")
    search.feed(b"n=1 " + b"x" * 300_000)
    search.feed(b"x" * 300_000 + b"end=2\nn=3")
    assert search.finish(PLENTY) == ({"n": 3}, [])


def test_feeding_never_waits_for_a_hostile_pattern_and_what_was_found_before_stays(
    scan: Scan,
) -> None:
    search = scan(HOSTILE, r"^n=(?P<n>\d+)$")
    search.feed(b"n=1\n")
    while not search._found:  # the first line is searched
        select.select([search._out], [], [], PLENTY)
        search.pump()
    search.feed(FODDER.encode() + b"\nn=2\n")
    for _ in range(20):
        search.feed(b"x" * 1024 * 1024)  # returns, though nobody reads
    assert search.waiting
    numbers, warnings = search.finish(0.1)
    assert numbers == {"n": 1}
    assert len(warnings) == 2
    assert "not searched to its end" in warnings[0]
    assert "11,534,336 bytes" in warnings[1]  # 20 MiB less 8 waiting and 1 on its way


def test_a_line_torn_by_dropped_output_makes_no_false_number(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crontify_cli.report.patterns._BUFFERED", 1000)
    search = scan(r"^n=(?P<n>\d+)$", r"^m=(?P<m>\d+)$", r"^(?P<rest>\d+)$")
    os.kill(search._child.pid, signal.SIGSTOP)
    search.feed(b"n=1")
    search.feed(b"fill the pipe\n" * 100_000, 2)
    search.feed(b"x" * 1001)  # dropped
    search.feed(b"2\nm=6\n")
    os.kill(search._child.pid, signal.SIGCONT)
    numbers, warnings = search.finish(PLENTY)
    assert numbers == {"m": 6}
    assert "1,001 bytes of output were not searched" in warnings[0]


def test_a_search_whose_process_died_is_a_warning(scan: Scan) -> None:
    search = scan(r"(?P<n>\d+)")
    os.kill(search._child.pid, signal.SIGKILL)
    for _ in range(100):
        search.feed(b"1\n" * 10_000)
    numbers, warnings = search.finish(PLENTY)
    assert numbers == {}
    assert warnings == ["--meta-regex: the output was not searched to its end: it took too long"]


def test_the_search_stands_apart_from_the_job(scan: Scan) -> None:
    """No signal to the job's or the terminal's group reaches it, nor does it hold our files."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    search = scan(r"(?P<n>\d+)")
    pid = search._child.pid
    os.close(writing)
    assert os.getsid(pid) == pid
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        search.feed(b"1\n")
        while not search._found:
            search.pump()
        os.kill(pid, number)
    select.select([reading], [], [], PLENTY)
    assert os.read(reading, 1) == b"", "the child holds a file of ours"
    assert search.finish(PLENTY) == ({"n": 1}, [])
    os.close(reading)


@needs_proc
def test_the_search_ends_when_its_parent_is_killed() -> None:
    code = (
        "import time; from crontify_cli.report.patterns import MetaScan;"
        r"s = MetaScan([r'(?P<n>\d+)']); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        child = child_of(parent.pid)
        parent.kill()
    end = time.monotonic() + PLENTY
    while alive(child) and time.monotonic() < end:
        time.sleep(0.01)
    assert not alive(child)


def test_it_works_where_others_reap_our_children(scan: Scan) -> None:
    """As PID 1 does in a container: waiting for the child then finds none."""
    search = scan(r"(?P<n>\d+)")
    search.feed(b"7\n")
    old = signal.signal(signal.SIGCHLD, lambda *_: os.waitpid(-1, os.WNOHANG))
    try:
        assert search.finish(PLENTY) == ({"n": 7}, [])
        assert redact("a7", [r"\d"], PLENTY) == "a[masked]"
    finally:
        signal.signal(signal.SIGCHLD, old)


def test_it_works_with_the_standard_streams_closed() -> None:
    code = (
        "import os; [os.close(n) for n in (0, 1, 2)];"
        "from crontify_cli.report.patterns import MetaScan, redact;"
        r"s = MetaScan([r'(?P<n>\d+)']); s.feed(b'7\n'); found = s.finish(60);"
        "os._exit(0 if redact('a', ['a'], 60) == '[masked]' and found == ({'n': 7}, []) else 1)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
