"""Shows the output of a run that goes on, masked, and how it ended."""

import os
import sys
import time
from collections.abc import Callable, Mapping

from crontify_cli.cli import output
from crontify_cli.cli.history import History
from crontify_cli.config import Settings, api_key, token
from crontify_cli.delivery.journal import RunRow
from crontify_cli.errors import CrontifyError, say
from crontify_cli.record import Record
from crontify_cli.report.live import Lines, LiveLog
from crontify_cli.report.mask import Masker, known_secrets, secret_values
from crontify_cli.report.patterns import WITHHELD, redact

_POLL = 0.05
_PATIENCE = 5.0
"""Seconds to wait for the outcome to stand in the journal."""
_REDACT_SECONDS = 5.0


def follow(history: History, settings: Settings, path: str, *, raw: bool, last: int | None) -> None:
    """Show the output of the run with the record `path` as it comes, until the job's end.

    last: so many lines of what is there already, None for all.
    """
    log = LiveLog(path)
    try:
        mask = masker(settings, log.about)
        lines = Lines(raw=raw)
        first = True
        while True:
            ended = log.has_ended()  # asked before, so that nothing comes after the last reading
            missed, data = log.read()
            text = mask(lines.feed(data, time.monotonic()))
            if missed:
                text = f"[… {missed:,} bytes omitted …]\n{text}"
            if first and last is not None:
                text = tail(text, last)
            first = False
            if text:
                sys.stdout.write(text)
                sys.stdout.flush()
            if ended and not data:
                break
            if not data:
                time.sleep(_POLL)
        output.text(mask(lines.finish()))
        say(_outcome(history, log))
    finally:
        log.close()


def so_far(settings: Settings, path: str, *, raw: bool) -> str | None:
    """Return what a run has printed up to now; None where its record is gone."""
    try:
        log = LiveLog(path)
    except (OSError, ValueError):
        return None
    try:
        now = log.record()
        mask = masker(settings, now)
    finally:
        log.close()
    gap = f"\n[… {now.dropped:,} bytes omitted …]\n" if now.dropped else ""
    parts = [now.head + now.tail] if not gap else [now.head, now.tail]
    texts = []
    for part in parts:
        lines = Lines(raw=raw)
        texts.append(mask(lines.feed(part, 0.0) + lines.finish()))
    return gap.join(texts)


def tail(text: str, count: int) -> str:
    """Return the last `count` lines."""
    return "".join(text.splitlines(keepends=True)[-count:]) if count else ""


def masker(settings: Settings, run: Record) -> Callable[[str], str]:
    """Return what takes secrets out of a living run's output, as its wrapper does."""
    own = []
    for get in (api_key, token):
        try:
            own.append(get(settings) or "")
        except CrontifyError:
            continue  # it cannot be had here, so it cannot be known
    masked = Masker([*known_secrets(), *secret_values(_environ(run.wrapper[0]))], own)
    patterns = [*settings.monitor(run.monitor).redact, *run.redact]
    if not patterns:
        return masked

    def mask(text: str) -> str:
        redacted = redact(masked(text), patterns, _REDACT_SECONDS) if text else text
        return f"{WITHHELD}\n" if redacted is None else redacted

    return mask


def _environ(pid: int) -> Mapping[str, str]:
    """Return a process's first environment, empty where we may not look at it."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            words = os.fsdecode(file.read()).split("\0")
    except OSError:
        return {}
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _outcome(history: History, log: LiveLog) -> str:
    """Say in one line how the run ended, by the journal as soon as it knows."""
    about = log.record()
    until = time.monotonic() + _PATIENCE
    row: RunRow | None = None
    while time.monotonic() < until and about.ended:
        fresh = history.journal or History(history.state).journal
        row = fresh.run(about.run) if fresh else None
        if row and row.outcome:
            word = {"fail": "failed"}.get(row.outcome, row.outcome)
            return f"{about.monitor}: {word}: {row.reason}"
        time.sleep(_POLL)
    if not about.ended:
        return f"{about.monitor}: the wrapper is gone; `crontify flush` reports the run"
    return f"{about.monitor}: ended with exit code {about.exit_code}"
