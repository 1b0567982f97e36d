"""A simulated day of a monitor on a limited plan: the real reporting code, and a clock that jumps.

    .venv/bin/python -m tests.delivery.simulation     # writes the table in docs/plan-limit.md

Each run has its own reporting thread, as in `crontify exec`, and all of them share a journal;
only the clock, the server and the job are simulated. One thread runs at a time: when it
waits, the clock jumps to the next moment at which something happens. Nothing sleeps.
"""

import contextlib
import heapq
import math
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

from crontify_cli import processes
from crontify_cli.config import Loaded, load
from crontify_cli.delivery import limits, outbox, pacing
from crontify_cli.delivery.handover import Event, Outcome, Prepared
from crontify_cli.delivery.journal import Journal, completed
from crontify_cli.delivery.reporter import Reporter
from crontify_cli.model import Answer, Ending, Ping, PingKind, Run
from crontify_cli.sandbox.rules import seconds_to_wait
from crontify_cli.values import format_duration

BEGIN = 1_800_000_000.0
"""When the day begins, in seconds since the epoch."""
LOADING, LATENCY = 0.2, 0.05
"""Seconds from the spawn to the first request; seconds on the way to the server, and back."""


class World:
    """The clock, and what happens at which moment. `now` is in seconds since the epoch."""

    def __init__(self) -> None:
        self.now = BEGIN
        self._events: list[tuple[float, int, threading.Event]] = []
        self._numbers = count()
        self._idle = threading.Event()
        self._error: BaseException | None = None

    def at(self, moment: float, act: Callable[[], None]) -> None:
        """Do `act` at `moment`, in a thread of its own."""
        turn = self._turn(moment)

        def run() -> None:
            turn.wait()
            try:
                act()
            except BaseException as error:
                self._error = error
            finally:
                self._idle.set()

        threading.Thread(target=run, daemon=True).start()

    def sleep(self, seconds: float) -> None:
        """Let others act for so long; called in a thread that `at` has started."""
        if seconds == math.inf:
            raise AssertionError("a wait without an end")
        turn = self._turn(self.now + max(seconds, 0.0))
        self._idle.set()
        turn.wait()

    def run(self) -> None:
        """Let everything happen."""
        while self._events:
            self.now, _, turn = heapq.heappop(self._events)
            self._idle.clear()
            turn.set()
            assert self._idle.wait(60), "a thread waits for something that is not simulated"
            if self._error:
                raise self._error

    def _turn(self, moment: float) -> threading.Event:
        turn = threading.Event()
        heapq.heappush(self._events, (moment, next(self._numbers), turn))
        return turn

    # As the module `time`

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class Job(NamedTuple):
    """A run's job. number: from 0. started, ended: seconds since the epoch."""

    number: int
    started: float
    ended: float
    kind: PingKind


class Server:
    """A monitor, by the rules of the document.

    plan: returns the interval of the plan, in seconds, at a moment.
    arrived: when the end of each run was accepted, by its number.
    """

    def __init__(self, world: World, plan: Callable[[float], float]) -> None:
        self._world = world
        self._plan = plan
        self._last: int | None = None
        self._open: Job | None = None
        self.arrived: dict[int, float] = {}
        self.refusals = self.starts = self.false_overlaps = 0

    def ping(self, kind: PingKind, job: Job | None) -> Answer:
        """Take a ping; job: whose report it is, None for several that are folded into one."""
        self._world.sleep(LATENCY)
        now = round(self._world.now * 1000)
        wait = seconds_to_wait(self._last, now, round(self._plan(self._world.now) * 1000))
        if wait:
            self.refusals += 1
            answer = Answer("refused", 429, message="slow down", retry_after=float(wait))
        else:
            self._last = now
            self._accept(kind, job)
            answer = Answer("received", 200)
        self._world.sleep(LATENCY)
        return answer

    def _accept(self, kind: PingKind, job: Job | None) -> None:
        if kind == "start" and self._open and self._open.ended < self._world.now:
            self.false_overlaps += 1
        self._open = job if kind == "start" else None
        if kind == "start":
            self.starts += 1
        elif job:
            self.arrived.setdefault(job.number, self._world.now)


