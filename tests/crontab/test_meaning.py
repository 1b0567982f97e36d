"""A wrapped line does what it did before; the full volume is `python -m tests.crontab.meaning`."""

import random

from tests.crontab.meaning import HAND_WRITTEN, cases, differences


def test_wrapped_lines_have_the_same_effect_and_their_output_is_in_the_report() -> None:
    every = list(cases(count=60, seed=20261127))
    assert len(HAND_WRITTEN) >= 100
    # Each kind of command stays in: a fifth of the written ones, and a third of the generated.
    chosen = random.Random(7).sample(every[:-60], 50) + every[-20:]
    assert differences(chosen) == []
