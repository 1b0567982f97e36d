"""Decides which queued reports of a monitor are sent, in which order, and which are left out.

A report names no run: the server takes it for the end of the run that is open there, if there
is one (CONTRACT.md, "What the server makes of them"). Pure: no clock, no journal, no network.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from crontify_cli.delivery.journal_rows import StartState

INDIVIDUALLY = 3
"""How many reports of a kind are sent one by one, the newest ones: failures, and successes
with numbers of the job's own. Older failures become one report."""
LONGEST_HOLD = 300.0
"""Seconds after the run's end for which a report waits for a moment without an open run."""
LONGEST_TROUBLE = 86400.0
"""Seconds of 5xx answers after which a report goes behind the others of its monitor."""

SENT: tuple[StartState, ...] = ("acknowledged", "unknown")
"""The states of a start that the server may have."""


class Live(NamedTuple):
    """A run that goes on here. seq: its place among the runs, None if the journal lacks it."""

    seq: int | None
    start_state: StartState | None


class Candidate(NamedTuple):
    """A queued report, without its contents.

    seq, start_state: of its run. has_numbers: whether it has numbers of the job's own, which a
    rule of the monitor may be waiting for. age: seconds since the run's end, None if no clock
    tells. trouble: for how many seconds the server has answered it with 5xx, None if it has not.
    """

    id: int
    kind: Literal["success", "fail"]
    seq: int
    start_state: StartState | None
    has_numbers: bool
    age: float | None
    trouble: float | None = None

    @property
    def is_poisoned(self) -> bool:
        """Whether the server has failed on this report for too long to wait for it."""
        return self.trouble is not None and self.trouble >= LONGEST_TROUBLE


class Seen(NamedTuple):
    """What is known of the monitor's other reports and runs.

    newest: the id of its newest report. delivered, failed: the ids of its newest delivered
    report and of its newest delivered failure; 0 without one. started: the place of its newest
    run whose start was sent. live: its runs that go on here, except our own. before_start:
    whether a new start or outcome follows immediately. gives_way: whether the plan leaves no
    room for a success before that, be its run open or not.
    """

    newest: int = 0
    delivered: int = 0
    failed: int = 0
    started: int = 0
    live: tuple[Live, ...] = ()
    before_start: bool = False
    gives_way: bool = False


class Lineup(NamedTuple):
    """What to do with the queued reports, by their ids.

    send: in this order. first: the one of them that the server has an open run for: nothing
    may overtake it. poisoned: those of them that nothing has to wait for. folded: reports that
    the report `leader` includes. waiting: those that stay queued until no run is open here.
    """

    send: tuple[int, ...] = ()
    first: int | None = None
    poisoned: frozenset[int] = frozenset()
    superseded: tuple[int, ...] = ()
    leader: int | None = None
    folded: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()


def line_up(queued: Sequence[Candidate], seen: Seen) -> Lineup:
    """Return what to do with the queued reports of a monitor, given the oldest first.

    A success is left out if something newer follows it; not if the server has its run open,
    which the next start would close as overlapped, nor if it is one of the newest with numbers
    of the job's own. A failure is never left out.
    """
    numbered = [each.id for each in queued if each.kind == "success" and each.has_numbers]
    wanted = frozenset(numbered[-INDIVIDUALLY:])
    sent: list[Candidate] = []
    superseded: list[int] = []
    waiting: list[int] = []
    for each in queued:
        has_time = each.age is not None and each.age < LONGEST_HOLD
        closes = what_it_closes(each.seq, each.start_state, seen.live)
        is_superseded = each.kind == "success" and (
            _is_superseded(each, seen, wanted) or (closes == "open" and each.id not in wanted)
        )
        if is_superseded:
            superseded.append(each.id)
        elif closes and has_time:
            waiting.append(each.id)
        else:
            sent.append(each)
    leader, folded = _fold(sent)
    first = next((each.id for each in sent if _is_open(each, seen)), None)
    first = leader if first in folded else first
    ordered = sorted(
        (each for each in sent if each.id not in folded),
        key=lambda each: (each.is_poisoned, each.id != first, each.id),
    )
    return Lineup(
        tuple(each.id for each in ordered),
        first,
        frozenset(each.id for each in ordered if each.is_poisoned),
        tuple(superseded),
        leader,
        folded,
        tuple(waiting),
    )


def what_it_closes(
    seq: int, start_state: StartState | None, live: Sequence[Live]
) -> Literal["open", "perhaps", ""]:
    """Return whether the report of run `seq` would close another run, which goes on here.

    "perhaps": if that run's start is sent at this moment.
    """
    others = [
        run
        for run in live
        if start_state not in SENT or run.seq is None or run.seq > seq
        # Otherwise the report closes its own run, whose start came later.
    ]
    if any(run.start_state in SENT for run in others):
        return "open"
    return "perhaps" if any(run.start_state is None for run in others) else ""


def _is_superseded(success: Candidate, seen: Seen, wanted: frozenset[int]) -> bool:
    is_newest = success.id >= seen.newest
    if is_newest and not seen.before_start:
        return False
    # After a newer failure it would say that all is well again.
    if success.id < seen.failed or (success.is_poisoned and not is_newest):
        return True
    is_first = _is_open(success, seen) and not seen.gives_way
    return not is_first and success.id not in wanted


def _is_open(report: Candidate, seen: Seen) -> bool:
    """Tell whether the server still has the run of this report open."""
    is_last_start = report.start_state in SENT and report.seq >= seen.started
    return is_last_start and report.id > seen.delivered


def _fold(sent: Sequence[Candidate]) -> tuple[int | None, tuple[int, ...]]:
    """Return the failure that includes older ones, and those."""
    older = [each for each in sent if each.kind == "fail"][:-INDIVIDUALLY]
    if len(older) < 2:
        return None, ()
    healthy = [each for each in older if not each.is_poisoned] or older
    leader = healthy[-1].id
    return leader, tuple(each.id for each in older if each.id != leader)