class Api:
    """What a reporting thread takes for the API."""

    answered_at = 0.0

    def __init__(self, server: Server, jobs: dict[int, Job], own: Job) -> None:
        self._server = server
        self._jobs = jobs
        self._own = own

    def ping(self, ping: Ping, within: float = math.inf) -> Answer:
        """Send a ping to the simulated server."""
        number = ping.meta.get("output_bytes")
        job = self._own if ping.kind == "start" else self._jobs.get(int(number or 0))
        return self._server.ping(ping.kind, job)

    def silence(self, monitor_id: str, within: float = math.inf) -> Answer | None:
        """Say that the simulated server answers."""

    def fingerprint(self, _monitor_id: str) -> str:
        return ""


class SimulatedReporter(Reporter):
    """The reporting thread of a run, without the main thread: that ends the job, and no more."""

    def __init__(self, world: World, job: Job, api: Api, state: str, start: str) -> None:
        self._world, self._job, self._simulated = world, job, api
        self.done_at = 0.0
        run_id = f"{job.number:012x}"
        super().__init__(
            Run(run_id, "job", "job", "", ("true",), (0, 0), (0, 0), "", job.started),
            f"{processes.identity()} {job.number}",  # alive as long as we are
            self._note,
            load=settings,
            make_mask=lambda _monitor, _secrets: str,
            notices=Silent(),
            state=state,
            start=start,
        )

    def exit(self) -> None:
        """End the leases of this run, as the end of its process would."""
        assert self._state
        journal = Journal.open(self._state)
        with journal.transaction() as db:
            db.execute("UPDATE reports SET owner = NULL WHERE owner = ?", (self._owner,))
        journal.close()

    def _note(self, event: Event) -> None:
        self.done_at = self._world.now
        if isinstance(event, Prepared):
            self._prepared = event

    def _open_api(self, prepared: Prepared) -> Api:  # type: ignore[override]  # not the real one
        return self._simulated

    def _take_orders(self, timeout: float) -> None:
        has_ended = self._orders.outcome is not None
        end = math.inf if has_ended else self._job.ended
        until = min(end, self._world.now + timeout)
        if until > self._world.now:
            self._world.sleep(until - self._world.now)
        if not has_ended and self._world.now >= self._job.ended:
            self._orders.outcome = self._finish()

    def _finish(self) -> Outcome:
        """Do what `job/closing.py` does at the end of a job."""
        job, prepared, now = self._job, self._prepared, self._world.now
        ping = Ping("job", job.kind, {"output_bytes": job.number})  # no number of the job's own
        outcome = "success" if job.kind == "success" else "fail"
        ending = Ending(outcome, "", 0, job.ended, job.ended - job.started, ping.meta)
        assert self._state
        journal = Journal.open(self._state)
        run = completed(self._run, prepared.settings, str)
        report = journal.finish(run, ending, ping, self._owner)
        journal.close()
        waits = prepared.settings
        until = job.ended + waits.report_timeout
        return Outcome(ping, report, job.ended, now, until, until + waits.rate_limit_wait)


class Silent:
    """Takes the lines for a person, and fails the simulation at those that tell of a fault."""

    def say(self, line: str) -> None:
        raise AssertionError(line)

    def trace(self, line: str) -> None:
        pass


def settings() -> Loaded:
    """Return the defaults, with a key and a server."""
    environ = {"CRONTIFY_API_KEY": "ck_test", "CRONTIFY_BASE_URL": "http://127.0.0.1:1"}
    return load("/dev/null", environ)


class Scenario(NamedTuple):
    """What is played. limit: seconds between two pings. later_limit: from half of the runs on.

    period: seconds between two runs. duration: seconds that a job takes on the average; it
    varies by a fifth. Every seventh run fails.
    """

    limit: float
    period: float
    duration: float
    later_limit: float | None = None
    runs: int = 60


class Result(NamedTuple):
    """What the server shows of the runs. Times are in seconds after the end of the job.

    lives_on: how long the client runs after its job, in the median.
    """

    starts: int
    successes: int
    of_successes: int
    failures: int
    of_failures: int
    median_failure: float
    latest_failure: float
    false_overlaps: int
    refusals: int
    lives_on: float


