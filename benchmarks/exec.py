"""What `crontify exec` costs a job, beside its peers and its floor, as ratios in one run.

    .venv/bin/python benchmarks/exec.py [--rounds 15] [--gigabytes 4]

Everything is whole processes on loopback. Prints Markdown tables: medians in
milliseconds and their ratio to `python -c pass`; then output through the wrapper in
seconds and its peak memory. chronic and sentry-cli take part where installed.
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
# The job's first instruction writes the clock down.
STAMP = 'date +%s.%N > "$STAMP"; exec sleep "$LASTS"'


class Times(NamedTuple):
    """Seconds: from our start to the job's first instruction, after its end, and CPU in all."""

    before: float
    after: float
    cpu: float


def run(command: Sequence[str], environ: dict[str, str], folder: Path, lasts: float) -> Times:
    """Run one wrapper around the stamping job."""
    stamp = folder / "stamp"
    stamp.unlink(missing_ok=True)
    environ = {**environ, "STAMP": str(stamp), "LASTS": str(lasts)}
    began = time.time()
    pid = os.posix_spawnp(
        command[0],
        list(command),
        environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
    )
    _, _, usage = os.wait4(pid, 0)
    ended = time.time()
    first = float(stamp.read_text()) if stamp.exists() else ended
    return Times(first - began, ended - first - lasts, usage.ru_utime + usage.ru_stime)


def medians(take: Callable[[], Times], rounds: int) -> Times:
    """Return the median of each figure over `rounds` runs, after one that does not count."""
    take()
    taken = [take() for _ in range(rounds)]
    return Times(*(statistics.median(figures) for figures in zip(*taken, strict=True)))


@contextlib.contextmanager
def apis() -> Iterator[dict[str, str]]:
    """Yield the base URL of an API in each state."""
    with contextlib.ExitStack() as stack:
        instant, distant, hanging = (stack.enter_context(ApiServer()) for _ in range(3))
        distant.default = delayed(0.05)
        hanging.default = hang_after_reading
        refusing = stack.enter_context(refusing_url())
        yield {
            "at once": instant.url,
            "after 50 ms": distant.url,
            "never": hanging.url,
            "refuses": refusing,
        }


def seeds_script(url: str, folder: Path) -> list[str]:
    """The user's document's own way, with curl."""
    text = (ROOT / "tests/data/seed-http-integration.txt").read_text().partition("#!/bin/bash")[2]
    for name, value in (("API_KEY", KEY), ("MONITOR_ID", "bench"), ("BASE_URL", url)):
        start = text.index(f'{name}="')
        text = text[:start] + f'{name}="{value}"' + text[text.index("\n", start) :]
    job = folder / "job.sh"
    job.write_text(STAMP)
    script = folder / "seed.sh"
    script.write_text(
        text.replace("python3 /path/to/job.py", f"sh {job}").replace("curl", "curl -m 30")
    )
    return ["bash", str(script)]


def sentry(url: str, environ: dict[str, str]) -> dict[str, str]:
    """Point sentry-cli at the same server; what it is answered there it does not mind."""
    return {**environ, "SENTRY_DSN": url.replace("://", "://key@").replace("/api/v1", "/1")}


def latency(rounds: int, folder: Path) -> None:
    """Print the table of delays and CPU."""
    base = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    job = ["sh", "-c", STAMP]
    floor = medians(lambda: run([sys.executable, "-c", "pass"], base, folder, 0), rounds).before
    client = [sys.executable, "-c", "import httpx"]
    httpx = medians(lambda: run(client, base, folder, 0), rounds)
    print(f"`python -c pass` {floor * 1000:.1f} ms, `python -c 'import httpx'`", end=" ")
    print(f"{httpx.before * 1000:.1f} ms ({httpx.cpu * 1000:.0f} ms of CPU)\n")
    print("| | API | before the job, ms | × `pass` | after it, ms | CPU × `import httpx` |")
    print("|---|---|---|---|---|---|")

    def row(name: str, state: str, command: Sequence[str], environ: dict[str, str]) -> None:
        times = medians(lambda: run(command, environ, folder, 0.6), rounds)
        print(
            f"| {name} | {state} | {times.before * 1000:.1f} | {times.before / floor:.2f}"
            f" | {times.after * 1000:.0f} | {times.cpu / httpx.cpu:.2f} |",
            flush=True,
        )

    row("job alone", "", job, base)
    if shutil.which("chronic"):
        row("chronic", "", ["chronic", *job], base)
    with apis() as urls:
        for state, url in urls.items():
            # A short patience, so that the rounds end; the job does not wait for it anyway.
            config = folder / "config.toml"
            config.write_text("report_timeout = 1\nhttp_timeout = 1\n")
            environ = {
                **base,
                "CRONTIFY_API_KEY": KEY,
                "CRONTIFY_BASE_URL": url,
                "CRONTIFY_CONFIG": str(config),
                "CRONTIFY_STATE_DIR": str(folder / f"state-{state.split()[-1]}"),
            }
            row("crontify exec", state, [CRONTIFY, "exec", "bench", "--", *job], environ)
            if state == "at once":
                skip = [CRONTIFY, "exec", "bench", "--overlap", "skip", "--", *job]
                row("crontify exec --overlap skip", state, skip, environ)
            if state != "never":
                row("the document's script with curl", state, seeds_script(url, folder), base)
            if shutil.which("sentry-cli") and state != "never":
                command = ["sentry-cli", "monitors", "run", "bench", "--", *job]
                row("sentry-cli", state, command, sentry(url, base))


def throughput(gigabytes: float, folder: Path) -> None:
    """Print the table of output through a wrapper into a pipe."""
    size = int(gigabytes * 1e9)
    job = f"head -c {size} /dev/zero"
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "CRONTIFY_STATE_DIR": str(folder)}
    wrapped = f"{CRONTIFY} exec bench -- sh -c"
    rows = {
        "nothing between": f"{job} | cat >/dev/null",
        "a middle `cat`": f"{job} | cat | cat >/dev/null",
        "crontify exec": f"{wrapped} '{job}' 2>/dev/null | cat >/dev/null",
    }
    print(f"\n| {gigabytes:g} GB into a pipe | seconds | × a middle `cat` |")
    print("|---|---|---|")
    times: dict[str, float] = {}
    for name, line in rows.items():
        taken = []
        for _ in range(3):
            began = time.monotonic()
            subprocess.run(["sh", "-c", line], env=environ, check=True)
            taken.append(time.monotonic() - began)
        times[name] = statistics.median(taken)
    for name, seconds in times.items():
        print(f"| {name} | {seconds:.2f} | {seconds / times['a middle `cat`']:.2f} |")
    peaks = {lines: _peak(f"head -c {lines} /dev/zero", environ) for lines in (0, size)}
    print(
        f"\nPeak memory {peaks[0] / 1024:.1f} MiB without output,"
        f" {peaks[size] / 1024:.1f} MiB with {gigabytes:g} GB in one line."
    )


def _peak(job: str, environ: dict[str, str]) -> int:
    """Return the wrapper's own peak in KiB."""
    command = [CRONTIFY, "exec", "bench", "--", "sh", "-c", job]
    null = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    errors = (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)
    pid = os.posix_spawn(CRONTIFY, command, environ, file_actions=[null, errors])
    return os.wait4(pid, 0)[2].ru_maxrss


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--gigabytes", type=float, default=4)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crontify-bench-") as folder:
        latency(args.rounds, Path(folder))
        throughput(args.gigabytes, Path(folder))


if __name__ == "__main__":
    main()
