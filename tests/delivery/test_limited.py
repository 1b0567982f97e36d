"""A monitor on a limited plan, for real, in small: `python -m tests.delivery.limited`."""

from pathlib import Path

from tests.delivery.limited import play


def test_on_a_limited_plan_each_failure_arrives_and_no_run_is_taken_for_overlapped(
    tmp_path: Path,
) -> None:
    """Six runs in a plan whose minute has two seconds; how soon, the program itself judges."""
    assert play(2.0, 1, 6, tmp_path, on_idle_machine=False) == []
