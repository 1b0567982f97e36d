"""Compare `crontify exec` with other programs that run a job, in one table.

    PATH=$PATH:/path/of/sentry-cli .venv/bin/python benchmarks/table.py [--rounds 11] [--write]

Each round runs every program once, as a whole process on loopback; the table has the medians, and
the medians of the ratios within each round. chronic (Debian's package moreutils) and sentry-cli are
included if they are in PATH, the memory if GNU time is. With --write, the table in
docs/benchmarks.md and the shorter one in the README are replaced; otherwise both are printed.
"""

import argparse
import os
import platform
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from exec import LASTS, ROOT, Case, Times, apis, cases, others, run  # of this directory

PASS, HTTPX = ("`python -c pass`", ""), ("`python -c 'import httpx'`", "")
EXEC, EMPTY = "crontify exec", "crontify exec, a job of 0 s"
NEAR, FAR, HANGING = "at once", "after 50 ms", "never"
PATIENCE = 5.0
"""Seconds to wait for a job to start while the API hangs."""
PRINTED = 100_000_000
"""Bytes that the wordy job prints."""
BEGIN, END = "<!-- Written by benchmarks/table.py: -->\n", "<!-- End. -->\n"
HEAD = (
    *("", "job starts, API answers at once", "API 50 ms away", "API hangs"),
    *("end after the job, API 50 ms away", "CPU", "memory", "job prints 100 MB"),
)


class Round(NamedTuple):
    """What was measured of one program: the times of all rounds by the API's state, and MiB."""

    times: dict[str, list[Times]]
    stuck: float | None
    memory: float | None
    wordy: float | None


class Bare(NamedTuple):
    """The times of a bare Python, and of one that imports httpx, in the same rounds."""

    python: list[Times]
    httpx: list[Times]


def measure(rounds: int, folder: Path) -> tuple[Bare, dict[str, Round]]:
    """Run everything; return the references, and each program by its name."""
    with apis() as urls:
        rows = [case for case in cases(urls, folder) if case.api != "refuses"]
        for case in rows:
            run(case, folder)
        taken = [[run(case, folder) for case in rows] for _ in range(rounds)]
        times = {(case.name, case.api): [*row] for case, *row in zip(rows, *taken, strict=True)}
        bare = Bare(times.pop(PASS), times.pop(HTTPX))
        hanging = {case.name: case for case in others(HANGING, urls[HANGING], folder)}
        found = {}
        for case in rows:
            if case.api in ("", NEAR) and (case.name, case.api) in times:
                found[case.name] = Round(
                    {api: row for (name, api), row in times.items() if name == case.name},
                    _starts(hanging[case.name], folder) if case.name in hanging else None,
                    _peak(case, folder, 0),
                    _peak(case, folder, PRINTED),
                )
        return bare, found


