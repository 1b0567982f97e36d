"""Compares what the server has with the jobs' own ledger and with the journal. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tests.soak.monitors import Monitor
from tests.soak.plan import Victim, Window

SLACK = 5.0
"""Seconds between a job and its pings on a busy machine."""
KILLED = 137
NUMBERED = 3
"""How many queued successes with numbers of the job's own are kept, the newest ones."""


class Ran(NamedTuple):
    """A run in the ledger. size: bytes of output. ended: None if the job was killed."""

    run: str
    size: int
    begun: float
    planned: int
    ended: float | None


class Row(NamedTuple):
    """A run in the journal, as `crontify runs --json` has it.

    ended: seconds since the epoch. size: bytes of output, -1 if that is unknown.
    """

    run: str
    remote: str | None
    outcome: str
    code: int | None
    report: str | None
    folded_into: str | None
    ended: float | None
    size: int = -1


class Shown(NamedTuple):
    """A run on the server. begun, ended: when its pings arrived, in seconds since the epoch."""

    id: str
    status: str
    begun: float | None
    ended: float | None
    meta: Mapping[str, float]
    message: str | None


class Faults(NamedTuple):
    """What was done. killed: the run ids, with the victim and when it was killed."""

    windows: Sequence[Window]
    killed: Mapping[str, tuple[Victim, float]]

    def touches(self, trouble: str, begin: float, end: float) -> bool:
        """Tell whether there was such trouble at some time from `begin` to `end`."""
        return any(
            each.trouble == trouble and each.begin <= end and begin <= each.end
            for each in self.windows
        )


class Known(NamedTuple):
    """All that is known of a monitor's runs. mails: the text of all mail that cron sent."""

    monitor: Monitor
    ledger: Sequence[Ran]
    journal: Sequence[Row]
    server: Sequence[Shown]
    mails: str = ""


def judge(known: Known, faults: Faults) -> tuple[Counter[str], list[str]]:
    """Return what was met how often, and what is wrong, in words."""
    found: Counter[str] = Counter(runs=len(known.ledger))
    found.update(each.status for each in known.server)
    found.update(each.report for each in known.journal if each.report in ("superseded", "folded"))
    found.update(each.outcome for each in known.journal if each.outcome in ("skipped", "lost"))
    outcomes, strangers = _outcomes(known)
    found["twice"] = sum(len(each) > 1 for each in outcomes.values())
    problems = [f"an outcome of no run: {each}" for each in strangers]
    rows = {each.run: each for each in known.journal}
    for ran in known.ledger:
        for words in _wrong(known, ran, rows.get(ran.run), outcomes, faults):
            problems.append(f"{words}: {ran}; {rows.get(ran.run)}; {outcomes.get(ran.run, [])}")
    times = Counter(each.run for each in known.ledger)
    problems += [f"the job of {run} ran {count} times" for run, count in times.items() if count > 1]
    for row in known.journal:
        if row.report in ("queued", "refused", "discarded") or row.outcome in (
            "running", "died", "unknown",
        ):  # fmt: skip
            problems.append(f"not settled: {row}")
        if row.run not in times and row.outcome != "skipped" and row.run not in faults.killed:
            problems.append(f"a run whose job never began: {row}")
    for each in known.server:
        if each.status == "overlapped" and not _overlaps(each, known, faults):
            problems.append(f"falsely overlapped: {each}")
        if each.status not in ("success", "failed", "overlapped"):
            problems.append(f"{each.status} in the end: {each}")
    return found, [f"{known.monitor.name}: {words}" for words in problems]


def _outcomes(known: Known) -> tuple[dict[str, list[Shown]], list[Shown]]:
    """Return the server's outcomes of each run, and those that belong to none."""
    sizes = {each.size: each.run for each in known.ledger}
    # Of a wrapper that was killed early the record has a part of the output.
    partial = {each.size: each.run for each in known.journal if each.size >= 0}
    remotes = {each.remote: each.run for each in known.journal if each.remote}
    outcomes: dict[str, list[Shown]] = defaultdict(list)
    strangers: list[Shown] = []
    for each in known.server:
        if each.status in ("success", "failed"):
            size = int(each.meta.get("output_bytes", -1))
            run = sizes.get(size) or remotes.get(each.id) or partial.get(size)
            (outcomes[run] if run else strangers).append(each)
    return dict(outcomes), strangers


