"""Compare the time of a TAB completion with `python -c pass`, in pairs, and print the ratios.

Run it with the Python of the installation. The user's config and state are not used.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("crontify"))
QUESTIONS = {"monitors": ["monitors"], "runs backup": ["runs", "backup"]}


def seconds(*command: str) -> float:
    """Return how long `command` takes."""
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def prepare(folder: Path, runs: int) -> None:
    """Create a config and a journal with `runs` runs in `folder`."""
    from crontify_cli.delivery.journal import Journal
    from crontify_cli.model import Ending, Run

    os.environ |= {"CRONTIFY_STATE_DIR": str(folder), "CRONTIFY_CONFIG": str(folder / "c.toml")}
    (folder / "c.toml").write_text("".join(f'[monitors.m{n}]\nid = "cl{n}"\n' for n in range(20)))
    journal = Journal.open(str(folder))
    for number in range(runs):
        monitor = "backup" if number % 2 else f"m{number % 40}"
        run = Run(f"{number:012x}", monitor, "c", "http://x", ("true",), (1, 1), (2, 2), "b", 1e9)
        journal.begin(run)
        journal.finish(run, Ending("success", "", 0, 1e9, 1.0, excerpt="x" * 500), None, None)
    journal.close()


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--runs", type=int, default=2000, help="number of runs in the journal")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options.runs)
        for name, words in QUESTIONS.items():
            pairs = [
                (seconds(PROGRAM, "__complete", *words), seconds(sys.executable, "-c", "pass"))
                for _ in range(options.pairs)
            ]
            ratio = statistics.median(ours / bare for ours, bare in pairs)
            bare = statistics.median(bare for _, bare in pairs)
            print(f"{name:12} {ratio:.2f} x `python -c pass` ({bare * 1000:.1f} ms)")


if __name__ == "__main__":
    main()
