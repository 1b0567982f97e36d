"""Many runs at once on one journal: all of them ran, all are reported, none twice.

    .venv/bin/python -m tests.delivery.crowd [--runs 1000] [--monitors 50] [--at-once 100]

First with an API that is 20 ms away, then with one that refuses and comes back, and four
copies of `crontify flush` at once. Exits with 1 and what is wrong, if anything is.
"""

import argparse
import os
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from crontify_cli.delivery.journal import Journal
from tests.delivery.kills import flush
from tests.faults import delayed
from tests.programs import PROGRAM
from tests.server import ApiServer, settings


def exit_code(at: int) -> int:
    """Return how the job of run `at` ends: every third fails."""
    return 3 if at % 3 == 0 else 0


def run_all(
    folder: Path, env: dict[str, str], runs: range, monitors: int, at_once: int
) -> list[str]:
    """Run so many jobs, some at once; return what is wrong with how they ended."""
    numbers = iter(runs)
    problems: list[str] = []
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                at = next(numbers, None)
            if at is None:
                return
            job = f"echo once >> ran-{at}; exit {exit_code(at)}"
            command = ["exec", f"m{at % monitors}", "--meta", f"n={at}", "--", "sh", "-c", job]
            done = subprocess.run(
                [*PROGRAM, *command], cwd=folder, env=env, capture_output=True, text=True
            )
            if (done.returncode, done.stderr) != (exit_code(at), ""):
                problems.append(f"run {at}: exit {done.returncode}: {done.stderr.strip()}")

    workers = [threading.Thread(target=work) for _ in range(at_once)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for at in runs:
        ran = folder / f"ran-{at}"
        if not ran.exists() or ran.read_text() != "once\n":
            problems.append(f"run {at}: its job did not run once")
    return problems


def wrong_reports(api: ApiServer, state: Path, runs: range, *, all_arrive: bool) -> Iterator[str]:
    """Yield what is wrong with what the server and the journal know of the runs.

    all_arrive: old successes too, which a late delivery leaves out.
    """
    ends = [request for request in api.accepted if request.kind != "start"]
    numbers = [(request.json["meta"].get("n"), request) for request in ends]
    arrived = Counter(number for number, _ in numbers)
    kinds = {number: request.kind for number, request in numbers}
    for number, request in numbers:
        if number is None:
            yield f"a report that no run made itself: {request.json}"
    rows = list(Journal.open(str(state)).runs(limit=len(runs)))
    folded = {row.meta["n"] for row in rows if row.report == "folded"}
    included = sum(request.json["meta"].get("late_failures", 1) - 1 for request in ends)
    if included != len(folded):
        yield f"{len(folded)} failures are folded, and the reports include {included}"
    for at in runs:
        wanted = "fail" if exit_code(at) else "success"
        if arrived[at] > 1:
            yield f"run {at}: reported {arrived[at]} times"
        if arrived[at] and at in folded:
            yield f"run {at}: folded, but reported by itself, too"
        if not arrived[at] and (all_arrive or (wanted == "fail" and at not in folded)):
            yield f"run {at}: never reported"
        if kinds.get(at, wanted) != wanted:
            yield f"run {at}: reported as {kinds[at]}"
    states = Counter(row.report for row in rows)
    if sum(states.values()) != len(runs) or set(states) - {"delivered", "superseded", "folded"}:
        yield f"the journal has {dict(states)}"
    if all_arrive and (states["superseded"] or folded):
        yield f"{states['superseded']} superseded though the API was there, {len(folded)} folded"


def crowd(folder: Path, runs: int, monitors: int, at_once: int) -> list[str]:
    """Do both halves; return what is wrong."""
    state = folder / "state"
    with ApiServer() as api:
        env = {**os.environ, **settings(api), "CRONTIFY_STATE_DIR": str(state)}
        api.default = delayed(0.02)
        began = time.monotonic()
        first, second = range(runs), range(runs, 2 * runs)
        problems = run_all(folder, env, first, monitors, at_once)
        print("\n".join(problems[:20]), flush=True)
        flush(folder, env, 1)
        problems += wrong_reports(api, state, first, all_arrive=True)
        starts = api.kinds().count("start")
        print(f"{runs} runs in {time.monotonic() - began:.0f} s, {starts} starts", flush=True)
        began = time.monotonic()
        api.down()
        problems += run_all(folder, env, second, monitors, at_once)
        print(f"{runs} runs while it refuses in {time.monotonic() - began:.0f} s", flush=True)
        api.up()
        began = time.monotonic()
        flush(folder, env, 4)
        print(f"four flushes in {time.monotonic() - began:.1f} s", flush=True)
        problems += wrong_reports(api, state, second, all_arrive=False)
        if left := list((state / "live").glob("*")):
            problems.append(f"left behind: {left}")
    return problems


def main() -> int:
    """Play it in the size that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--monitors", type=int, default=50)
    parser.add_argument("--at-once", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        problems = crowd(Path(folder), options.runs, options.monitors, options.at_once)
    print("\n".join(problems) or "nothing is wrong")
    return bool(problems)


if __name__ == "__main__":
    raise SystemExit(main())
