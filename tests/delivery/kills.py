"""SIGKILL at random moments of a run, and what the server must know of it in the end.

    .venv/bin/python -m tests.delivery.kills [--rounds 600] [--seed N]

One third of the signals goes to the wrapper, one to the job, one to both. The API answers,
hangs and returns a web page in turn; then it answers, and `crontify flush` runs. Prints the
seed and, at the end, where the signals hit and how many outcomes arrived twice; exits with 1
and the broken rounds if a rule is broken.
"""

import argparse
import contextlib
import math
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from crontify_cli import processes, record
from tests.faults import delayed, garbage, hang_after_reading
from tests.programs import PROGRAM
from tests.server import ApiServer, Behaviour, Request, settings
from tests.waiting import until

BATCH = 12
AT_ONCE = 3
JOB = 'echo once >> "$0-ran"; echo "output of $0"; sleep "$1"; date +%s.%N > "$0-end"; exit "$2"'
CONFIG = "http_timeout = 1\nreport_timeout = 2\n"
RIGHT = delayed(0.02)
MOODS = {"answers": RIGHT, "hangs": hang_after_reading, "returns a web page": garbage}
"""What the API does while the runs go on."""
LAG = 0.5
"""Seconds by which a busy server may be late to read a request."""
KILLED = 128 + signal.SIGKILL


class Round(NamedTuple):
    """One run and its SIGKILL.

    killed_at: seconds since the epoch, after the wrapper was killed; None if it was not.
    kill_began, kill_ended: before it was sent the signal and after it was gone, in seconds of
    `time.monotonic()`.
    is_job_killed: whether the job was there to be sent the signal.
    """

    monitor: str
    mood: str
    exit_code: int
    killed_at: float | None
    kill_began: float
    kill_ended: float
    is_job_killed: bool
    returned: int


def life(folder: Path, env: dict[str, str]) -> float:
    """Return how many seconds a wrapper lives here and now, its job's own time not counted."""
    began = time.monotonic()
    subprocess.run([*PROGRAM, "exec", "measured", "--", "true"], cwd=folder, env=env, check=True)
    return time.monotonic() - began


