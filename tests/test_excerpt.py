"""What of a job's output reaches `logOutput`: readable, whole characters, within the limit."""

import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crontify_cli.report.excerpt import clean, cut, excerpt, units

MARKER = re.compile(r"\[… ([\d,]+) bytes omitted …\]")

PIECES = (
    *(b"\x1b[31m", b"\x1b", b"\x1b]0;t\x07", b"\x1bP", b"\x1b\\", b"\r", b"\n", b"\b", b"\0"),
    *(b"\xf0\x9f\x98\x80", b"\xf0\x9f", b"\xed\xa0\x80", b"\xff", b"word ", "é".encode()),
)
OUTPUT = st.binary(max_size=400) | st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join)


def as_it_is(text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("printed", "seen"),
    [
        (b"plain\n\ttext\n", "plain\n\ttext\n"),
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\ \x1b]0;title\x07end", "link end"),
        (b"\x1bPq#0;2;0;0;0\nsixel\x1b\\after", "after"),
        (b"\x1b(B\x1b=\x1bM\x1b7ok", "ok"),
        (b"\x1b]0;never ended\nnext line", "0;never ended\nnext line"),
        (b"\x1b[31", ""),
        (b"\x1b[\nx", "\nx"),
        (b" 10%\r 50%\r100%\n", "100%\n"),
        (b"100%\r\x1b[K\r\n", "100%\n"),
        (b"dos\r\nlines\r\n", "dos\nlines\n"),
        (b"half\r", "half"),
        (b"-\b\\\b|\b/", "/"),
        (b"N\bNA\bAM\bME\bE", "NAME"),
        (b"ab\b\b\b\bc\n\bd", "c\nd"),
        (b"nul\0 bell\x07 del\x7f feed\x0c", "nul bell del feed"),
        (b"\xff\xfe bad \xed\xa0\x80", "\ufffd\ufffd bad \ufffd\ufffd\ufffd"),
        ("“said”\x9d \x85".encode(), "“said” "),
        ("😀".encode(), "😀"),
    ],
)
def test_output_reads_as_it_stood_on_the_terminal(printed: bytes, seen: str) -> None:
    assert clean(printed) == seen


@given(OUTPUT)
@settings(max_examples=300)
def test_cleaned_text_is_json_without_control_characters(printed: bytes) -> None:
    text = clean(printed)
    text.encode()  # no lone surrogates
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    assert json.loads(json.dumps(text)) == text


