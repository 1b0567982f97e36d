"""Monitors on a limited plan, for real: what arrives, how late, and how long `exec` lives on.

    .venv/bin/python -m tests.delivery.limited [--monitors 8] [--runs 20] [--limit 6]

Time runs faster here: the plan's minute has `--limit` seconds, ten of them by default. Each run
is `crontify exec` in a process of its own, started as cron starts it, at the same moment
for all monitors. Half of the monitors run every minute, the others every five minutes, with jobs
of different lengths. Every seventh run fails. Exits with 1 and what is wrong, if anything is.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.faults import Plan
from tests.programs import PROGRAM
from tests.server import ApiServer, settings

JOB = """
import sys, time
time.sleep(float(sys.argv[1]))
sys.stdout.write("x" * int(sys.argv[4]))
open(sys.argv[2], "w").write(str(time.monotonic()))
sys.exit(int(sys.argv[3]))
"""
LATEST, LONGEST_WAIT = 1 / 4, 1 / 4
"""The parts of the limit by which failures may be late, and `exec` may live on, in the median."""


class Monitor(NamedTuple):
    """A monitor. period: seconds between two runs. duration: seconds that its job takes."""

    name: str
    period: float
    duration: float


class Outcome(NamedTuple):
    """What became of a monitor's runs. late, waits: in seconds after the end of the job.

    late: of the failures that the server shows. waits: for how long each `exec` lived on.
    """

    successes: int
    of_successes: int
    of_failures: int
    late: list[float]
    waits: list[float]
    false_overlaps: int


def monitors(limit: float, number: int) -> list[Monitor]:
    """Return the monitors: every other one runs every minute, the rest every five."""
    lengths = (0.0, 0.25, 0.5, 0.75)
    return [
        Monitor(f"m{at}", (1 if at % 2 == 0 else 5) * limit, lengths[at // 2 % 4] * limit)
        for at in range(number)
    ]


def is_failure(at: int) -> bool:
    """Tell whether the run number `at` of a monitor fails."""
    return at % 7 == 3


def run_all(monitor: Monitor, runs: int, env: dict[str, str], folder: Path) -> list[float]:
    """Start the runs of a monitor at their times; return for how long each `exec` lived on."""
    ends = [0.0] * runs
    watchers = []
    began = time.monotonic()
    for at in range(runs):
        time.sleep(max(0.0, began + at * monitor.period - time.monotonic()))
        duration = monitor.duration * random.uniform(0.95, 1.05)
        ended = folder / f"{monitor.name}-{at}"
        job = [sys.executable, "-S", "-c", JOB, str(duration), str(ended), str(is_failure(at) * 3)]
        # The output's size names the run: a success with numbers of its own is never left out.
        command = [*PROGRAM, "exec", monitor.name, "-q", "--", *job, str(at)]
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL)

        def watch(at: int = at, process: "subprocess.Popen[bytes]" = process) -> None:
            process.wait()
            ends[at] = time.monotonic()

        watchers.append(threading.Thread(target=watch))
        watchers[-1].start()
    for watcher in watchers:
        watcher.join()
    return [end - _ended(folder, monitor, at) for at, end in enumerate(ends)]


def _ended(folder: Path, monitor: Monitor, at: int) -> float:
    return float((folder / f"{monitor.name}-{at}").read_text())


def outcome(
    api: ApiServer, monitor: Monitor, runs: int, waits: list[float], folder: Path
) -> Outcome:
    """Return what the server has of a monitor's runs."""
    sent = [each for each in api.accepted if each.path.split("/")[-2] == monitor.name]
    ends = {each.json["meta"]["output_bytes"]: each for each in sent if each.kind != "start"}
    fails = [at for at in range(runs) if is_failure(at)]
    return Outcome(
        sum(each.kind == "success" for each in ends.values()),
        runs - len(fails),
        len(fails),
        [ends[at].arrived - _ended(folder, monitor, at) for at in fails if at in ends],
        waits,
        # A start after a start: jobs are shorter than their period, so the older one has ended.
        sum(earlier.kind == later.kind == "start" for earlier, later in pairwise(sent)),
    )


def play(
    limit: float, number: int, runs: int, folder: Path, *, on_idle_machine: bool = True
) -> list[str]:
    """Play all of it, print what came of it, and return what is wrong.

    on_idle_machine: also judge what depends on how fast the machine is.
    """
    with ApiServer() as api:
        api.choose = Plan(limit)
        env = {**os.environ, **settings(api), "CRONTIFY_STATE_DIR": str(folder / "state")}
        every = monitors(limit, number)
        waits: dict[Monitor, list[float]] = {}

        def run(monitor: Monitor) -> None:
            count = max(4, round(runs * limit / monitor.period))
            waits[monitor] = run_all(monitor, count, env, folder)

        threads = [threading.Thread(target=run, args=(monitor,)) for monitor in every]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        subprocess.run([*PROGRAM, "flush", "--quiet", "--wait", f"{4 * limit:.0f}"], env=env)
        found = {each: outcome(api, each, len(waits[each]), waits[each], folder) for each in every}
    problems = [*lost(found)]
    late = wrong(limit, found)
    return problems + late if on_idle_machine else problems


def lost(found: dict[Monitor, Outcome]) -> Iterator[str]:
    """Yield what must not happen on any machine."""
    for monitor, each in found.items():
        if len(each.late) < each.of_failures:
            yield f"{monitor.name}: {len(each.late)} of {each.of_failures} failures"
        if each.false_overlaps > 1:
            yield f"{monitor.name}: {each.false_overlaps} overlapped"


def wrong(limit: float, found: dict[Monitor, Outcome]) -> list[str]:
    """Print what became of each monitor's runs, and return what is late or left out."""
    problems = []
    for monitor, each in found.items():
        every = "minute" if monitor.period == limit else "five minutes"
        print(
            f"{monitor.name}, every {every}, job {monitor.duration:.1f} s:"
            f" {each.successes} of {each.of_successes} successes,"
            f" {len(each.late)} of {each.of_failures} failures, {each.false_overlaps} overlapped,"
            f" exec lives on for {median(each.waits):.1f} s",
            flush=True,
        )
        least = each.of_successes * (17 / 20 if monitor.period == limit else 1)
        if each.successes < least:
            problems.append(f"{monitor.name}: {each.successes} of {each.of_successes} successes")
    late = median([seconds for each in found.values() for seconds in each.late])
    lives_on = median([seconds for each in found.values() for seconds in each.waits])
    print(f"failures are {late:.2f} s late, exec lives on for {lives_on:.2f} s, in the median")
    if late > LATEST * limit:
        problems.append(f"failures are {late:.2f} s late in the median")
    if lives_on > LONGEST_WAIT * limit:
        problems.append(f"exec lives on for {lives_on:.2f} s in the median")
    return problems


def main() -> int:
    """Play it in the size that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--monitors", type=int, default=8)
    parser.add_argument("--runs", type=int, default=24, help="of a monitor that runs every minute")
    parser.add_argument("--limit", type=float, default=6.0, help="seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        problems = play(options.limit, options.monitors, options.runs, Path(folder))
    print("\n".join(problems) or "nothing is wrong")
    return bool(problems)


if __name__ == "__main__":
    raise SystemExit(main())
