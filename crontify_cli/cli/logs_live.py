"""Shows the output of a running job, with secrets masked, and how the run ended."""

import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import closing

from crontify_cli.cli import output
from crontify_cli.cli.history import History
from crontify_cli.cli.runs_rows import shown_outcome
from crontify_cli.config import Settings, api_key, token
from crontify_cli.delivery.journal import RunRow
from crontify_cli.errors import CrontifyError, say
from crontify_cli.report.excerpt import untorn
from crontify_cli.report.live import Lines, LiveLog
from crontify_cli.report.mask import Masker
from crontify_cli.report.patterns import WITHHELD, redact
from crontify_cli.report.secrets import known_secrets, secret_values

_POLL = 0.05
_PATIENCE = 5.0
"""Seconds to wait until the journal has the outcome of a run, or its record the secrets."""
_REDACT_SECONDS = 5.0


def follow(history: History, settings: Settings, path: str, *, raw: bool, last: int | None) -> None:
    """Show the output of the run whose record is `path` as it is printed, until the job ends.

    last: how many lines of the output so far to show first, None for all.
    """
    with closing(LiveLog(path)) as log:
        mask = _masker(settings, log)
        lines = Lines(raw=raw, overwrites=output.is_terminal())
        first = True
        while True:
            ended = log.has_ended()  # before reading: what is read after the end is complete
            missed, data = log.read()
            if missed:
                data, torn = untorn(b"", data)[1:]
                missed += torn + lines.tear()
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


def so_far(settings: Settings, path: str, *, raw: bool) -> str | None:
    """Return what a run has printed so far, None if its record is gone."""
    try:
        log = LiveLog(path)
    except (OSError, ValueError):
        return None
    with closing(log):
        now = log.record()
        mask = _masker(settings, log)
    parts, gap = [now.head + now.tail], ""
    if now.dropped:
        head, tail, torn = untorn(now.head, now.tail)
        parts, gap = [head, tail], f"\n[… {now.dropped + torn:,} bytes omitted …]\n"
    texts = []
    for part in parts:
        lines = Lines(raw=raw)
        texts.append(mask(lines.feed(part, 0.0) + lines.finish()))
    return gap.join(texts)


def tail(text: str, count: int) -> str:
    """Return the last `count` lines."""
    return "".join(split_lines(text)[-count:]) if count else ""


def split_lines(text: str) -> list[str]:
    """Return the lines with their line feeds, as tail(1) counts them.

    `str.splitlines` would also split at a form feed, or at U+2028.
    """
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _masker(settings: Settings, log: LiveLog) -> Callable[[str], str]:
    """Return a function that masks secrets in the output of a running job, as `exec` does."""
    run, own = log.about, []
    for get in (api_key, token):
        try:
            own.append(get(settings) or "")
        except CrontifyError:
            continue  # a secret that cannot be read here cannot be masked
    monitor = settings.monitor(run.monitor)
    secrets = [*known_secrets(), *_job_secrets(log)]
    masked = Masker(secrets, own, shapes=monitor.mask_shapes)
    patterns = [*monitor.redact, *run.redact]
    if not patterns:
        return masked

    def mask(text: str) -> str:
        redacted = redact(masked(text), patterns, _REDACT_SECONDS) if text else text
        return f"{WITHHELD}\n" if redacted is None else redacted

    return mask


def _job_secrets(log: LiveLog) -> list[str]:
    """Return the secrets in the job's environment, which is that of its wrapper.

    If we may not read it, or there is no /proc, the wrapper notes them soon after the spawn.
    """
    try:
        with open(f"/proc/{log.about.wrapper[0]}/environ", "rb") as file:
            words = os.fsdecode(file.read()).split("\0")
    except OSError:
        return _noted_secrets(log)
    return secret_values(
        {name: value for name, _, value in (word.partition("=") for word in words)}
    )


def _noted_secrets(log: LiveLog) -> list[str]:
    until = time.monotonic() + _PATIENCE
    while (noted := log.secrets()) is None and not log.has_ended() and time.monotonic() < until:
        time.sleep(_POLL)
    return noted or []


def _outcome(history: History, log: LiveLog) -> str:
    """Return in one line how the run ended, from the journal if it knows in time."""
    about = log.record()
    until = time.monotonic() + _PATIENCE
    row: RunRow | None = None
    while time.monotonic() < until and about.ended:
        fresh = history.journal or History(history.state).journal
        row = fresh.run(about.run) if fresh else None
        if row and row.outcome:
            return f"{about.monitor}: {shown_outcome(row)}: {row.reason}"
        time.sleep(_POLL)
    if not about.ended:
        return f"{about.monitor}: crontify exec was killed; 'crontify flush' reports the run"
    return f"{about.monitor}: ended with exit code {about.exit_code}"
