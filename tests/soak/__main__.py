"""Runs the soak, or a shorter one with fewer faults.

    python -m tests.soak [--minutes 20] [--seed N]

Needs root, Debian's cron, unshare and ip. All of it happens in namespaces of its own (mounts,
processes, network), so that the host's crontabs are out of reach and nothing is left behind.
Prints the seed, what is done when, a table by monitor, and what is wrong; exits with 1 if
anything is. After the last minute it goes on until the last jobs have ended.
"""

import argparse
import contextlib
import heapq
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.programs import PROGRAM
from tests.soak.collect import known
from tests.soak.judge import Faults, judge
from tests.soak.machine import Machine, kill
from tests.soak.monitors import MONITORS
from tests.soak.plan import WHOLE, Kill, Victim, Window, plan
from tests.waiting import until

COLUMNS = (
    *("runs", "success", "failed", "twice"),  # on the server
    *("overlapped", "superseded", "folded", "skipped", "lost"),
)
LAST = 5.0
"""Seconds of the last minute without cron, so that it does not begin with another one."""
_NAMESPACES = ("--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc")
_INIT = '"$@" & wait $!'
"""A shell as PID 1: it reaps the processes whose parents have died, which Python would not."""


def soak(folder: Path, minutes: float, seed: int) -> list[str]:
    """Play everything, print the table, and return what is wrong."""
    machine = Machine(folder)
    log = folder / "server.log"
    until(lambda: log.exists() and log.read_text().endswith("\n"), "the sandbox is ready")
    for monitor in MONITORS:
        add = [*PROGRAM, "sandbox", "monitor", "add", monitor.name, "--db", machine.database]
        subprocess.run(add, check=True, stdout=subprocess.DEVNULL)
    machine.configure(json.loads(log.read_text().splitlines()[0])["api_key"])
    faults = attack(machine, minutes, seed)
    machine.stop_cron()
    code = machine.settle()
    problems = [f"flush ends with {code}"] if code else []
    problems += compare(machine, faults)
    machine.stop()
    return problems


def compare(machine: Machine, faults: Faults) -> list[str]:
    """Print the table by monitor, and return what is wrong."""
    problems = []
    print(f"{'':10}" + "".join(f"{name:>11}" for name in COLUMNS))
    for each in known(machine):
        found, wrong = judge(each, faults)
        problems += wrong
        print(f"{each.monitor.name:10}" + "".join(f"{found[name]:11}" for name in COLUMNS))
    return problems


def attack(machine: Machine, minutes: float, seed: int) -> Faults:
    """Carry out the planned faults from the next minute of the clock on; return them."""
    chance = random.Random(seed)
    windows, kills = plan(minutes, seed)
    began = (time.time() // 60 + 1) * 60
    killed: dict[str, tuple[Victim, float]] = {}
    todo: list[tuple[float, int, Kill | Window | contextlib.ExitStack]] = []
    todo += [(each.begin, number, each) for number, each in enumerate(windows)]
    todo += [(each.at, number, each) for number, each in enumerate(kills, len(windows))]
    heapq.heapify(todo)
    while todo and todo[0][0] < 60 * minutes - LAST:
        at, number, fault = heapq.heappop(todo)
        time.sleep(max(0.0, began + at - time.time()))
        if isinstance(fault, Kill):
            if victim := kill(fault.victim, chance, killed):
                killed[victim.run] = fault.victim, time.time()
                say(at, f"the {fault.victim} of {victim.monitor} is killed, run {victim.run}")
            else:
                heapq.heappush(todo, (at + 0.5, number, fault))
        elif isinstance(fault, Window):
            say(at, f"{fault.trouble} until {fault.end:.0f} s")
            trouble = contextlib.ExitStack()
            trouble.enter_context(machine.trouble(fault.trouble))
            heapq.heappush(todo, (fault.end, number, trouble))
        else:
            fault.close()
    time.sleep(max(0.0, began + 60 * minutes - LAST - time.time()))
    for _, _, fault in todo:
        if isinstance(fault, contextlib.ExitStack):
            fault.close()
    say(60 * minutes - LAST, f"the end, {len(kills) - len(killed)} kills found no victim")
    moved = [each._replace(begin=began + each.begin, end=began + each.end) for each in windows]
    return Faults(moved, killed)


def say(at: float, words: str) -> None:
    """Print what happens `at` so many seconds after the beginning."""
    print(f"{at:6.1f} s: {words}", flush=True)


def main() -> int:
    """Move into namespaces, and play it there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=WHOLE)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside is None:
        print(f"seed {options.seed}", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the namespaces, too
        again = [sys.executable, "-m", "tests.soak", f"--seed={options.seed}"]
        with tempfile.TemporaryDirectory(prefix="crontify-soak-") as folder:
            command = [*again, f"--minutes={options.minutes}", f"--inside={folder}"]
            inside = ["unshare", *_NAMESPACES, "sh", "-c", _INIT, "sh", *command]
            return subprocess.run(inside, stdin=subprocess.DEVNULL).returncode
    if os.getppid() != 1:
        parser.error("--inside is for the namespaces that this program makes")
    problems = soak(options.inside, options.minutes, options.seed)
    print("\n".join(problems) or "nothing is wrong")
    return bool(problems)


if __name__ == "__main__":
    raise SystemExit(main())
