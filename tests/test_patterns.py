"""A user's regular expressions run where they hold up nothing."""

import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from itertools import count

import pytest

from crontify_cli.report import patterns
from crontify_cli.report.patterns import MetaScan, redact
from crontify_cli.values import parse_meta_regex, parse_regex
from tests.waiting import until

HOSTILE = r"^(a|aa)+$"
FODDER = "a" * 60 + "b"
GIVEN_UP = f"the pattern {HOSTILE!r} took over 1 s on a line: later lines were not searched"
BOMBS = [HOSTILE, r"(?P<n>(a|aa)+)$", r"([a-z]|\w)+\d", r"(?:a{1,1000}){1,1000}$"]
PLENTY = 60.0
"""Seconds that no test needs; they only keep a broken one from hanging."""

Scan = Callable[..., MetaScan]


@pytest.fixture
def scan() -> Scan:
    return lambda *texts: MetaScan(texts)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a hostile pattern go on for as long as a test looks at it."""
    monkeypatch.setattr(patterns, "_LINE_SECONDS", 5.0)


def is_taken(search: MetaScan) -> bool:
    """Say whether the search has taken everything that it was fed."""
    with search._changed:
        return not search._queue


def numbers(search: MetaScan) -> dict[str, int | float]:
    with search._changed:
        return dict(search._numbers)


def test_everything_that_a_pattern_matches_is_masked() -> None:
    text = "id 4711\nuser bob\nbob and 12\n"
    assert (
        redact(text, [r"\d+", "^bob"], PLENTY) == "id [masked]\nuser bob\n[masked] and [masked]\n"
    )
    assert redact("é😀\udc80", ["x*"], PLENTY) == "é😀\udc80"
    assert redact(text, [], PLENTY) == text


@pytest.mark.parametrize("pattern", [*BOMBS, "("])
def test_a_text_that_cannot_be_redacted_is_withheld(pattern: str) -> None:
    assert redact(FODDER, ["c", pattern], 0.3) is None


def test_a_text_is_withheld_although_the_search_knows_of_no_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine counts CPU time: on a busy machine its limit comes long after ours."""
    gate = threading.Event()
    monkeypatch.setattr(patterns, "_replace", lambda *_: gate.wait(PLENTY) and "late")
    assert redact("text", ["x"], 0.1) is None
    gate.set()


@pytest.mark.parametrize("pattern", BOMBS)
def test_other_threads_go_on_while_a_pattern_backtracks(pattern: str) -> None:
    """A thread counts during the search: without the interpreter lock it would stand still."""
    is_over, turns = threading.Event(), count()

    def work() -> None:
        redact(FODDER, [pattern], 1.0)
        is_over.set()

    threading.Thread(target=work).start()
    while not is_over.wait(0.001):
        next(turns)
    assert next(turns) > 10


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_nested_quantifiers_are_accepted(depth: int) -> None:
    pattern = "(?:" * depth + "a" + "{1,1000})" * depth
    assert parse_regex(pattern) == pattern
    assert redact("b" + "a" * 900, [pattern], PLENTY) == "b[masked]"


def test_no_thread_stays_after_a_hostile_pattern() -> None:
    before = threading.active_count()
    redact(FODDER, [HOSTILE], 0.1)
    until(lambda: threading.active_count() <= before, "the search has ended")


def test_a_program_ends_although_a_pattern_does_not() -> None:
    code = textwrap.dedent(f"""
        import threading
        from crontify_cli.report import patterns
        patterns._LINE_SECONDS = 10**6
        search = patterns.MetaScan([{HOSTILE!r}])
        search.feed({FODDER!r}.encode() + b"\\n")
        assert search.finish(0.1)[0] == {{}}
        assert threading.active_count() == 2
    """)
    assert subprocess.run([sys.executable, "-c", code], timeout=PLENTY, check=False).returncode == 0


