"""Each function that `crontify exec` calls after the spawn fails once, each in a run of its own.

Functions are ours, the modules that we import, and what we call of the system.

    .venv/bin/python -m tests.job.faults_everywhere [--workers N] [--calls N] [--only TEXT]

The list comes from a trace of real runs (`tests/job/faulty.py`). After each run with a fault
`crontify flush` runs without one. Where an import fails, the run is a program of its own;
otherwise it is forked from a process that has imported everything.

The job's exit code and output must be right, and the server must have exactly one outcome,
the true one; it may have it twice if the function failed while a request was on its way.
Exits with 1 and prints the broken runs if a rule is broken.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.delivery.outcomes import queue
from tests.job.faulty import IN_A_HANDLER
from tests.server import ApiServer, settings

FAULTY = [sys.executable, str(Path(__file__).with_name("faulty.py"))]
ERRORS = ("RuntimeError", "OSError", "MemoryError")
CONFIG = "report_timeout = 5\nhttp_timeout = 5\n"
OURS_TO_LOSE = "crontify_cli.job.sinks:Passthrough.write>posix.write"
"""Where our own stdout fails, the job's output cannot arrive, and a line says so."""
SENDING = "crontify_cli.delivery.api:Api.ping"
PATIENCE = 120.0


class Scenario(NamedTuple):
    """A run. `has_backlog`: an older failure of the monitor is queued when it begins."""

    name: str
    flags: tuple[str, ...]
    seconds: float
    exit_code: int
    has_backlog: bool = False


SCENARIOS = (
    Scenario("a short failure", (), 0.0, 7),
    Scenario("a success", ("--meta-regex", r"rows=(?P<rows>\d+)", "--timeout", "1h"), 1.2, 0),
    Scenario("a late failure", ("--output", "on-failure", "--redact", "x+"), 0.2, 7, True),
)


class Fault(NamedTuple):
    """The `number`-th call of `function` after the spawn raises `error`."""

    scenario: Scenario
    function: str
    number: int
    error: str


class Played(NamedTuple):
    """What came of a fault: whether it happened at all, and what is wrong."""

    fault: Fault
    happened: bool
    problems: list[str]


class Ended(NamedTuple):
    """A process that has ended."""

    code: int
    out: str
    err: str


