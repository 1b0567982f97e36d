"""Draw the picture of the sandbox's page in the README: a real page, with invented runs.

    .venv/bin/python scripts/page_picture.py         # docs/page.png
    .venv/bin/python scripts/page_picture.py FILE

Needs Debian's Chromium. The browser's clock is fixed and the runs come from a fixed random
seed. The picture is of the light colour scheme; GitHub shows it on a page of its own colour.
"""

import json
import random
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from crontify_cli.sandbox.database import open_database, transaction  # noqa: E402
from crontify_cli.sandbox.identity import new_id  # noqa: E402
from crontify_cli.sandbox.rules import parse_rule  # noqa: E402
from crontify_cli.sandbox.store import Store  # noqa: E402
from tests.sandbox.browser import chromium, visiting  # noqa: E402
from tests.sandbox.server import serving  # noqa: E402

NOW = 1_794_459_600_000  # 2026-11-12 05:00 UTC
HOUR = 3_600_000
CAUSE = "exited with code 1: decimal.InvalidOperation: [<class 'decimal.ConversionSyntax'>]"
RUNS = 60


def main() -> int:
    """Draw the picture; return the exit code."""
    picture = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/page.png"
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder, "sandbox.db")
        _fill(db)
        window = {"viewport": {"width": 1000, "height": 720}, "color_scheme": "light"}
        with (
            serving(db) as server,
            chromium() as browser,
            visiting(browser, server.page, **window) as tab,
        ):
            tab.page.clock.set_fixed_time(NOW / 1000)
            tab.open("/monitors/invoices")
            expect(tab.page.locator("#connection")).to_have_text("Live")
            expect(tab.page.locator("figure")).to_have_count(4)
            tab.page.screenshot(path=picture)
    print(picture)
    return 0


def _fill(db: Path) -> None:
    chance = random.Random(7)
    with open_database(db, create=True) as connection:
        store = Store(connection)
        account = store.get_or_create_account("default")
        store.add_monitor(account, "invoices")
        store.add_rule(account, "invoices", parse_rule("invoices_sent", "lt", "20"))
        with transaction(connection):
            for age in range(RUNS, 0, -1):
                began = NOW - age * HOUR
                failed = age in (1, 23, 24, 47)
                sent = 3 if age in (12, 38) else int(chance.gauss(120, 25))
                lasted = 17_200 if failed else int(42_000 * chance.lognormvariate(0, 0.2))
                meta: dict[str, float] = {"exit_code": int(failed), "megabytes": 80 + sent // 4}
                meta |= {} if failed else {"invoices_sent": sent}
                connection.execute(
                    "INSERT INTO runs (monitor, id, status, started_at, finished_at, meta,"
                    " error_message) VALUES (1, ?, ?, ?, ?, ?, ?)",
                    (
                        new_id(began),
                        "failed" if failed else "success",
                        began,
                        began + lasted,
                        json.dumps(meta),
                        CAUSE if failed else None,
                    ),
                )
            connection.execute("UPDATE monitors SET last_ping_at = ?", (began + lasted,))


if __name__ == "__main__":
    sys.exit(main())