def test_without_threads_texts_are_withheld_and_nothing_is_searched() -> None:
    """An address space that has no room for another stack."""
    code = textwrap.dedent("""
        import resource
        from crontify_cli.report.patterns import MetaScan, redact
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**20, used + 2**20))
        assert redact("text", ["x"], 60) is None
        try:
            MetaScan(["(?P<n>x)"])
        except RuntimeError as error:
            print(error)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "can't start new thread\n", "")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "missing )"),
        ("[[:nope:]]", "unknown property"),
        ("x{i", "expected }"),
        ("(" * 5000 + ")" * 5000, "recursion"),
    ],
)
def test_what_is_no_pattern_is_named_with_the_reason(pattern: str, why: str) -> None:
    with pytest.raises(
        ValueError, match=f"invalid regular expression .*{re.escape(why)}"
    ) as caught:
        parse_regex(pattern)
    assert pattern[:60] in str(caught.value)


@pytest.mark.parametrize("pattern", [r"\p{Lu}+", r"(?<=a+)b", r"(?<n>x)|(?<n>y)", r"(?V1)[\w--a]"])
def test_what_only_the_regex_package_knows_is_a_pattern(pattern: str) -> None:
    assert parse_regex(pattern) == pattern


def test_a_group_may_have_the_same_name_twice(scan: Scan) -> None:
    pattern = r"rows (?<n>\d+)|n=(?<n>\d+)"
    search = scan(parse_meta_regex(pattern))
    search.feed(b"rows 1\nn=2\nrows x\n")
    assert search.finish(PLENTY) == ({"n": 2}, [])


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


def test_a_line_of_100_mb_is_taken_without_being_kept(scan: Scan) -> None:
    search = scan(HOSTILE, r"^a+(?P<n>\d+)", r"^m=(?P<m>\d+)")
    piece = b"a" * 1024 * 1024
    search.feed(b"a" * 1000 + b"7")
    for _ in range(100):
        search.feed(piece)
        until(lambda: is_taken(search), "the piece is searched")
    search.feed(b"\nm=1\n")
    found, warnings = search.finish(PLENTY)
    assert found == {"n": 7, "m": 1}
    assert warnings in ([], [f"--meta-regex: {GIVEN_UP}"])  # as the engine likes the line


def test_feeding_never_waits_for_a_hostile_pattern_and_what_was_found_before_stays(
    scan: Scan, patient: None
) -> None:
    search = scan(HOSTILE, r"^n=(?P<n>\d+)$")
    search.feed(b"n=1\n")
    until(lambda: numbers(search) == {"n": 1}, "the first line is searched")
    search.feed(FODDER.encode() + b"\nn=2\n")
    until(lambda: is_taken(search), "the hostile line is searched")
    for _ in range(20):
        search.feed(b"x" * 1024 * 1024)  # returns, though nobody takes it
    found, warnings = search.finish(0.1)
    assert found == {"n": 1}
    assert len(warnings) == 2
    assert "not searched to its end" in warnings[0]
    assert "12,582,912 bytes" in warnings[1]  # 20 MiB less 8 waiting


def test_a_pattern_that_timed_out_is_given_up_and_the_others_go_on(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "_LINE_SECONDS", 0.2)
    search = scan(HOSTILE, r"^n=(?P<n>\d+)$")
    search.feed(FODDER.encode() + b"\nn=1\n" + 1000 * (FODDER.encode() + b"\n") + b"n=2\n")
    assert search.finish(PLENTY) == (
        {"n": 2},
        [f"--meta-regex: {GIVEN_UP.replace('1 s', '0.2 s')}"],
    )


def test_a_line_torn_by_dropped_output_makes_no_false_number(
    scan: Scan, monkeypatch: pytest.MonkeyPatch, patient: None
) -> None:
    monkeypatch.setattr(patterns, "_BUFFERED", 1000)
    search = scan(r"^n=(?P<n>\d+)$", r"^m=(?P<m>\d+)$", r"^(?P<rest>\d+)$", r"^k=(?P<k>\d+)$")
    search.feed(b"n=1")
    search.feed(b"k=1", 2)
    until(lambda: is_taken(search), "the beginnings of lines are taken")
    with search._changed:  # nothing is taken from here on
        search.feed(b"x" * 600)
        search.feed(b"2", 2)
        search.feed(b"x" * 1000)  # drops both
        search.feed(b"2\nm=6\n")  # drops that, too
    found, warnings = search.finish(PLENTY)
    assert found == {"m": 6}
    assert "bytes of output were not searched" in warnings[0]


def test_it_works_with_the_standard_streams_closed() -> None:
    code = (
        "import os; [os.close(n) for n in (0, 1, 2)];"
        "from crontify_cli.report.patterns import MetaScan, redact;"
        r"s = MetaScan([r'(?P<n>\d+)']); s.feed(b'7\n'); found = s.finish(60);"
        "os._exit(0 if redact('a', ['a'], 60) == '[masked]' and found == ({'n': 7}, []) else 1)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