def play(folder: Path, env: dict[str, str], mood: str, whole: float, seed: int, at: int) -> Round:
    """Start run number `at`, and kill its wrapper, its job or both at a random moment.

    whole: seconds that a wrapper lives beside its job.
    """
    chance = random.Random(f"{seed} {at}")
    monitor, code = f"m{at:04d}", chance.choice([0, 0, 3])
    target = ("wrapper", "job", "both")[at % 3]
    lasts = chance.choice([0.0, 0.1, 1.5 * whole])
    moment = chance.uniform(0.0, 0.9 * whole + lasts)
    if target == "job":
        lasts += 0.2 * whole  # it is not there from the beginning
        moment = chance.uniform(0.0, lasts)
    command = [*PROGRAM, "exec", monitor, "--", "sh", "-c", JOB, monitor, str(lasts), str(code)]
    wrapper = subprocess.Popen(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    is_job_killed, began = False, math.inf
    try:
        wrapper.wait(moment)
    except subprocess.TimeoutExpired:
        if target != "wrapper":
            is_job_killed = kill_job(wrapper.pid, monitor)
        while target == "job" and not is_job_killed and wrapper.poll() is None:
            is_job_killed = kill_job(wrapper.pid, monitor)
            time.sleep(0.01)
        began = time.monotonic()
        if target != "job":
            wrapper.send_signal(signal.SIGKILL)
    returned = wrapper.wait()
    killed_at = time.time() if returned == -signal.SIGKILL else None
    ended = time.monotonic()
    return Round(monitor, mood, code, killed_at, began, ended, is_job_killed, returned)


def kill_job(wrapper: int, monitor: str) -> bool:
    """Kill the job of a wrapper; False if it has none at the moment."""
    for pid in processes.descendants(wrapper):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if words[0] == b"sh" and monitor.encode() in words:
                os.kill(pid, signal.SIGKILL)
                return True
    return False


def await_jobs(rounds: Sequence[Round]) -> None:
    """Wait until no job lives any more, and none is about to begin."""
    for each in rounds:
        until(partial(has_ended, each.monitor), "the job ends")


def has_ended(monitor: str) -> bool:
    """Tell whether no process belongs to a monitor's run.

    Between its fork and its exec the job has the wrapper's environment, but also the wrapper's
    command line, which names the monitor as its own does.
    """
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit() and monitor.encode() in (
                Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            ):
                return False
    return not processes.carries("CRONTIFY_MONITOR", monitor)


def flush(folder: Path, env: dict[str, str], copies: int = 4) -> None:
    """Run `crontify flush`, several at once; each ends with 0."""
    command = [*PROGRAM, "flush", "--quiet"]
    flushes = [subprocess.Popen(command, cwd=folder, env=env) for _ in range(copies)]
    codes = [each.wait(120) for each in flushes]
    assert codes == [0] * copies, codes


def step(each: Round, folder: Path, requests: Sequence[Request]) -> str:
    """Return in words what the signal hit."""
    if each.killed_at is None:
        return "the job" if each.is_job_killed else "nothing: it came too late or too early"
    if each.is_job_killed:
        return "wrapper and job"
    if not (folder / f"{each.monitor}-ran").exists():
        return "the wrapper, before the spawn"
    if any(b"outcome is unknown" in request.body for request in requests):
        begun = "start" in [request.kind for request in requests]
        return f"the wrapper, {'after' if begun else 'before'} its start was taken"
    return "the wrapper, after the job"


def broken(each: Round, folder: Path, requests: Sequence[Request]) -> list[str]:
    """Return what is wrong with what the server knows of a round, in words."""
    kinds = [request.kind for request in requests]
    ends = [request for request in requests if request.kind != "start"]
    said = {request.kind for request in ends}
    ran, end = folder / f"{each.monitor}-ran", folder / f"{each.monitor}-end"
    found = []
    if not ran.exists() and not each.is_job_killed:
        return ["a success of a job that never ran"] if "success" in said else []
    if ran.exists() and ran.read_text() not in ("once\n", *([""] if each.is_job_killed else [])):
        found.append("the job ran more than once")
    if not ends:
        found.append("no outcome")
    if "start" in kinds[1:]:
        found.append("a start after something else")
    if len(said) > 1:
        found.append("two different outcomes")
    if len(ends) > 1 and not is_sent_before_the_kill(each, ends):
        found.append("an outcome sent twice though no kill fell between sending and the answer")
    codes = {each.exit_code} | ({KILLED} if each.is_job_killed else set())
    for request in ends:
        code = request.json["meta"].get("exit_code")
        if code is None and each.killed_at is None:
            found.append("an unknown outcome though the wrapper lived")
        if code is not None and code not in (codes if each.killed_at else {each.returned}):
            found.append(f"reported with exit code {code}")
        if (request.kind == "success") != (code == 0):
            found.append(f"a {request.kind} with exit code {code}")
    if each.killed_at is None and each.returned not in codes:
        found.append(f"exit code {each.returned}, not one of {codes}")
    ended = float(end.read_text() or "inf") if end.exists() else math.inf
    if "success" in said and (each.killed_at or time.time()) < ended:
        found.append("a success that nobody saw")
    arrived = [(request.kind, request.arrived) for request in requests]
    return [f"{each}: {words}: {arrived}" for words in found]


def is_sent_before_the_kill(each: Round, ends: Sequence[Request]) -> bool:
    """Tell whether the wrapper may have been killed while it waited for the answer.

    The server may read what the wrapper had sent a moment after that is gone, and another run
    may report it before this process has noticed.
    """
    first, second, *more = sorted(request.arrived for request in ends)
    is_first_its_own = first < each.kill_ended + LAG
    return each.killed_at is not None and is_first_its_own and each.kill_began < second and not more


def attack(
    api: ApiServer, folder: Path, rounds: int, seed: int, moods: dict[str, Behaviour] = MOODS
) -> tuple[Counter[str], list[str]]:
    """Play so many rounds; return what was met how often, and what is wrong."""
    state = folder / "state"
    config = folder / "kills.toml"
    config.write_text(CONFIG)
    config.chmod(0o600)
    ours = {"CRONTIFY_STATE_DIR": str(state), "CRONTIFY_CONFIG": str(config)}
    env = {**os.environ, **settings(api), **ours}
    met: Counter[str] = Counter()
    problems = []
    names = list(moods)
    for number, first in enumerate(range(0, rounds, BATCH)):
        mood = names[number % len(names)]
        api.default = moods[mood]
        whole = life(folder, env)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            one = partial(play, folder, env, mood, whole, seed)
            batch = list(pool.map(one, range(first, min(first + BATCH, rounds))))
        await_jobs(batch)
        api.default = RIGHT
        flush(folder, env)
        sent = defaultdict(list)
        for request in api.accepted:
            sent[request.path.split("/")[4]].append(request)
        for each in batch:
            requests = sent[each.monitor]
            met[f"{mood}; hit {step(each, folder, requests)}"] += 1
            twice = len([request for request in requests if request.kind != "start"]) > 1
            met[f"{mood}; an outcome twice"] += twice
            problems += broken(each, folder, requests)
        problems += left_behind(state, folder)
    return +met, problems


def left_behind(state: Path, folder: Path) -> list[str]:
    """Return the records that should have been reported, in words.

    A wrapper that was killed before it wrote the header has not begun a job either, and others
    leave such a record alone for a minute, since it may be one that is just being made.
    """
    found = []
    for path in (state / "live").glob("*.rec"):
        data = path.read_bytes()
        monitor = path.stem.partition("-")[2]
        if data.startswith(record.MAGIC) or (folder / f"{monitor}-ran").exists():
            found.append(f"left behind: {path.name}: {data[:256]!r}")
    return found


def main() -> int:
    """Play the rounds against a server that is 20 ms away."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--moods", nargs="+", choices=MOODS, default=list(MOODS))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()
    moods = {name: MOODS[name] for name in options.moods}
    with ApiServer() as api, tempfile.TemporaryDirectory() as folder:
        met, problems = attack(api, Path(folder), options.rounds, options.seed, moods)
    for name, count in sorted(met.items()):
        print(f"{count:5} {name}")
    print(f"{options.rounds} rounds in {time.monotonic() - began:.0f} s, {len(problems)} wrong")
    print("\n".join(problems))
    return bool(problems)


if __name__ == "__main__":
    raise SystemExit(main())
