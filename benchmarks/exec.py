"""Measure the overhead of `crontify exec` for a job, compared with similar programs.

    .venv/bin/python benchmarks/exec.py [--rounds 15] [--gigabytes 4]

Each round runs every program once, as a whole process on loopback, so that a slow moment of
the machine affects all of them. Prints Markdown for the README: medians in milliseconds,
and medians of the ratios within each round. chronic and sentry-cli are included if they
are in PATH.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.faults import delayed, hang_after_reading, refusing_url  # noqa: E402
from tests.server import KEY, ApiServer  # noqa: E402

CRONTIFY = str(Path(sys.executable).with_name("crontify"))
# The job's first instruction records the time.
STAMP = (
    'date +%s.%N > "$STAMP"; [ -z "$PRINTS" ] || yes "a line of output" | head -c "$PRINTS";'
    ' exec sleep "$LASTS"'
)
# Endless output, in a process group whose leader records when TERM arrives.
FLOOD = (
    'date +%s.%N > "$STAMP"; trap \'date +%s.%N > "$STAMP.term"; exit\' TERM;'
    " yes & while :; do wait; done"
)
DISTANCE = 0.05
LASTS = 0.6


class Times(NamedTuple):
    """Seconds before the job's first instruction, after its end, and in total; and CPU seconds."""

    before: float
    after: float
    whole: float
    cpu: float


class Case(NamedTuple):
    """A command that runs the job, which records the time and sleeps for `lasts` seconds."""

    name: str
    api: str
    command: Sequence[str]
    environ: dict[str, str]
    lasts: float = LASTS


def run(case: Case, folder: Path) -> Times:
    """Run the command once."""
    stamp = folder / "stamp"
    stamp.unlink(missing_ok=True)
    environ = {**case.environ, "STAMP": str(stamp), "LASTS": str(case.lasts)}
    began = time.time()
    pid = _spawn(case.command, environ)
    _, _, usage = os.wait4(pid, 0)
    ended = time.time()
    first = float(stamp.read_text()) if stamp.exists() else ended
    cpu = usage.ru_utime + usage.ru_stime
    return Times(first - began, ended - first - case.lasts, ended - began, cpu)


def _spawn(command: Sequence[str], environ: dict[str, str]) -> int:
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    return os.posix_spawnp(command[0], list(command), environ, file_actions=null)


@contextlib.contextmanager
def apis() -> Iterator[dict[str, str]]:
    """Yield the base URLs of APIs that answer in different ways."""
    with contextlib.ExitStack() as stack:
        instant, distant, hanging = (stack.enter_context(ApiServer()) for _ in range(3))
        distant.default = delayed(DISTANCE)
        hanging.default = hang_after_reading
        refusing = stack.enter_context(refusing_url())
        yield {
            "at once": instant.url,
            "after 50 ms": distant.url,
            "never": hanging.url,
            "refuses": refusing,
        }


def seeds_script(url: str, folder: Path) -> list[str]:
    """Return the shell script with curl from the API's documentation."""
    text = (ROOT / "tests/data/seed-http-integration.txt").read_text().partition("#!/bin/bash")[2]
    for name, value in (("API_KEY", KEY), ("MONITOR_ID", "bench"), ("BASE_URL", url)):
        start = text.index(f'{name}="')
        text = text[:start] + f'{name}="{value}"' + text[text.index("\n", start) :]
    job = folder / "job.sh"
    job.write_text(STAMP)
    script = Path(tempfile.mkdtemp(dir=folder)) / "seed.sh"
    script.write_text(
        text.replace("python3 /path/to/job.py", f"sh {job}").replace("curl", "curl -m 30")
    )
    return ["bash", str(script)]


def cases(urls: dict[str, str], folder: Path) -> Iterator[Case]:
    """Yield each row of the table; the first two are the references."""
    base = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    job = ["sh", "-c", STAMP]
    yield Case("`python -c pass`", "", [sys.executable, "-c", "pass"], base, 0)
    yield Case("`python -c 'import httpx'`", "", [sys.executable, "-c", "import httpx"], base, 0)
    yield Case("the job alone", "", job, base)
    if shutil.which("chronic"):
        yield Case("chronic", "", ["chronic", *job], base)
    # Short timeouts, so that a round ends soon; the job does not wait for them anyway.
    config = folder / "config.toml"
    config.write_text("report_timeout = 1\nhttp_timeout = 1\n")
    for state, url in urls.items():
        environ = {
            **base,
            "CRONTIFY_API_KEY": KEY,
            "CRONTIFY_BASE_URL": url,
            "CRONTIFY_CONFIG": str(config),
            "CRONTIFY_STATE_DIR": str(folder / f"state-{state.split()[-1]}"),
        }
        yield Case("crontify exec", state, [CRONTIFY, "exec", "bench", "--", *job], environ)
        if state == "at once":
            skip = [CRONTIFY, "exec", "bench", "--overlap", "skip", "--", *job]
            yield Case("crontify exec --overlap skip", state, skip, environ)
            true = [CRONTIFY, "exec", "bench", "--", "true"]
            yield Case("crontify exec, a job of 0 s", state, true, environ, 0)
        if state != "never":  # they would never start the job
            yield from others(state, url, folder)


