"""Which pings are worth a slot of the plan: the decisions, without a clock."""

import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crontify_cli.delivery.journal import RunSummary
from crontify_cli.delivery.pace import (
    PROBE_EVERY,
    UNKNOWN,
    Habits,
    Limit,
    accepted,
    habits,
    hold,
    patience,
    refused,
    start_due,
)

NOW = 1_000_000.0
MINUTE = Limit(60.0, NOW - 3600, NOW - 3600)
"""A plan of one ping a minute, whose last ping was long ago."""

SECONDS = st.floats(0, 1e6)
HABITS = st.builds(Habits, st.none() | SECONDS, st.none() | SECONDS, st.none() | SECONDS)
KINDS = st.sampled_from(["success", "fail"])


@given(HABITS, SECONDS, st.none() | SECONDS)
def test_without_a_known_limit_each_start_is_sent_at_once(
    usual: Habits, age: float, since: float | None
) -> None:
    limit = Limit(None, None if since is None else NOW - since)
    assert start_due(limit, usual, NOW - age, NOW) == NOW - age
    assert hold("success", limit, math.inf, NOW) == hold("fail", limit, math.inf, NOW) == 0


@pytest.mark.parametrize(
    ("usual", "due"),
    [
        (Habits(60, 90, 120), 0),  # a slot for the start, one for the end
        (Habits(59, 90, 120), 180),  # some ends would have to wait
        (Habits(60, 90, 119), 180),  # the next start would have none
        (Habits(0, 0, 60), 60),
        (Habits(20, 40, 300), 80),
        (Habits(), 60),
    ],
)
def test_a_start_is_sent_where_it_does_no_harm_or_when_the_job_seems_to_hang(
    usual: Habits, due: float
) -> None:
    assert start_due(MINUTE, usual, NOW, NOW) == NOW + due


def test_a_start_waits_for_its_slot_only_if_that_leaves_one_for_the_end() -> None:
    limit = MINUTE._replace(accepted_at=NOW - 40)  # the next slot is in 20 s
    assert start_due(limit, Habits(80, 90, 300), NOW, NOW) == NOW + 20
    assert start_due(limit, Habits(79, 90, 300), NOW, NOW) == NOW + 180


def test_the_limit_is_put_to_the_test_once_a_day() -> None:
    short = Habits(0, 0, 60)
    for age, due in ((PROBE_EVERY - 1, 60), (PROBE_EVERY, 0), (-10, 0)):
        limit = MINUTE._replace(learned_at=NOW - age)
        assert start_due(limit, short, NOW, NOW) == NOW + due


@pytest.mark.parametrize(
    ("since", "days", "is_due"),
    [(7200, 1, False), (7200, 7, True), (1800, 1, True), (1800, 0.9, False)],
)
def test_a_long_limit_is_put_to_the_test_daily_only_where_that_costs_no_end(
    since: float, days: float, is_due: bool
) -> None:
    """A start that is refused costs nothing; one that is accepted takes the slot for an hour."""
    hourly = Limit(3600.0, NOW - since, NOW - days * 86400)
    assert (start_due(hourly, Habits(10, 10, 7200), NOW, NOW) == NOW) == is_due


@pytest.mark.parametrize(
    ("told", "since", "interval"),
    [
        (60, 0.3, 60),
        (55, 5.7, 60),  # what is told is rounded up
        (1, 59.02, 60),
        (30, None, 30),  # at least
        (None, 5, 60),  # the free plan's
        (3600, 0.01, 3600),
        (2, 4.0, 6),
        (7, -5, 7),  # the clock was set back
        (40, 90_000, 40),  # somebody else has pinged the monitor since
    ],
)
def test_a_429_teaches_the_limit(told: float | None, since: float | None, interval: float) -> None:
    known = UNKNOWN if since is None else accepted(UNKNOWN, NOW - since)
    assert refused(known, told, NOW) == known._replace(interval=interval, learned_at=NOW)


@pytest.mark.parametrize(
    ("gap", "is_forgotten"), [(10, True), (52, True), (54, False), (60, False), (-5, False)]
)
def test_a_limit_is_forgotten_when_pings_closer_together_are_accepted(
    gap: float, is_forgotten: bool
) -> None:
    after = accepted(MINUTE._replace(accepted_at=NOW - gap), NOW)
    assert after.accepted_at == NOW
    assert after.interval == (None if is_forgotten else 60)


@pytest.mark.parametrize(
    ("kind", "period", "elapsed", "seconds"),
    [
        ("fail", None, 10, math.inf),
        ("fail", 3600, 10, 3590),  # until the next run sends it
        ("fail", 60, 30, 30),
        ("fail", 60, 90, math.inf),  # the next run has begun, and does not send it
        ("success", 3600, 10, 3590),
        ("success", 60, 30, 3),  # the next success would have to wait as well
        ("success", 100, 30, 40),  # what the period leaves
        ("success", 60, 58, 3),  # the next run does not send it
    ],
)
def test_a_report_waits_until_the_next_run_and_a_success_gives_way(
    kind: Literal["success", "fail"], period: float | None, elapsed: float, seconds: float
) -> None:
    usual = Habits(0, 0, period)
    assert patience(kind, MINUTE, usual, NOW - elapsed, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(("shortest", "longest", "seconds"), [(20, 40, 23), (10, 100, 30)])
def test_a_success_waits_as_long_as_durations_differ_at_most_for_half_of_the_limit(
    shortest: float, longest: float, seconds: float
) -> None:
    usual = Habits(shortest, longest, 60)
    assert patience("success", MINUTE, usual, NOW - 30, NOW) == seconds


@given(KINDS, HABITS, SECONDS, SECONDS)
def test_a_report_is_held_only_as_long_as_it_may_wait_and_its_slot_is_closed(
    kind: Literal["success", "fail"], usual: Habits, elapsed: float, since: float
) -> None:
    limit = Limit(60.0, NOW - since, NOW)
    most = patience(kind, limit, usual, NOW - elapsed, NOW)
    held = hold(kind, limit, most, NOW)
    assert 0 <= held <= max(most, 0)
    assert held == 0 or held == pytest.approx(60 - since)
    if kind == "fail":
        assert held <= 10


def test_habits_are_those_of_the_runs_that_ran() -> None:
    ended = [RunSummary("m", "success", NOW + 60 * at, float(at)) for at in range(10)]
    others = [
        RunSummary("m", "skipped", NOW + 30, 0.0),
        RunSummary("m", None, NOW + 600, None),
        RunSummary("m", "lost", NOW + 660, None),
    ]
    assert habits([*reversed(others), *reversed(ended)]) == Habits(0, 8, 60)
    assert habits([]) == Habits()
    assert habits(others[1:2]) == Habits()
