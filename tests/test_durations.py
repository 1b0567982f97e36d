"""The grammar of durations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crontify_cli.values import LONGEST, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("2d", 172800),
        ("0.5", 0.5),
        ("1m0.5s", 60.5),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "-1",
        "1x",
        "5m1h",
        "1m1m",
        "1h ",
        " 1",
        "1.",
        ".5",
        "nan",
        "inf",
        "1e3",
        "٣",
        "1_0",
        "1h5",
    ],
)
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["10000d", "864000000", "9999d24h"])
def test_the_longest_duration_is_taken(text: str) -> None:
    assert parse_duration(text) == LONGEST


@pytest.mark.parametrize(
    "text", ["10001d", "9223372037", "999999999999999", "10000d1s", "9" * 15 + "d"]
)
def test_what_would_overflow_a_timer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the longest is 10000d"):
        parse_duration(text)


@given(st.integers(0, 10**8))
def test_a_written_duration_reads_back_as_itself(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds
