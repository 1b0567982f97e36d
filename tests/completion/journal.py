"""A journal with runs in it, for a TAB to find."""

from pathlib import Path

from crontify_cli.delivery.journal import Journal
from crontify_cli.model import Ending, Outcome, Ping, Run


def write_run(
    state: Path,
    run_id: str,
    monitor: str,
    started_at: float,
    outcome: Outcome | None,
    *,
    is_queued: bool = False,
) -> None:
    """Add a run to the journal in `state`; without an outcome it goes on.

    is_queued: its report waits.
    """
    run = Run(run_id, monitor, monitor, "http://x", ("true",), (1, 1), (2, 2), "boot", started_at)
    journal = Journal.open(str(state))
    try:
        journal.begin(run)
        if outcome:
            ending = Ending(outcome, "as it was", 0, started_at + 1, 1.0)
            journal.finish(run, ending, Ping(monitor, "fail") if is_queued else None, None)
    finally:
        journal.close()
