"""Reads what is known of the runs: the ledgers, the journal, the server, and cron's mail."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.soak.job import LINE, size_of
from tests.soak.judge import Known, Ran, Row, Shown
from tests.soak.machine import Machine
from tests.soak.monitors import MONITORS, Monitor


def known(machine: Machine) -> Iterator[Known]:
    """Yield what is known of each monitor's runs."""
    mails = "".join(each.read_text() for each in (machine.folder / "mail").iterdir())
    journal = machine.read("runs")
    for monitor in MONITORS:
        server = machine.read("sandbox", "runs", monitor.name, "--db", machine.database)
        yield Known(
            monitor,
            _ledger(machine.folder / "ledger" / monitor.name, monitor),
            [_row(each) for each in journal if each["monitor"] == monitor.name],
            [_shown(each) for each in server],
            mails,
        )


def _ledger(path: Path, monitor: Monitor) -> list[Ran]:
    runs: list[Ran] = []
    text = path.read_bytes() if path.exists() else b""
    for number, line in enumerate(text[at : at + LINE] for at in range(0, len(text), LINE)):
        values = json.loads(line)
        if "begun" in values:
            size = size_of(monitor.kind, number)
            runs.append(Ran(values["run"], size, values["begun"], values["planned"], None))
        else:
            at = [each.run for each in runs].index(values["run"])
            runs[at] = runs[at]._replace(ended=values["ended"])
    return runs


def _row(values: Any) -> Row:
    return Row(
        values["run"],
        values["remote_run_id"],
        values["outcome"],
        values["exit_code"],
        "delivered" if values["report"] == "late" else values["report"],
        values["folded_into"],
        _moment(values["ended_at"]),
        values["meta"].get("output_bytes", -1),
    )


def _shown(values: Any) -> Shown:
    begun, ended = _moment(values["startedAt"]), _moment(values["finishedAt"])
    meta = values["meta"] or {}
    return Shown(values["id"], values["status"], begun, ended, meta, values["errorMessage"])


def _moment(text: str | None) -> float | None:
    """Return seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp() if text else None
