"""SIGKILL of the wrapper at random moments, and what the server must know of it in the end.

    .venv/bin/python -m tests.delivery.kills [--rounds 300] [--seed N]

Prints the seed and, at the end, at which steps the wrappers died; exits with 1 and the
broken rounds if a rule is broken.
"""

import argparse
import math
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from crontify_cli import processes
from tests.faults import delayed
from tests.programs import PROGRAM
from tests.server import ApiServer, Request, settings
from tests.waiting import until

BATCH = 25
JOB = 'echo once >> "$0-ran"; echo "output of $0"; sleep "$1"; date +%s.%N > "$0-end"; exit "$2"'


class Round(NamedTuple):
    """One killed run. `killed_at`: seconds since the epoch, after it; None if it ended before."""

    monitor: str
    exit_code: int
    killed_at: float | None
    returned: int


def life(folder: Path, env: dict[str, str]) -> float:
    """Return how many seconds a wrapper lives here and now, its job's own time not counted."""
    began = time.monotonic()
    subprocess.run([*PROGRAM, "exec", "measured", "--", "true"], cwd=folder, env=env, check=True)
    return time.monotonic() - began


def play(chance: random.Random, at: int, whole: float, folder: Path, env: dict[str, str]) -> Round:
    """Start a run, and kill its wrapper at a random moment of its life.

    whole: seconds that a wrapper lives beside its job.
    """
    monitor, code = f"m{at:04d}", chance.choice([0, 0, 3])
    lasts = chance.choice([0.0, 0.1, 1.5 * whole])
    command = [*PROGRAM, "exec", monitor, "--", "sh", "-c", JOB, monitor, str(lasts), str(code)]
    wrapper = subprocess.Popen(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        wrapper.wait(chance.uniform(0.0, 1.1 * whole + lasts))
    except subprocess.TimeoutExpired:
        wrapper.send_signal(signal.SIGKILL)
    returned = wrapper.wait()
    return Round(monitor, code, time.time() if returned == -signal.SIGKILL else None, returned)


def await_jobs(rounds: Sequence[Round]) -> None:
    """Wait until no job lives any more."""
    for each in rounds:
        until(lambda: not processes.carries("CRONTIFY_MONITOR", each.monitor), "the job ends")  # noqa: B023 - called at once


def flush(folder: Path, env: dict[str, str], copies: int = 4) -> None:
    """Run `crontify flush`, several at once; each ends with 0."""
    command = [*PROGRAM, "flush", "--quiet"]
    flushes = [subprocess.Popen(command, cwd=folder, env=env) for _ in range(copies)]
    codes = [each.wait(120) for each in flushes]
    assert codes == [0] * copies, codes


def step(each: Round, folder: Path, requests: Sequence[Request], lost: bool) -> str:
    """Return in words how far the wrapper came."""
    if each.killed_at is None:
        return "ended before it was killed"
    if not (folder / f"{each.monitor}-ran").exists():
        return "killed before the spawn"
    if lost:
        begun = "start" in [request.kind for request in requests]
        return f"killed during the job, {'after' if begun else 'before'} its start was sent"
    return "killed after the job"


def broken(each: Round, folder: Path, requests: Sequence[Request]) -> list[str]:
    """Return what is wrong with what the server knows of a round, in words."""
    kinds = [request.kind for request in requests]
    ends = [kind for kind in kinds if kind != "start"]
    ran, end = folder / f"{each.monitor}-ran", folder / f"{each.monitor}-end"
    found = []
    if not ran.exists():
        return ["a success of a job that never ran"] if "success" in kinds else []
    if ran.read_text() != "once\n":
        found.append("the job ran more than once")
    if not ends:
        found.append("no outcome")
    if "start" in kinds[1:]:
        found.append("a start after something else")
    if len(set(ends)) > 1:
        found.append("two different outcomes")
    if "success" in ends and each.exit_code:
        found.append("a success of a job that failed")
    ended = float(end.read_text()) if end.exists() else math.inf  # it may die of SIGPIPE
    if "success" in ends and each.killed_at is not None and each.killed_at < ended:
        found.append("a success that nobody saw")
    if each.killed_at is None and each.returned != each.exit_code:
        found.append(f"exit code {each.returned} for {each.exit_code}")
    if len(ends) > 1 and each.killed_at is None:
        found.append("an outcome sent twice though nobody was killed")
    return [f"{each}: {words}: {kinds}" for words in found]


def attack(api: ApiServer, folder: Path, rounds: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Play so many rounds; return how often each step was met, and what is wrong."""
    chance = random.Random(seed)
    state = folder / "state"
    env = {**os.environ, **settings(api), "CRONTIFY_STATE_DIR": str(state)}
    steps: Counter[str] = Counter()
    problems = []
    for first in range(0, rounds, BATCH):
        whole = life(folder, env)
        batch = [
            play(chance, at, whole, folder, env) for at in range(first, min(first + BATCH, rounds))
        ]
        await_jobs(batch)
        flush(folder, env)
        sent = defaultdict(list)
        for request in api.accepted:
            sent[request.path.split("/")[4]].append(request)
        for each in batch:
            requests = sent[each.monitor]
            lost = any(b"outcome is unknown" in request.body for request in requests)
            steps[step(each, folder, requests, lost)] += 1
            problems += broken(each, folder, requests)
        left = list((state / "live").glob("*"))
        problems += [f"left behind: {path.name}" for path in left if path.suffix == ".rec"]
    return steps, problems


def main() -> int:
    """Play the rounds against a server that is 20 ms away."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()
    with ApiServer() as api, tempfile.TemporaryDirectory() as folder:
        api.default = delayed(0.02)
        steps, problems = attack(api, Path(folder), options.rounds, options.seed)
    for name, count in steps.most_common():
        print(f"{count:5} {name}")
    print(f"{options.rounds} rounds in {time.monotonic() - began:.0f} s, {len(problems)} wrong")
    print("\n".join(problems))
    return bool(problems)


if __name__ == "__main__":
    raise SystemExit(main())
