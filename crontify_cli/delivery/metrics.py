"""The journal as metrics for Prometheus. The only prometheus_client.

Names and units follow https://prometheus.io/docs/practices/naming/. A moment is a timestamp, so
that a file that is read later is still right: its age is `time() - NAME_timestamp_seconds`.
"""

import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli import __version__
from crontify_cli.delivery import records
from crontify_cli.delivery.journal import Journal, journal_path
from crontify_cli.delivery.waiting import Waiting, waiting
from crontify_cli.errors import CrontifyError
from crontify_cli.files import replace
from crontify_cli.report.meta import BUILT_IN
from crontify_cli.state import Folder

if TYPE_CHECKING:
    from prometheus_client.metrics_core import GaugeMetricFamily, Metric

    from crontify_cli.config import Settings

MOST_MONITORS = 10_000
"""Monitors that are shown: those that ran last."""
MOST_NUMBERS = 50
"""The job's own numbers that are shown of a monitor: the first by name."""
_OUTCOMES = ("success", "fail", "tolerated", "lost")
_LOCK = "metrics.lock"
_PATIENCE = 5.0
"""Seconds to wait for another process that writes the file."""
_CANNOT = "cannot write the metrics to"

_LAST_RUNS = (
    "SELECT monitor, outcome, exit_code, ended_at, duration, meta FROM runs WHERE seq IN"
    " (SELECT max(seq) FROM runs WHERE outcome IS NOT NULL AND outcome != 'skipped'"
    " GROUP BY monitor) ORDER BY ended_at DESC LIMIT :most"
)
_LAST_SUCCESSES = (
    "SELECT monitor, max(ended_at) FROM runs WHERE outcome = 'success' GROUP BY monitor"
)
_FAILURES = (
    "SELECT monitor, count(*) FROM runs WHERE outcome IN ('fail', 'tolerated', 'lost')"
    " AND seq > coalesce((SELECT max(seq) FROM runs AS before"
    " WHERE before.monitor = runs.monitor AND outcome = 'success'), 0) GROUP BY monitor"
)


class _Last(NamedTuple):
    """The last run of a monitor that has ended; times as in the journal."""

    monitor: str
    outcome: str
    exit_code: int | None
    ended_at: float
    duration: float | None
    meta: str | None


def render(state: str, settings: "Settings") -> bytes:
    """Return the metrics in Prometheus's text format.

    Raises CrontifyError: without prometheus_client, or if the journal cannot be read.
    """
    try:
        from prometheus_client import CollectorRegistry, generate_latest
    except ImportError:
        raise CrontifyError(
            "metrics need prometheus_client;"
            f" run {sys.executable} -m pip install 'crontify-cli[metrics]'"
        ) from None
    registry = CollectorRegistry()
    registry.register(_Collector(list(_metrics(state, settings))))
    return generate_latest(registry)


def write(path: str, state: str, settings: "Settings") -> None:
    """Write the metrics to a file: whole or not at all, and readable for everybody.

    Raises CrontifyError.
    """
    try:
        with _turn(state):  # or an older state of things could replace a newer one
            replace(path, render(state, settings))
    except OSError as error:
        raise CrontifyError(f"{_CANNOT} {path}: {error.strerror or error}") from None


def keep_current(state: str, settings: "Settings") -> str:
    """Write the file that the settings name, if any; return a line for a person if that fails."""
    path = settings.metrics_file
    if not path:
        return ""
    if os.path.exists(path) and not os.path.isfile(path):  # a run must not wait for a pipe's reader
        return f"{_CANNOT} {path}: it is not a regular file"
    try:
        write(path, state, settings)
    except CrontifyError as error:
        return error.message
    return ""


@contextlib.contextmanager
def _turn(state: str) -> Iterator[None]:
    """Wait for other processes that write metrics; not for ever, since one may be stopped."""
    with Folder(state, create=True) as folder:
        fd = folder.open(_LOCK, os.O_RDWR | os.O_CREAT)
    try:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.02)
        yield
    finally:
        os.close(fd)