def play(scenario: Scenario, client: str, folder: Path) -> Result:
    """Play a scenario; client: "auto" or "always", crontify's own, or "script", the document's.

    folder: an empty one, for the journal.
    """
    random.seed(7)  # also for the pauses of the policy
    world = World()
    half = BEGIN + scenario.period * scenario.runs / 2

    def plan(moment: float) -> float:
        changed = scenario.later_limit is not None and moment >= half
        return scenario.later_limit if changed else scenario.limit  # type: ignore[return-value]

    server = Server(world, plan)
    jobs = dict(enumerate(_jobs(scenario)))
    done: dict[int, float] = {}

    def run(job: Job) -> None:
        if client == "script":
            server.ping("start", job)
            world.sleep(job.ended - world.now)
            server.ping(job.kind, job)
        else:
            reporter = SimulatedReporter(world, job, Api(server, jobs, job), str(folder), client)
            reporter.run()
            reporter.exit()
        done[job.number] = world.now

    for job in jobs.values():
        world.at(job.started + LOADING, lambda job=job: run(job))  # type: ignore[misc]
    with _simulated_time(world):
        world.run()
    counted = [job for job in jobs.values() if job.number < scenario.runs]
    late = {
        job: server.arrived[job.number] - job.ended
        for job in counted
        if job.number in server.arrived
    }
    failures = sorted(late[job] for job in late if job.kind == "fail")
    lives_on = sorted(done[job.number] - job.ended for job in counted)
    return Result(
        server.starts,
        sum(job.kind == "success" for job in late),
        sum(job.kind == "success" for job in counted),
        len(failures),
        sum(job.kind == "fail" for job in counted),
        failures[len(failures) // 2] if failures else math.inf,
        failures[-1] if failures else math.inf,
        server.false_overlaps,
        server.refusals,
        lives_on[len(lives_on) // 2],
    )


def _jobs(scenario: Scenario) -> Iterator[Job]:
    """Yield the jobs, and a few successes after the last that counts: they send what is queued."""
    longest = max(scenario.limit, scenario.later_limit or 0)
    for at in range(scenario.runs + 3 * math.ceil(longest / scenario.period)):
        started = BEGIN + at * scenario.period + random.uniform(0, 0.5)
        ended = started + LOADING + scenario.duration * random.uniform(0.8, 1.2)
        kind: PingKind = "fail" if at % 7 == 3 and at < scenario.runs else "success"
        yield Job(at, started, ended, kind)


@contextlib.contextmanager
def _simulated_time(world: World) -> Iterator[None]:
    """Let the delivery take its time from `world`; what opens files keeps the real one."""
    modules = [
        module
        for name, module in sys.modules.items()
        if name.startswith("crontify_cli.delivery.") and getattr(module, "time", None) is time
    ]
    assert {limits, outbox, pacing} <= {*modules}, "loaded by now, as the rest of the delivery"
    for module in modules:
        if not module.__name__.endswith(".journal_file"):
            module.time = world  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in modules:
            module.time = time  # type: ignore[attr-defined]


SCENARIOS = [
    Scenario(60 * minutes, 60 * minutes * periods, 60 * minutes * jobs)
    for periods in (1, 5)
    for minutes in (1, 5, 60)
    for jobs in (0, 0.5, 1, 2, 3)
] + [Scenario(60, 60, 30, later) for later in (0, 300)]
CLIENTS = ("auto", "always", "script")
DOCUMENT = Path(__file__).parents[2] / "docs/plan-limit.md"
BEGIN_TABLE, END_TABLE = "<!-- The simulation's table -->\n", "<!-- End of the table -->\n"


def table() -> str:
    """Play every scenario with every client, and return the results as a table in Markdown."""
    lines = [
        "| Limit | Period | Job | crontify | `--start always` | shell script |",
        "|---|---|---|---|---|---|",
    ]
    for scenario in SCENARIOS:
        cells = []
        for client in CLIENTS:
            with tempfile.TemporaryDirectory() as folder:
                cells.append(_cell(play(scenario, client, Path(folder))))
        limit, later = format_duration(scenario.limit), scenario.later_limit
        if later is not None:
            limit += f", then {format_duration(later) if later else 'none'}"
        words = limit, format_duration(scenario.period), format_duration(scenario.duration)
        lines.append(f"| {' | '.join((*words, *cells))} |")
    return "".join(f"{line}\n" for line in lines)


def _cell(result: Result) -> str:
    shown = f"{result.successes}/{result.of_successes}, {result.failures}/{result.of_failures}"
    late = f"{result.median_failure:.0f} s, {result.latest_failure:.0f} s"
    late = late if result.failures else "-"
    return f"{shown}; {late}; {result.false_overlaps}; {result.lives_on:.0f} s"


def main() -> None:
    """Write the table into the document."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN_TABLE)
    after = rest.partition(END_TABLE)[2]
    DOCUMENT.write_text(f"{before}{BEGIN_TABLE}{table()}{END_TABLE}{after}")


if __name__ == "__main__":
    main()