@pytest.mark.parametrize(
    "unit",
    [*PIECES, b"\x1b[", b"\x1b]", b"\x1b]a", b"a\b", b"a\r", b"x", b"\x1b[ ", b"\r\n", b"\x80"],
)
def test_a_mebibyte_of_anything_takes_steps_in_proportion(unit: bytes) -> None:
    """No clock: what is quadratic would take hours for this, and the test run with it."""
    data = unit * (2**20 // len(unit))
    assert units(excerpt(data[:65536], 0, data[65536:], as_it_is)) <= 10_000
    assert units(excerpt(data[:65536], 9**9, data[65536:], as_it_is)) <= 10_000


def test_a_fitting_log_is_whole_and_one_unit_more_is_not() -> None:
    assert excerpt(b"x" * 10_000, 0, b"", as_it_is) == "x" * 10_000
    assert excerpt(b"x" * 4_000, 0, b"x" * 6_000, as_it_is) == "x" * 10_000
    longer = excerpt(b"x" * 10_001, 0, b"", as_it_is)
    assert MARKER.search(longer)
    assert units(longer) <= 10_000


def test_a_fitting_log_of_emoji_is_counted_as_the_server_counts() -> None:
    assert excerpt("😀".encode() * 5_000, 0, b"", as_it_is) == "😀" * 5_000
    longer = excerpt("😀".encode() * 5_001, 0, b"", as_it_is)
    assert MARKER.search(longer)
    assert set(MARKER.sub("", longer)) == {"😀", "\n"}
    assert 9_990 <= units(longer) <= 10_000


def test_the_end_with_the_traceback_stays_and_the_beginning_too() -> None:
    lines = b"".join(b"line %d of the job\n" % n for n in range(50_000))
    end = b'Traceback (most recent call last):\n  File "job.py", line 3\nValueError: bad row 17\n'
    text = excerpt(lines, 0, end, as_it_is)
    assert text.startswith("line 0 of the job\nline 1 of")
    assert text.endswith(end.decode())
    head, marker, tail = text.partition("[…")
    assert marker
    assert 1_800 < len(head) < 2_100
    assert len(tail) > 7_500
    kept = [line for line in text.split("\n") if not MARKER.fullmatch(line)]
    assert set(kept) <= set((lines + end).decode().split("\n")), "a torn line"


def test_the_marker_counts_every_omitted_byte() -> None:
    text = excerpt("é".encode() * 30_000, 0, b"", as_it_is)
    found = MARKER.search(text)
    assert found
    shown = len(text.replace(found[0], "").replace("\n", "").encode())
    assert int(found[1].replace(",", "")) == 60_000 - shown


def test_bytes_missing_from_the_recording_are_counted_and_marked_even_if_the_rest_fits() -> None:
    text = excerpt(b"begin\n", 123_456, b"end\n", as_it_is)
    assert text == "begin\n[… 123,456 bytes omitted …]\nend\n"


def test_a_short_tail_leaves_its_room_to_the_head() -> None:
    text = excerpt(b"head\n" * 5_000, 10, b"the end", as_it_is)
    assert 9_900 < units(text) <= 10_000
    assert text.endswith("the end")


def test_a_secret_across_the_cut_leaves_no_half() -> None:
    secret = "hunter2-hunter2-hunter2"
    for shift in range(1_950, 2_050):
        data = b"x" * shift + secret.encode() + b"y" * 20_000
        text = excerpt(data, 0, b"", lambda text: text.replace(secret, "[masked]"))
        assert "hunter2" not in text


def test_a_secret_torn_by_the_gap_in_the_recording_leaves_no_half() -> None:
    secret, dots = b"hunter2-hunter2-hunter2", b"." * 200

    def mask(text: str) -> str:
        return text.replace(secret.decode(), "[masked]")

    for at in range(1, len(secret)):
        head = b"\x1b[0m\r" * 15_000 + dots + secret[:at]  # cleans to little: the gap shows
        tail = secret[at:] + dots + b"\x1b[0m\r" * 15_000 + b"end"
        assert "unter2" not in excerpt(head, 1, tail, mask)
        assert "unter2" not in excerpt(head, 1, secret[at:] + b" said\n" + dots * 200, mask)


def test_a_secret_with_colours_inside_is_masked() -> None:
    text = excerpt(
        b"hunt\x1b[1mer2\0-x\n", 0, b"", lambda text: text.replace("hunter2-x", "[masked]")
    )
    assert text == "[masked]\n"


def test_a_character_torn_by_the_gap_is_counted_not_shown() -> None:
    emoji = "😀".encode()
    for at in (1, 2, 3):
        text = excerpt(b"a" * 8 + emoji[:at], 100, emoji[at:] + b"b" * 8, as_it_is)
        assert text == "a" * 8 + "\n[… 104 bytes omitted …]\n" + "b" * 8


@given(st.text(max_size=60), st.integers(0, 80), st.integers(0, 99), st.text(max_size=60))
@example("x" * 60, 40, 1, "")
@settings(max_examples=300)
def test_an_excerpt_never_exceeds_its_limit_nor_splits_a_character(
    head: str, limit: int, dropped: int, tail: str
) -> None:
    data = (head.encode("utf-8", "replace"), dropped, tail.encode("utf-8", "replace"))
    text = excerpt(*data, as_it_is, limit)
    assert units(text) <= limit
    text.encode()
    if limit >= 40:
        fits = units(clean(data[0] + data[2])) <= limit
        assert bool(MARKER.search(text)) == (bool(dropped) or not fits)


@given(st.text(max_size=40), st.integers(0, 50))
def test_a_cut_is_the_longest_beginning_that_fits(text: str, limit: int) -> None:
    kept = cut(text, limit)
    assert text.startswith(kept)
    assert units(kept) <= limit
    assert kept == text or units(text[: len(kept) + 1]) > limit