def _wrong(
    known: Known,
    ran: Ran,
    row: Row | None,
    outcomes: Mapping[str, Sequence[Shown]],
    faults: Faults,
) -> Iterator[str]:
    """Yield what is wrong with what is known of one run."""
    victim, _ = faults.killed.get(ran.run, (None, 0.0))
    ended = ran.ended or (row and row.ended) or ran.begun
    is_disk_full = faults.touches("disk", ran.begun - SLACK, ended + SLACK)
    allowed = _allowed(known.monitor, ran, victim)
    if known.monitor.kind == "tolerated" and is_disk_full:
        allowed.add(("failed", ran.planned))  # the failures before it cannot be counted
    shown = outcomes.get(ran.run, ())
    for each in shown:
        if (each.status, each.meta.get("exit_code")) not in allowed:
            yield f"{each.status} with exit code {each.meta.get('exit_code')}"
        number = each.meta.get("files", ran.size if is_disk_full or victim else None)
        if known.monitor.kind == "numbers" and number != ran.size:
            yield "the job's number is wrong"
    if len({each.status for each in shown}) > 1:
        yield "two different outcomes"
    if len(shown) > 1:
        last = max(each.ended or 0 for each in shown)
        in_flight = victim == "wrapper" or faults.touches("frozen", ended - SLACK, last)
        if len(shown) > 2 or not in_flight:
            yield f"reported {len(shown)} times"
    if row is None and not is_disk_full:
        yield "not in the journal"
    if row and (_status(row), row.code) not in allowed:
        yield f"in the journal as {row.outcome} with exit code {row.code}"
    if not shown and not (row and _may_be_missing(known, ran, row, outcomes)):
        yield "never reported"
    is_judged = known.monitor.gets_mail and victim is None and not is_disk_full
    if is_judged and (ran.run in known.mails) != (ran.planned != 0):
        yield "cron should have sent mail" if ran.planned else "cron has sent mail"


def _allowed(monitor: Monitor, ran: Ran, victim: str | None) -> set[tuple[str, int | None]]:
    """Return status and exit code of a right outcome."""
    status = "success" if ran.planned in monitor.successes else "failed"
    right: set[tuple[str, int | None]] = {(status, ran.planned)}
    if victim == "wrapper":
        right.add(("failed", None))
    if victim == "job" and ran.ended is None:
        right = {("failed", KILLED)}
    return right


def _status(row: Row) -> str:
    return "success" if row.outcome in ("success", "tolerated") else "failed"


def _may_be_missing(
    known: Known, ran: Ran, row: Row, outcomes: Mapping[str, Sequence[Shown]]
) -> bool:
    """Tell whether the rules allow that the server has no outcome of a run."""
    if row.report == "folded":
        return _status(row) == "failed" and bool(outcomes.get(row.folded_into or ""))
    if row.report != "superseded" or _status(row) != "success":
        return False
    newer = [each for each in known.ledger if each.begun > ran.begun]
    return len(newer) >= (NUMBERED if known.monitor.kind == "numbers" else 1)


def _overlaps(shown: Shown, known: Known, faults: Faults) -> bool:
    """Tell whether two jobs of the monitor really ran at once while the server showed this run.

    The newer one may have begun before that: starts that waited for the server arrive together.
    """
    ends = {each.run: each.ended for each in known.journal}

    def end(ran: Ran) -> float:
        return ran.ended or ends.get(ran.run) or faults.killed.get(ran.run, ("", 0.0))[1]

    first = (shown.begun or 0.0) - SLACK
    last = (shown.ended or 0.0) + SLACK
    return any(
        older.begun < newer.begun <= min(end(older), last) and first <= min(end(older), end(newer))
        for older in known.ledger
        for newer in known.ledger
    )
