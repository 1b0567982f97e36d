"""What follows an answer, held against CONTRACT.md, "Answers", row by row."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crontify_cli.delivery.policy import (
    LONGEST_PAUSE,
    UNLIMITED,
    UNSENT_PATIENCE,
    Decision,
    Remaining,
    decide,
)
from crontify_cli.model import Answer, Ping, PingKind

KINDS = get_args(PingKind)

ANSWERS = st.builds(
    Answer,
    fate=st.sampled_from(["received", "refused", "unsent", "unknown"]),
    status=st.sampled_from([200, 201, 302, 400, 401, 404, 408, 409, 425, 429, 500, 503, 599]),
    message=st.just("because"),
    retry_after=st.none() | st.floats(0, 86_400),
)
PINGS = st.builds(Ping, st.just("backup"), st.sampled_from(KINDS))
SECONDS = st.floats(0, 1000) | st.just(float("inf"))
REMAINING = st.builds(Remaining, SECONDS, SECONDS, SECONDS)
CHANCE = st.floats(0, 1)


def after(
    kind: PingKind, answer: Answer, attempts: int = 1, left: Remaining = UNLIMITED
) -> Decision:
    return decide(Ping("backup", kind), attempts, answer, left, jitter=lambda: 1.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_2xx_is_received(kind: PingKind, status: int) -> None:
    assert after(kind, Answer("received", status)).verdict == "delivered"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, ["api_key", "CRONTIFY_API_KEY", "--api-key-file", "Missing or invalid"]),
        (404, ["'backup'", "Missing or invalid", "key"]),
        (400, ["'backup'", "400", "Missing or invalid"]),
        (403, ["Missing or invalid"]),
        (409, ["Missing or invalid"]),
        (413, ["Missing or invalid"]),
        (422, ["Missing or invalid"]),
        (302, ["base_url", "Missing or invalid"]),
        (308, ["base_url", "Missing or invalid"]),
    ],
)
def test_what_the_server_will_never_take_is_given_up_with_a_word_what_to_mend(
    kind: PingKind, status: int, said: list[str]
) -> None:
    what = after(kind, Answer("refused", status, message="Missing or invalid", retry_after=3))
    assert what.verdict == "give_up"
    assert all(word in what.message for word in said)
    assert "\n" not in what.message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [408, 425, 429])
@pytest.mark.parametrize(("told", "waits"), [(2.0, 2.0), (42.0, 42.0), (0.0, 1.0), (None, 60.0)])
def test_a_server_that_asks_to_wait_is_given_that_long(
    kind: PingKind, status: int, told: float | None, waits: float
) -> None:
    what = after(kind, Answer("refused", status, message="slow", retry_after=told))
    assert what.verdict == "retry"
    assert what.waits_for_rate_limit
    assert waits <= what.pause <= waits + 0.5
    assert "slow" in what.message


@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_limit_longer_than_its_own_budget_leaves_the_report_queued(kind: PingKind) -> None:
    answer = Answer("refused", 429, retry_after=120)
    what = after(kind, answer, left=Remaining(rate_limit=90))
    assert (what.verdict, what.waits_for_rate_limit) == ("keep", True)
    assert what.pause >= 120, "when it is due again"
    assert after(kind, answer, left=Remaining(report=1, rate_limit=121)).verdict == "retry"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "answer",
    [Answer("refused", status, message="oops") for status in (500, 502, 503, 504, 599)]
    + [Answer("unsent", message=why) for why in ("connection refused", "DNS", "TLS")],
)
def test_what_did_not_arrive_is_sent_again(kind: PingKind, answer: Answer) -> None:
    what = after(kind, answer)
    assert what.verdict == "retry"
    assert answer.message in what.message


def test_a_start_that_may_have_arrived_is_never_sent_again() -> None:
    what = after("start", Answer("unknown", message="no answer within 10s"))
    assert what.verdict == "drop"
    assert "no answer" in what.message


@pytest.mark.parametrize("kind", ["success", "fail"])
def test_an_end_that_may_have_arrived_is_sent_again(kind: PingKind) -> None:
    assert after(kind, Answer("unknown", message="reset")).verdict == "retry"


def test_pauses_double_up_to_a_bound() -> None:
    pauses = [after("fail", Answer("refused", 500), attempts).pause for attempts in range(1, 9)]
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 8, 8]
    assert after("fail", Answer("refused", 500), 10**6).pause == 8


@pytest.mark.parametrize("status", [408, 425, 429])
def test_what_the_server_tells_is_a_minimum_and_our_own_pauses_still_grow(status: int) -> None:
    """`Retry-After: 0` is no permission to ask three times a second."""
    answer = Answer("refused", status, retry_after=0.0)
    pauses = [round(after("fail", answer, attempts).pause - 0.5) for attempts in range(1, 9)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_5xx_that_says_how_long_is_given_that_long() -> None:
    what = after("fail", Answer("refused", 503, retry_after=12))
    assert (what.pause, what.waits_for_rate_limit) == (12, False)


@given(st.lists(CHANCE, min_size=60, max_size=60))
def test_a_server_out_of_reach_costs_at_most_its_budget(chances: list[float]) -> None:
    spent, attempts, chance = 0.0, 0, iter(chances)
    while True:
        attempts += 1
        left = Remaining(report=20 - spent, unsent=UNSENT_PATIENCE - spent)
        what = decide(
            Ping("m", "fail"), attempts, Answer("unsent"), left, jitter=lambda: next(chance, 1)
        )
        if what.verdict == "keep":
            break
        spent += what.pause
    assert spent <= 3.000001


def test_a_server_that_answers_has_the_whole_budget() -> None:
    left = Remaining(report=20, unsent=0)
    assert after("fail", Answer("refused", 500), left=left).verdict == "retry"
    assert after("fail", Answer("unknown"), left=left).verdict == "retry"
    assert after("fail", Answer("unsent"), left=left).verdict == "keep"


@given(PINGS, st.integers(1, 10_000), ANSWERS, REMAINING, CHANCE)
def test_for_any_answer(
    ping: Ping, attempts: int, answer: Answer, left: Remaining, chance: float
) -> None:
    what = decide(ping, attempts, answer, left, jitter=lambda: chance)
    assert what.pause >= 0
    if answer.retry_after is None and not what.waits_for_rate_limit:
        assert what.pause <= LONGEST_PAUSE
    if ping.kind == "start" and answer.fate == "unknown":
        assert what.verdict == "drop"
    if what.verdict in ("retry", "keep"):
        assert what.pause >= (answer.retry_after or 0)
    if what.verdict == "retry":
        assert what.pause <= (left.rate_limit if what.waits_for_rate_limit else left.report)
    if what.verdict == "drop":
        assert ping.kind == "start"
    assert (what.verdict == "delivered") == (answer.fate == "received")
    assert bool(what.message) == (answer.fate != "received")
