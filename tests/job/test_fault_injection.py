"""Whatever function of ours fails once after the spawn: exit code, output and report are right.

A part of `python -m tests.job.faults_everywhere`, spread over the functions. `FAULTS_SHARE=1`
plays all of them.
"""

import os
from pathlib import Path

import pytest

from tests.job.faults_everywhere import SCENARIOS, Scenario, faults, play_all

SHARE = int(os.environ.get("FAULTS_SHARE", "60"))
"""One fault in so many is played."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_no_single_fault_after_the_spawn_costs_the_job_or_its_report_anything(
    tmp_path: Path, scenario: Scenario
) -> None:
    traced = tmp_path / "traced"
    traced.mkdir()
    listed = list(faults(scenario, traced, calls=2))
    functions = {each.function for each in listed}
    assert "crontify_cli.job.recorder:Recorder.note_ended" in functions
    assert "crontify_cli.delivery.reporter:Reporter._end" in functions
    assert "crontify_cli.delivery.api:<module>" in functions
    played = list(play_all(listed[::SHARE], tmp_path, workers=2))
    assert [words for each in played for words in each.problems] == []
    happened = [each for each in played if each.happened]
    assert len(happened) > 0.8 * len(played), "the runs hardly do what the traced one did"
