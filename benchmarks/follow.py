"""Measure the delay between a line printed by a job and its display by `logs --follow`.

Each line contains the time at which the job printed it. No server is needed.
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
JOB = """
import sys, time
for _ in range(int(sys.argv[1])):
    time.sleep(0.037)
    print(time.time(), flush=True)
"""


def main() -> int:
    """Print the median, the maximum, and the number of lines later than promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=300)
    parser.add_argument("--promised", type=float, default=0.3, help="seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"CRONTIFY_STATE_DIR": folder, "CRONTIFY_CONFIG": os.devnull}
        job = [sys.executable, "-c", JOB, str(options.lines)]
        wrapper = subprocess.Popen(
            [PROGRAM, "exec", "m", "--", *job], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not list(Path(folder).rglob("*-m*")):
            time.sleep(0.01)
        begun = time.time()
        reader = subprocess.Popen(
            [PROGRAM, "logs", "m", "--follow"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert reader.stdout
        seen = [(float(line), time.time()) for line in reader.stdout]
        wrapper.wait()
        reader.wait()
    first = min(came for _, came in seen)
    delays = [came - printed for printed, came in seen if printed > first]
    late = sum(delay > options.promised for delay in delays)
    print(f"first line on the screen {first - begun:.3f} s after the command")
    print(f"{len(delays)} lines: median {statistics.median(delays) * 1000:.0f} ms,", end=" ")
    print(f"slowest {max(delays) * 1000:.0f} ms, {late} later than {options.promised} s")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
