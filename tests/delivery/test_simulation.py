"""What arrives on a limited plan, by the real reporting code with a simulated clock."""

import re
from pathlib import Path

import pytest

from tests.delivery.simulation import DOCUMENT, SCENARIOS, Scenario, play


@pytest.mark.parametrize(
    ("scenario", "least"),
    [
        (Scenario(60, 60, 0), 47),
        (Scenario(60, 60, 30), 46),
        (Scenario(60, 60, 60), 45),
        (Scenario(300, 300, 150), 46),
        (Scenario(60, 300, 30), 51),
        (Scenario(60, 300, 120), 51),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "-".join(map(str, value[:3])),
)
def test_on_a_limited_plan_each_failure_arrives_soon_and_nearly_each_success(
    tmp_path: Path, scenario: Scenario, least: int
) -> None:
    """Of 51 successes and 9 failures in 60 runs."""
    result = play(scenario, "auto", tmp_path)
    assert (result.of_successes, result.of_failures) == (51, 9)
    assert result.successes >= least
    assert result.failures == 9
    assert result.median_failure <= scenario.limit / 4
    assert result.latest_failure <= scenario.limit
    assert result.false_overlaps <= 1
    assert result.lives_on <= scenario.limit / 8


def test_starts_are_sent_where_they_do_no_harm(tmp_path: Path) -> None:
    assert (
        play(Scenario(60, 300, 120, runs=20), "auto", tmp_path).starts == 23
    )  # and 3 runs after those


@pytest.mark.parametrize(("later", "least"), [(0, 46), (300, 22)])
def test_a_change_of_the_plan_is_noticed(tmp_path: Path, later: float, least: int) -> None:
    """A run a minute; after half of the runs there is no limit, or one of five minutes."""
    result = play(Scenario(60, 60, 30, later), "auto", tmp_path)
    assert result.successes >= least
    assert result.failures == 9


def test_a_client_that_sends_each_start_shows_less(tmp_path: Path) -> None:
    scenario = Scenario(60, 60, 30)
    results = {client: play(scenario, client, tmp_path / client) for client in ("always", "script")}
    assert all(result.successes < 46 for result in results.values())
    assert results["script"].failures < 9
    assert results["always"].false_overlaps > 1


def test_the_document_has_a_row_for_each_scenario() -> None:
    rows = re.findall(r"^\| \d.*\|$", DOCUMENT.read_text(), re.MULTILINE)
    assert len(rows) == len(SCENARIOS)