class _Collector:
    """What the registry asks for metrics (`prometheus_client.registry.Collector`)."""

    def __init__(self, metrics: "Sequence[Metric]") -> None:
        self._metrics = metrics

    def collect(self) -> "Sequence[Metric]":
        """Return the metrics."""
        return self._metrics


def _metrics(state: str, settings: "Settings") -> "Iterator[Metric]":
    from prometheus_client.metrics_core import InfoMetricFamily

    journal = Journal.open(state, create=False) if os.path.exists(journal_path(state)) else None
    yield InfoMetricFamily("crontify_build", "The version of crontify.", {"version": __version__})
    if journal:
        yield from _of_runs(journal)
    yield _running(state)
    yield from _of_queue(waiting(state, journal, settings))


def _of_runs(journal: Journal) -> "Iterator[Metric]":
    rows = journal.query(_LAST_RUNS, {"most": MOST_MONITORS})
    last = [_Last(*row) for row in rows]  # type: ignore[arg-type]  # as the schema has them
    ended = {run.monitor: run.ended_at for run in last}
    durations = {run.monitor: run.duration for run in last}
    codes = {run.monitor: run.exit_code for run in last}
    yield _gauge("last_run_timestamp_seconds", "When the last run ended.", ended)
    yield _gauge("last_run_duration_seconds", "How long the last run took.", durations)
    yield _gauge("last_run_exit_code", "Exit code of the last run, if it is known.", codes)
    outcome = _family(
        "last_run_outcome", "1 for the outcome of the last run.", "monitor", "outcome"
    )
    for run in last:
        for each in _OUTCOMES:
            outcome.add_metric([run.monitor, each], float(run.outcome == each))
    yield outcome
    successes = {str(monitor): at for monitor, at in journal.query(_LAST_SUCCESSES)}
    yield _gauge(
        "last_success_timestamp_seconds",
        "When the last successful run ended.",
        {run.monitor: successes.get(run.monitor) for run in last},
    )
    failures = {str(monitor): count for monitor, count in journal.query(_FAILURES)}
    yield _gauge(
        "failures_in_a_row",
        "Runs that failed since the last success.",
        {run.monitor: failures.get(run.monitor, 0) for run in last},
    )
    yield _numbers(last)


def _numbers(last: list[_Last]) -> "Metric":
    family = _family("last_run_value", "A number that the last run reported.", "monitor", "name")
    for run in last:
        meta = json.loads(run.meta) if run.meta else {}
        own = sorted(name for name in meta if name not in BUILT_IN)
        for name in own[:MOST_NUMBERS]:
            family.add_metric([run.monitor, name], float(meta[name]))
    return family


def _running(state: str) -> "Metric":
    since: dict[str, object] = {}
    for live in records.live_runs(state):
        standing, record = records.look(live)
        if standing == "running" and record:
            started = record.started / 1e9
            since[live.monitor] = min(started, float(str(since.get(live.monitor, started))))
    return _gauge("running_since_timestamp_seconds", "Start of the oldest run going on.", since)


def _of_queue(reports: Sequence[Waiting]) -> "Iterator[Metric]":
    count = _family("queued_reports", "Reports that wait to be delivered.")
    count.add_metric([], len(reports))
    yield count
    oldest = _family("oldest_queued_report_timestamp_seconds", "When the run of the oldest ended.")
    if reports:
        oldest.add_metric([], reports[0].since)
    yield oldest


def _gauge(name: str, words: str, values: Mapping[str, object]) -> "Metric":
    family = _family(name, words, "monitor")
    for monitor, value in values.items():
        if value is not None:
            family.add_metric([monitor], float(str(value)))
    return family


def _family(name: str, words: str, *labels: str) -> "GaugeMetricFamily":
    from prometheus_client.metrics_core import GaugeMetricFamily

    return GaugeMetricFamily(f"crontify_{name}", words, labels=labels)