def _starts(case: Case, folder: Path) -> float | None:
    """Return after how many seconds the job starts; None if it does not within `PATIENCE`."""
    stamp = folder / "stamp"
    stamp.unlink(missing_ok=True)
    environ = {**case.environ, "STAMP": str(stamp), "LASTS": "0"}
    began = time.monotonic()
    process = subprocess.Popen(
        case.command,
        env=environ,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while (seconds := time.monotonic() - began) < PATIENCE:
            if stamp.exists():
                return seconds
            time.sleep(0.01)
        return None
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _peak(case: Case, folder: Path, prints: int) -> float | None:
    """Return the memory of the largest process of a run, in MiB; None without GNU time.

    Linux counts that of the parent before its exec as well, so the parent has to be small.
    """
    if not shutil.which("time"):
        return None
    file = folder / "peak"
    environ = {**case.environ, "STAMP": os.devnull, "LASTS": "0", "PRINTS": str(prints or "")}
    command = ["time", "--quiet", "-f", "%M", "-o", str(file), *case.command]
    subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return int(file.read_text()) / 1024


def rows(bare: Bare, found: dict[str, Round], *, short: bool) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each program; the short table has no ratios and fewer programs."""

    def cell(values: list[float], base: list[float]) -> str:
        ratio = statistics.median(one / other for one, other in zip(values, base, strict=True))
        shown = f"{statistics.median(values) * 1000:.0f} ms"
        return shown if short else f"{shown}, {ratio:.2f} ×"

    python = [one.whole for one in bare.python]
    for name, program in found.items():
        times = program.times
        if name == EMPTY or (short and name not in (EXEC, "the job alone") and "exec" in name):
            continue
        starts = {api: cell([one.before for one in row], python) for api, row in times.items()}
        if "" in times:  # it asks no API
            starts = dict.fromkeys((NEAR, FAR, HANGING), starts[""])
        elif program.stuck is not None:
            starts[HANGING] = f"{program.stuck:.1f} s"
        never = "" if name.startswith(EXEC) else f"not within {PATIENCE:.0f} s"
        ends = times.get(FAR) or times.get("")
        near = times.get(NEAR) or times[""]
        cpu = statistics.median(
            one.cpu / base.cpu for one, base in zip(near, bare.httpx, strict=True)
        )
        yield (
            f"**{name}**" if name == EXEC else name,
            starts[NEAR],
            starts.get(FAR, ""),
            starts.get(HANGING, never),
            cell([one.after for one in ends], python) if ends else "",
            f"{cpu:.2f} ×",
            "" if program.memory is None else f"{program.memory:.0f} MiB",
            "" if program.wordy is None else f"{program.wordy:.0f} MiB",
        )


def table(bare: Bare, found: dict[str, Round], *, short: bool = False) -> str:
    """Return the table in Markdown."""
    lines = [HEAD, ("---",) * len(HEAD), *rows(bare, found, short=short)]
    return "".join(f"|{''.join(f' {cell} |' if cell else ' |' for cell in row)}\n" for row in lines)


def details(bare: Bare, found: dict[str, Round], rounds: int) -> str:
    """Return how the figures were made, and those that stand in no table."""
    empty = found[EMPTY].times[NEAR]
    pairs = list(zip(empty, bare.httpx, strict=True))
    cpu = statistics.median(one.cpu / base.cpu for one, base in pairs)
    whole = statistics.median(one.whole / base.whole for one, base in pairs)
    python, httpx = (statistics.median(one.whole for one in row) * 1000 for row in bare)
    kernel = ".".join(platform.release().split(".")[:2])
    return (
        f"Medians of {rounds} rounds with a job of {LASTS} s, on {os.cpu_count()} cores under"
        f" Linux {kernel}, with Python {platform.python_version()}.\n"
        f"Times are × `python -c pass` ({python:.0f} ms), CPU is × `python -c 'import httpx'`"
        f" ({httpx:.0f} ms of time).\n\n"
        f"A whole run of the job `true`: {cpu:.2f} × the CPU and {whole:.2f} × the time of"
        " `python -c 'import httpx'`.\n"
    )


def write(file: Path, text: str) -> None:
    """Replace what stands between the marks in a file."""
    before, begin, rest = file.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, f"no marks in {file}"
    file.write_text(before + begin + "\n" + text + "\n" + end + after)


def main() -> None:
    """Measure, and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--write", action="store_true", help="replace docs and README")
    args = parser.parse_args()
    missing = [name for name in ("chronic", "sentry-cli", "time") if not shutil.which(name)]
    if args.write and missing:
        parser.error(f"--write needs {', '.join(missing)} in PATH")
    with tempfile.TemporaryDirectory(prefix="crontify-bench-") as name:
        bare, found = measure(args.rounds, Path(name))
    full = f"{table(bare, found)}\n{details(bare, found, args.rounds)}"
    short = table(bare, found, short=True)
    if not args.write:
        print(f"{full}\n{short}")
        return
    write(ROOT / "docs/benchmarks.md", full)
    write(ROOT / "README.md", short)


if __name__ == "__main__":
    main()
