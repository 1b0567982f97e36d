"""Measure how soon a browser shows the sandbox's page while one core is busy.

    .venv/bin/python benchmarks/sandbox_page.py [--monitors 100] [--runs 10000] [--visits 5]

Visits with an empty cache, in Debian's Chromium. Prints for each view the first paint and
when its content was there, in milliseconds after the navigation began. Exit 1 if the median
of a first paint is above 1500.
"""

import argparse
import json
import multiprocessing
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# Behind the line that makes this source tree importable:
from crontify_cli.sandbox.database import open_database, transaction  # noqa: E402
from crontify_cli.sandbox.identity import new_id, now  # noqa: E402
from crontify_cli.sandbox.rules import parse_rule  # noqa: E402
from crontify_cli.sandbox.store import Store  # noqa: E402
from tests.sandbox.browser import chromium, visiting  # noqa: E402
from tests.sandbox.server import serving  # noqa: E402

BAR = 1500
HOUR = 3_600_000
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--monitors", type=int, default=100)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--visits", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder, "sandbox.db")
        fill(db, args.monitors, args.runs)
        with serving(db) as server, chromium() as browser:
            busy = multiprocessing.Process(target=_keep_busy, daemon=True)
            busy.start()
            views = {"/": ".monitors li:nth-child(2)", "/monitors/job-1": "tbody tr"}
            paints = [
                measure(browser, f"{server.page}&view={view}", content, args.visits)
                for view, content in views.items()
            ]
            busy.terminate()
    return 0 if max(paints) <= BAR else 1


def fill(db: Path, monitors: int, runs: int) -> None:
    """Make a database with that many monitors and, spread evenly, that many runs."""
    chance = random.Random(4)
    with open_database(db, create=True) as connection:
        store = Store(connection)
        account = store.get_or_create_account("default")
        for number in range(1, monitors + 1):
            store.add_monitor(account, f"job-{number}")
        store.add_rule(account, "job-1", parse_rule("rows", "lt", "100"))
        first = now() - runs // monitors * HOUR
        with transaction(connection):
            connection.executemany(
                "INSERT INTO runs (monitor, id, status, started_at, finished_at, meta)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [_run(chance, first, number, monitors) for number in range(runs)],
            )
            connection.execute("UPDATE monitors SET last_ping_at = ?", (now(),))


def _run(chance: random.Random, first: int, number: int, monitors: int) -> Sequence[object]:
    began = first + number // monitors * HOUR + number % monitors * 1000
    duration = int(chance.lognormvariate(8, 0.5))
    status = chance.choices(["success", "failed", "overlapped"], [90, 8, 2])[0]
    meta = {"rows": chance.randint(50, 2000), "exit_code": int(status == "failed")}
    values = (new_id(began), status, began, began + duration, json.dumps(meta))
    return (number % monitors + 1, *values)


def measure(browser: Browser, link: str, content: str, visits: int) -> float:
    """Visit `link`, print its figures, and return the median of the first paint."""
    paints: list[float] = []
    contents: list[float] = []
    for _ in range(visits):
        with visiting(browser, link) as tab:
            tab.page.wait_for_selector(content)
            contents.append(tab.page.evaluate("performance.now()"))
            paints.append(tab.page.evaluate(_PAINT))
    paint, full = statistics.median(paints), statistics.median(contents)
    view = link.partition("view=")[2]
    print(
        f"{view:<16} first paint {paint:5.0f} ms (at most {max(paints):.0f}),"
        f" content {full:5.0f} ms (at most {max(contents):.0f})"
    )
    return paint


def _keep_busy() -> None:
    while True:
        pass


if __name__ == "__main__":
    sys.exit(main())
