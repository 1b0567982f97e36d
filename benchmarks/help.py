"""Measure what `--help` of each command costs, compared with importing Typer.

    .venv/bin/python benchmarks/help.py [--rounds 9]

Processor time, medians of pairs in turn. Prints a Markdown table.
"""

import argparse
import os
import statistics
import subprocess
import sys

from crontify_cli.cli.app import DESCRIPTIONS


def processor_seconds(*words: str) -> float:
    """Return the processor time of a Python process."""
    environ = {**os.environ}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process would compile all anew
    process = subprocess.Popen(
        [sys.executable, *words], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    print("| crontify … --help | × `import typer` |\n|---|---|")
    for name in ("", *DESCRIPTIONS):
        words = ["-m", "crontify_cli", *filter(None, [name]), "--help"]
        ratios = [
            processor_seconds(*words) / processor_seconds("-c", "import typer")
            for _ in range(rounds)
        ]
        print(f"| {name} | {statistics.median(ratios):.2f} |")


if __name__ == "__main__":
    main()