class Workshop:
    """Runs `crontify` as children of a process that has imported everything; for one thread."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [*FAULTY, "SERVE"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, args: Sequence[str], env: dict[str, str], folder: Path) -> Ended:
        """Run `crontify ARGS` in `folder` to its end."""
        assert self._server.stdin
        assert self._server.stdout
        out, err = folder / "out", folder / "err"
        for file in (out, err):
            file.write_text("")
        order = {"args": args, "env": env, "cwd": str(folder), "out": str(out), "err": str(err)}
        print(json.dumps(order), file=self._server.stdin, flush=True)
        code = int(self._server.stdout.readline())
        return Ended(code, out.read_text(), err.read_text())

    def close(self) -> None:
        """End the process."""
        self._server.communicate()


def run_alone(args: Sequence[str], env: dict[str, str], folder: Path) -> Ended:
    """Run `crontify ARGS` as a program of its own, which has to import what it needs."""
    done = subprocess.run(
        [*FAULTY, *args],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def trace(scenario: Scenario, folder: Path) -> Counter[str]:
    """Return the functions that a run calls after its spawn, and how often, in their order."""
    with ApiServer() as api:
        file = folder / "trace"
        _prepare(scenario, api, folder)
        env = {**_environment(api, folder), "FAULTY_TRACE": str(file)}
        run_alone(_command(scenario), env, folder)
        return Counter(file.read_text().split())


def faults(scenario: Scenario, folder: Path, calls: int) -> Iterator[Fault]:
    """Yield a fault for each function that the scenario calls, in the first `calls` of its calls.

    The errors take turns.
    """
    traced = trace(scenario, folder)
    del traced[OURS_TO_LOSE]
    traced.setdefault(IN_A_HANDLER, 1)
    for at, (function, count) in enumerate(traced.items()):
        for number in range(1, min(count, calls) + 1):
            error = "OSError" if ">" in function else ERRORS[(at + number) % len(ERRORS)]
            yield Fault(scenario, function, number, error)


def play(fault: Fault, folder: Path, workshop: Workshop) -> Played:
    """Play a run with this fault in the empty `folder`, then an undisturbed `crontify flush`."""
    hit, scenario = folder / "hit", fault.scenario
    run = run_alone if fault.function.endswith(":<module>") else workshop.run
    with ApiServer() as api:
        _prepare(scenario, api, folder)
        env = _environment(api, folder)
        at = f"{fault.function} {fault.number} {fault.error}"
        done = run(_command(scenario), {**env, "FAULTY_AT": at, "FAULTY_HIT": str(hit)}, folder)
        taken = len(_ends(api))
        flushed = workshop.run(["flush", "--quiet"], env, folder)
        stack = hit.read_text().split()[1:] if hit.exists() else []
        problems = [*_wrong_run(scenario, done), *_wrong_reports(scenario, api, stack)]
    if flushed.code:
        problems.append(f"flush ended with {flushed.code}")
    if left := list((folder / "state/live").glob("*.rec")):
        problems.append(f"{len(left)} records left behind")
    said = f"{done.err}{flushed.err}".strip()
    where = f"{scenario.name}: {fault.function}, call {fault.number}, {fault.error}"
    words = [f"{where}: {each} ({taken} sent by the run itself): {said}" for each in problems]
    return Played(fault, hit.exists(), words)


def _prepare(scenario: Scenario, api: ApiServer, folder: Path) -> None:
    (folder / "config.toml").write_text(CONFIG)
    (folder / "config.toml").chmod(0o600)
    if scenario.has_backlog:
        (folder / "state").mkdir(mode=0o700)
        queue(folder / "state", "backup", "older", url=api.url)


def _command(scenario: Scenario) -> list[str]:
    job = f"echo rows=5; echo err >&2; sleep {scenario.seconds}; exit {scenario.exit_code}"
    return ["exec", "backup", *scenario.flags, "--", "sh", "-c", job]


def _environment(api: ApiServer, folder: Path) -> dict[str, str]:
    ours = {"CRONTIFY_STATE_DIR": str(folder / "state"), "HOME": str(folder)}
    return {**os.environ, **settings(api), **ours, "CRONTIFY_CONFIG": str(folder / "config.toml")}


def _ends(api: ApiServer) -> list[str]:
    """Return the outcomes of the run itself that the server has, each as kind and message."""
    return [each.kind for each in api.accepted if each.kind != "start" and not _is_old(each.body)]


def _is_old(body: bytes) -> bool:
    return b"older" in body


def _wrong_run(scenario: Scenario, done: Ended) -> Iterator[str]:
    if done.code != scenario.exit_code:
        yield f"exit code {done.code}"
    if done.out != "rows=5\n":
        yield f"stdout {done.out!r}"
    if done.err.count("err\n") != 1:
        yield "stderr is not what the job wrote"
    if "Traceback" in done.err:
        yield "a traceback on stderr"


def _wrong_reports(scenario: Scenario, api: ApiServer, stack: Sequence[str]) -> Iterator[str]:
    kinds, ends = api.kinds(), _ends(api)
    wanted = "fail" if scenario.exit_code else "success"
    if not ends:
        yield "no outcome"
    if len(ends) > 1 and SENDING not in stack:
        yield f"{len(ends)} outcomes"
    if set(ends) - {wanted}:
        yield f"a false outcome: {ends}"
    if kinds.count("start") > 1 and SENDING not in stack:
        yield "two starts"
    for request in api.accepted:
        if b"unknown" in request.body:
            yield f"unknown, though it was known: {request.json['errorMessage']}"
        if request.kind == wanted and not _is_old(request.body):
            code = request.json["meta"].get("exit_code")
            if code != scenario.exit_code:
                yield f"reported with exit code {code}"
    old = sum(_is_old(request.body) for request in api.accepted)
    if scenario.has_backlog and (old < 1 or (old > 1 and SENDING not in stack)):
        yield f"the older failure arrived {old} times"


def play_all(chosen: Iterable[Fault], folder: Path, workers: int) -> Iterator[Played]:
    """Yield what came of each fault; `workers` of them are played at a time."""

    mine = threading.local()

    with ThreadPoolExecutor(workers) as pool, contextlib.ExitStack() as closing:

        def one(numbered: tuple[int, Fault]) -> Played:
            at, fault = numbered
            if not hasattr(mine, "workshop"):
                mine.workshop = Workshop()
                closing.callback(mine.workshop.close)
            own = folder / str(at)
            own.mkdir()
            try:
                return play(fault, own, mine.workshop)
            finally:
                shutil.rmtree(own)

        yield from pool.map(one, enumerate(chosen))


def main() -> int:
    """Play every fault of every scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--calls", type=int, default=2, help="of each function, the first N fail")
    parser.add_argument("--only", default="", help="only functions whose name contains this")
    options = parser.parse_args()
    began, problems, counts = time.monotonic(), 0, Counter[bool]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = []
        for at, scenario in enumerate(SCENARIOS):
            own = folder / f"trace-{at}"
            own.mkdir()
            chosen += [
                each
                for each in faults(scenario, own, options.calls)
                if options.only in each.function
            ]
        print(f"{len(chosen)} faults in {len({each.function for each in chosen})} functions")
        for played in play_all(chosen, folder, options.workers):
            counts[played.happened] += 1
            problems += bool(played.problems)
            for words in played.problems:
                print(words, flush=True)
    seconds = time.monotonic() - began
    print(f"{counts[True]} happened, {counts[False]} did not; {problems} wrong, in {seconds:.0f} s")
    return bool(problems)


if __name__ == "__main__":
    raise SystemExit(main())