def others(state: str, url: str, folder: Path) -> Iterator[Case]:
    """Yield the other programs that report a job to an API."""
    base = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    yield Case("shell script with curl", state, seeds_script(url, folder), base)
    if shutil.which("sentry-cli"):
        # sentry-cli ignores what this server answers.
        dsn = url.replace("://", "://key@").replace("/api/v1", "/1")
        command = ["sentry-cli", "monitors", "run", "bench", "--", "sh", "-c", STAMP]
        yield Case("sentry-cli", state, command, {**base, "SENTRY_DSN": dsn})


def latency(rounds: int, folder: Path) -> None:
    """Print the table of delays and CPU."""
    with apis() as urls:
        rows = [*cases(urls, folder)]
        for case in rows:
            run(case, folder)
        taken = [[run(case, folder) for case in rows] for _ in range(rounds)]
    print("| | API | to the job's first instruction, ms | × `pass` | after its end, ms | CPU |")
    print("|---|---|---|---|---|---|")
    for at, case in enumerate(rows):
        times = Times(*(statistics.median(f) for f in zip(*(r[at] for r in taken), strict=True)))
        delay = statistics.median(each[at].before / each[0].before for each in taken)
        cpu = statistics.median(each[at].cpu / each[1].cpu for each in taken)
        before, after = f"{times.before * 1000:.1f}", f"{times.after * 1000:.0f}"
        if at < 2:
            after = ""
        elif "of 0 s" in case.name:
            whole = statistics.median(each[at].whole / each[1].whole for each in taken)
            after = f"in all {whole:.2f} × `import httpx`"
            before, delay = "", 0.0
        elif case.api == "after 50 ms":
            after += f" ({times.after / DISTANCE:.2f} round trips)"
        ratio = f"{delay:.2f}" if delay else ""
        print(f"| {case.name} | {case.api} | {before} | {ratio} | {after} | {cpu:.2f} |")
    print(f"\nMedians of {rounds} rounds, job of {LASTS} s; CPU is × `import httpx`.")


def precision(rounds: int, folder: Path) -> None:
    """Print how late the TERM of `--timeout 1s` is sent while the job prints without end."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "STAMP": str(folder / "flood")}
    environ["CRONTIFY_STATE_DIR"] = str(folder / "state-flood")
    command = [CRONTIFY, "exec", "bench", "--timeout", "1s", "--", "bash", "-c", FLOOD]
    late = []
    for _ in range(rounds):
        os.waitpid(_spawn(command, environ), 0)
        first = float((folder / "flood").read_text())
        late.append(float((folder / "flood.term").read_text()) - first - 1)
    middle, worst = statistics.median(late) * 1000, max(late, key=abs) * 1000
    print(f"\n`--timeout 1s` with endless output: {middle:+.0f} ms late, at most {worst:+.0f} ms.")


def throughput(rounds: int, gigabytes: float, folder: Path) -> None:
    """Print the throughput of output through the wrapper into a pipe, and the memory usage."""
    size = int(gigabytes * 1e9)
    job = f"head -c {size} /dev/zero"
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "CRONTIFY_STATE_DIR": str(folder)}
    lines = {
        "a middle `cat`": f"{job} | cat | cat >/dev/null",
        "crontify exec": f"{CRONTIFY} exec bench -- sh -c '{job}' 2>/dev/null | cat >/dev/null",
        "nothing between": f"{job} | cat >/dev/null",
    }

    def seconds(line: str) -> float:
        began = time.monotonic()
        subprocess.run(["sh", "-c", line], env=environ, check=True)
        return time.monotonic() - began

    seconds(lines["crontify exec"])
    taken = [[seconds(line) for line in lines.values()] for _ in range(rounds)]
    print(f"\n| {gigabytes:g} GB into a pipe | seconds | × a middle `cat` |")
    print("|---|---|---|")
    for at, name in enumerate(lines):
        ratio = statistics.median(each[at] / each[0] for each in taken)
        print(f"| {name} | {statistics.median(each[at] for each in taken):.2f} | {ratio:.2f} |")
    wordy = f"yes 'a line of output' | head -c {size}"
    jobs = ["true", wordy, f"head -c {size // 4} /dev/zero"]
    none, much, one_line = (_peak(job, environ) / 1024 for job in jobs)
    print(
        f"\nPeak memory: {none:.1f} MiB without output, {much:.1f} MiB with {gigabytes:g} GB of"
        f" it, {one_line:.1f} MiB with {gigabytes / 4:g} GB in one line."
    )


def _peak(job: str, environ: dict[str, str]) -> int:
    """Return the peak memory of the wrapper in KiB."""
    return os.wait4(_spawn([CRONTIFY, "exec", "bench", "--", "sh", "-c", job], environ), 0)[
        2
    ].ru_maxrss


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--gigabytes", type=float, default=4)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crontify-bench-") as name:
        folder = Path(name)
        parts: Sequence[Callable[[], None]] = (
            lambda: latency(args.rounds, folder),
            lambda: precision(max(3, args.rounds // 3), folder),
            lambda: throughput(max(5, args.rounds // 2), args.gigabytes, folder),
        )
        for part in parts:
            part()


if __name__ == "__main__":
    main()
