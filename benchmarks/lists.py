"""Compare the time of lists from a long journal with `crontify --version`, as ratios.

Run it with the Python of the installation. The user's config and state are not used.
"""

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("crontify"))
LISTS = {
    "runs": ["runs"],
    "runs MONITOR": ["runs", "m3"],
    "runs --json": ["runs", "--json"],
    "runs --failed": ["runs", "--failed"],
    "runs --since 1h, nothing": ["runs", "--since", "1h"],
    "runs --stats": ["runs", "--stats"],
    "runs MONITOR --stats": ["runs", "m3", "--stats"],
    "logs -1 --local": ["logs", "-1", "--local"],
    "crontab list, 1000 lines": ["crontab", "list", "CRONTAB"],
}
CRONTAB = "".join(
    f"{i % 60} {i % 24} {i % 28 + 1 if i % 3 else '*'} * {'*' if i % 3 else i % 7}"
    f" /usr/bin/crontify exec m{i % 20 if i % 2 else i} -- /srv/job-{i}\n"
    for i in range(1000)
)
MANY = """
INSERT INTO runs (id, monitor, monitor_id, base_url, command, wrapper_pid, wrapper_start, job_pid,
  job_start, boot_id, started_at, ended_at, outcome, duration, excerpt)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
SELECT printf('%012x', i), 'm' || i % 20, 'm', '', '[]', 1, 1, 1, 1, '', ?1 * 60, 0,
  CASE WHEN i % 1000 THEN 'success' ELSE 'fail' END, i % 7,
  CASE WHEN i % 1000 THEN NULL ELSE hex(randomblob(2000)) END FROM n
"""


def prepare(folder: str, runs: int) -> None:
    """Create a journal with `runs` old runs of 20 monitors in `folder`."""
    from crontify_cli.delivery.journal import Journal

    os.environ |= {"CRONTIFY_STATE_DIR": folder, "CRONTIFY_CONFIG": os.devnull}
    journal = Journal.open(folder)
    journal.close()
    db = sqlite3.connect(journal.path)
    with db:
        db.execute(MANY, (runs,))
    db.close()
    Path(folder, "crontab").write_text(CRONTAB)


def seconds(*words: str) -> float:
    """Return how long `crontify WORDS` takes."""
    begun = time.perf_counter()
    subprocess.run([PROGRAM, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=100_000, help="number of runs in the journal")
    options = parser.parse_args()
    taken: dict[str, list[float]] = {name: [] for name in ("--version", *LISTS)}
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder, options.runs)
        for _ in range(options.rounds):
            for name, words in {"--version": ["--version"], **LISTS}.items():
                words = [f"{folder}/crontab" if word == "CRONTAB" else word for word in words]
                taken[name].append(seconds(*words))
    bare = statistics.median(taken["--version"])
    for name, times in taken.items():
        middle = statistics.median(times)
        print(f"{name:26} {middle * 1000:6.0f} ms  {middle / bare:5.2f} x --version")


if __name__ == "__main__":
    main()
