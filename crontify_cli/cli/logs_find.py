"""Finds the run that `crontify logs` should show, and its log."""

import time
from typing import NamedTuple

from crontify_cli.cli.client import connect
from crontify_cli.cli.history import History, names_of
from crontify_cli.cli.moments import ago, local
from crontify_cli.cli.run_command import is_position
from crontify_cli.config import Settings, token
from crontify_cli.config.secret import expires_at
from crontify_cli.delivery.journal import RunRow
from crontify_cli.delivery.records import Live, has_wrapper, live_runs
from crontify_cli.errors import CrontifyError, ExitCode, in_words
from crontify_cli.report.excerpt import clean
from crontify_cli.report.live import LiveLog
from crontify_cli.report.locallog import read_log
from crontify_cli.values import parse_monitor

_SHOWN = 5


class Choice(NamedTuple):
    """The run to show. row: None if only the server knows the run."""

    monitor_id: str
    remote_run_id: str | None
    row: RunRow | None = None


def choose(history: History, settings: Settings, monitor: str | None, run: str | None) -> Choice:
    """Return the run to show; raises CrontifyError and JournalError.

    run: a remote run id, a local id or its first characters, `-1` for the last run, `-2`
        for the one before it. None for the last failed run, else the last run.
    A single argument that is not the name of a monitor may also be a run.
    """
    if run is None and is_position(monitor):
        monitor, run = None, monitor
    names = names_of(monitor, settings) if monitor else ()
    if run is not None and is_position(run):
        return _from_the_end(history, names, -int(run))
    if run is not None:
        return _named(history, settings, monitor, names, run)
    failed = next(history.runs(names, failed=True, limit=1), None)
    row = failed or next(history.runs(names, limit=1), None)
    if row:
        return _choice(row)
    if monitor and monitor not in settings.monitors and (found := _find(history, (), monitor)):
        return _choice(found)
    of_monitor = f" of {monitor}" if monitor else ""
    raise CrontifyError(f"no runs{of_monitor} on this machine; 'crontify runs' lists all runs")


def choose_live(
    history: History, settings: Settings, monitor: str | None, run: str | None
) -> Live | None:
    """Return the newest active run that matches `monitor` and `run`, None if there is none.

    Raises CrontifyError and JournalError.
    """
    if is_position(run or monitor):
        row = choose(history, settings, monitor, run).row
        monitor, run = None, row.id if row else None
    names = names_of(monitor, settings) if monitor else ()
    found: list[tuple[int, Live]] = []
    for live in live_runs(history.state):
        if names and live.monitor not in names:
            continue
        if (run and not live.run.startswith(run)) or not has_wrapper(live.path):
            continue
        try:
            log = LiveLog(live.path)
        except (OSError, ValueError):
            continue  # it has ended since, or is just being created
        found.append((log.about.started, live))
        log.close()
    return max(found)[1] if found else None


def _choice(row: RunRow) -> Choice:
    return Choice(row.monitor_id, row.remote_run_id, row)


def _from_the_end(history: History, names: tuple[str, ...], count: int) -> Choice:
    rows = list(history.runs(names, limit=count))
    if len(rows) < count:
        raise CrontifyError(
            f"no run -{count}: only {len(rows)} in the journal; 'crontify runs' lists them"
        )
    return _choice(rows[-1])


def _named(
    history: History, settings: Settings, monitor: str | None, names: tuple[str, ...], run: str
) -> Choice:
    if row := _find(history, names, run):
        return _choice(row)
    if monitor is None:
        raise CrontifyError(f"no run {run} on this machine; 'crontify runs' lists them")
    try:
        parse_monitor(run)  # it will be part of a URL
    except ValueError:
        raise CrontifyError(f"not a run id: {run!r}", ExitCode.USAGE) from None
    return Choice(settings.monitor(monitor).id, run)


def _find(history: History, names: tuple[str, ...], run: str) -> RunRow | None:
    if not run or not history.journal:
        return None
    rows = [
        row
        for row in history.journal.find_runs(run, 100)
        if not names or row.monitor in names or row.monitor_id in names
    ]
    exact = [row for row in rows if run in (row.remote_run_id, row.id)]
    if len(rows) > 1 and not exact:
        ids = ", ".join(row.id for row in rows[:_SHOWN])
        raise CrontifyError(f"run id {run} is ambiguous: it matches {ids}; type more of it")
    return next(iter(exact or rows), None)


class Log(NamedTuple):
    """A log. source: "api", "local", or "live" for a run that has not ended.

    content: None if there is no log.
    """

    source: str
    content: str | None


def remote_log(choice: Choice, settings: Settings, *, raw: bool) -> Log:
    """Return the API's log of a run; raises CrontifyError if the API cannot be asked."""
    user_token = token(settings)
    if user_token is None:
        how = "sign in to Crontify to get one, then run 'crontify config set token'"
        if choice.row is None:
            raise CrontifyError(
                f"no run {choice.remote_run_id} of {choice.monitor_id} on this machine; 'crontify"
                f" runs' lists them. To ask the server, a user token is needed: {how}"
            )
        raise CrontifyError(f"no user token; {how}")
    if choice.remote_run_id is None:
        raise CrontifyError("the server returned no id for this run")
    row = choice.row
    if row and row.base_url and row.base_url.rstrip("/") != settings.base_url.rstrip("/"):
        raise CrontifyError(f"the run was reported to {row.base_url}, not {settings.base_url}")
    with connect(settings, token=user_token) as api:
        answer = api.log(choice.monitor_id, choice.remote_run_id)
    if answer.fate == "received":
        content = answer.content if answer.has_log else None
        if content is not None and not raw:
            content = clean(content.encode("utf-8", "replace"))
        return Log("api", content)
    if answer.status == 401:
        raise CrontifyError(_refused(user_token, settings.base_url))
    if answer.status == 404:
        run = f"run {choice.remote_run_id} of {choice.monitor_id}"
        raise CrontifyError(f"the API has no {run}, or it belongs to another account (404)")
    raise CrontifyError(f"{answer.message}{f' ({answer.status})' if answer.status else ''}")


def _refused(user_token: str, base_url: str) -> str:
    """Return why the token was refused, as far as we can tell, and how to get a new one."""
    end, now = expires_at(user_token), time.time()
    what = "the token is not valid (401)"
    if user_token.startswith("ck_"):
        what = "the token is an API key, but logs need a user token (401)"
    elif end is not None and end <= now:
        what = f"the token expired {ago(now - end)}, at {local(end)} (401)"
    how = "sign in to Crontify to get a new one"
    if "//127.0.0.1" in base_url or "//localhost" in base_url:
        how = "get a new one from 'crontify sandbox token'"
    return f"{what}; {how}, then run 'crontify config set token'"


def local_log(state: str, choice: Choice) -> Log:
    """Return this machine's log of a run, in which secrets were masked when it was written."""
    row = choice.row
    if row is None:
        return Log("local", None)
    try:
        found = read_log(state, row.id)
    except OSError as error:
        raise CrontifyError(
            f"cannot read the log of run {row.id} on this machine: {in_words(error)}"
        ) from None
    content = row.excerpt if found is None else found
    # Written clean by us, but not by earlier versions, which left directional marks in it.
    return Log("local", None if content is None else clean(content.encode("utf-8", "replace")))


def live_path(state: str, choice: Choice) -> str | None:
    """Return the path of the run's record, None if the run has ended."""
    row = choice.row
    if row is None or row.outcome is not None:
        return None
    return next((live.path for live in live_runs(state) if live.run == row.id), None)
