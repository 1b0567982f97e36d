"""The soak's comparison finds what is wrong, and accepts what the delivery rules allow."""

from itertools import pairwise

import pytest

from tests.soak.judge import Faults, Known, Ran, Row, Shown, judge
from tests.soak.monitors import Monitor
from tests.soak.plan import Window, plan

MONITOR = Monitor("m", "success")
RAN = [Ran("a", 10, 100.0, 0, 101.0), Ran("b", 11, 160.0, 3, 161.0)]
ROWS = [
    Row("a", "ra", "success", 0, "delivered", None, 101.0),
    Row("b", "rb", "failed", 3, "delivered", None, 161.0),
]
FIRST = Shown("ra", "success", 100.0, 101.0, {"exit_code": 0, "output_bytes": 10}, None)
SECOND = Shown("rb", "failed", 160.0, 161.0, {"exit_code": 3, "output_bytes": 11}, "broken")
GOOD = Known(MONITOR, RAN, ROWS, [FIRST, SECOND])
FROZEN = Faults([Window("frozen", 155.0, 165.0)], {})
KILLED = Faults([], {"b": ("wrapper", 160.5)})
NONE = Faults([], {})
SUPERSEDED = [ROWS[0]._replace(report="superseded"), ROWS[1]]
OVERLAPPED = FIRST._replace(status="overlapped", ended=160.0, meta={})


def problems(known: Known, faults: Faults = NONE) -> list[str]:
    return [words.split(": ")[1] for words in judge(known, faults)[1]]


def test_what_the_rules_allow_is_accepted() -> None:
    assert problems(GOOD) == []
    assert problems(GOOD._replace(server=[SECOND], journal=SUPERSEDED)) == []
    assert problems(GOOD._replace(server=[FIRST, SECOND, SECOND]), FROZEN) == []
    together = [RAN[0]._replace(ended=170.0), RAN[1]]
    assert problems(GOOD._replace(ledger=together, server=[OVERLAPPED, FIRST, SECOND])) == []
    late = OVERLAPPED._replace(begun=168.0, ended=168.1)  # both starts waited for the server
    both = [RAN[0]._replace(ended=170.0), RAN[1]._replace(ended=175.0)]
    assert problems(GOOD._replace(ledger=both, server=[late, FIRST, SECOND])) == []
    lost = SECOND._replace(meta={"output_bytes": 11})
    rows = [ROWS[0], ROWS[1]._replace(outcome="lost", code=None)]
    killed = KILLED
    assert problems(GOOD._replace(server=[FIRST, lost], journal=rows), killed) == []


@pytest.mark.parametrize(
    ("known", "found"),
    [
        (GOOD._replace(server=[FIRST]), "never reported"),
        (GOOD._replace(server=[SECOND]), "never reported"),
        (GOOD._replace(server=[FIRST, SECOND, SECOND]), "reported 2 times"),
        (
            GOOD._replace(server=[FIRST, SECOND._replace(status="success")]),
            "success with exit code 3",
        ),
        (GOOD._replace(server=[FIRST, SECOND, OVERLAPPED]), "falsely overlapped"),
        (
            GOOD._replace(
                ledger=[RAN[0]._replace(ended=162.0), RAN[1]],
                server=[FIRST, SECOND, OVERLAPPED._replace(begun=200.0, ended=201.0)],
            ),
            "falsely overlapped",
        ),
        (GOOD._replace(server=[FIRST, SECOND, SECOND._replace(status="running")]), "running"),
        (
            GOOD._replace(server=[FIRST, SECOND, SECOND._replace(id="x", meta={})]),
            "an outcome of no run",
        ),
        (GOOD._replace(journal=ROWS[1:]), "not in the journal"),
        (GOOD._replace(journal=[ROWS[0]._replace(report="queued"), ROWS[1]]), "not settled"),
        (GOOD._replace(ledger=RAN[1:], server=[SECOND]), "a run whose job never began"),
    ],
)
def test_what_is_wrong_is_found(known: Known, found: str) -> None:
    assert [each.removesuffix(" in the end") for each in problems(known)] == [found]


def test_a_killed_run_has_one_outcome_or_the_same_twice() -> None:
    lost = SECOND._replace(meta={"output_bytes": 11})
    succeeded = SECOND._replace(status="success", meta={"exit_code": 0, "output_bytes": 11})
    both = GOOD._replace(
        ledger=[RAN[0], RAN[1]._replace(planned=0)], server=[FIRST, succeeded, lost]
    )
    rows = [ROWS[0], ROWS[1]._replace(outcome="lost", code=None)]
    assert problems(both._replace(journal=rows), KILLED) == ["two different outcomes"]


def test_a_plan_follows_from_its_seed_and_has_every_fault() -> None:
    windows, kills = plan(20, 7)
    assert (windows, kills) == plan(20, 7)
    troubles = sorted(each.trouble for each in windows)
    assert troubles == ["config", "disk", "frozen", "frozen", "stopped", "stopped", "stopped"]
    assert [each.victim for each in kills].count("wrapper") == 16
    assert len(kills) == 18
    assert all(one.end < two.begin for one, two in pairwise(windows))
