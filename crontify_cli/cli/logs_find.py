"""Which run `crontify logs` is about."""

import re
import time
from typing import NamedTuple

from crontify_cli.cli.history import History, names_of
from crontify_cli.cli.moments import ago, local
from crontify_cli.config import Settings, check_base_url, token
from crontify_cli.config.secret import expires_at
from crontify_cli.delivery.journal import RunRow
from crontify_cli.delivery.recovery import Live, has_wrapper, live_runs
from crontify_cli.errors import CrontifyError, ExitCode
from crontify_cli.report.excerpt import clean
from crontify_cli.report.locallog import read_log
from crontify_cli.values import parse_monitor

FROM_THE_END = r"-[1-9]\d{0,8}"
_SHOWN = 5


class Choice(NamedTuple):
    """A run. row: None for one that only the server knows."""

    monitor_id: str
    remote_run_id: str | None
    row: RunRow | None = None


def choose(history: History, settings: Settings, monitor: str | None, run: str | None) -> Choice:
    """Return the run that is meant; raises CrontifyError, and JournalError.

    run: a remote run id, a local id or its unique start, `-1` for the last, `-2` for the
        last but one. None: the newest failed run, else the newest.
    A single word that names no monitor may be a run.
    """
    if run is None and monitor is not None and re.fullmatch(FROM_THE_END, monitor):
        monitor, run = None, monitor
    names = names_of(monitor, settings) if monitor else ()
    if run is not None and re.fullmatch(FROM_THE_END, run):
        return _from_the_end(history, names, -int(run))
    if run is not None:
        return _named(history, settings, monitor, names, run)
    failed = next(history.runs(names, failed=True, limit=1), None)
    row = failed or next(history.runs(names, limit=1), None)
    if row:
        return _of(row)
    if monitor and monitor not in settings.monitors and (found := _find(history, (), monitor)):
        return _of(found)
    raise CrontifyError(f"no runs{f' of {monitor}' if monitor else ''} here: `crontify runs`")


def choose_live(
    history: History, settings: Settings, monitor: str | None, run: str | None
) -> Live | None:
    """Return the newest run with a living wrapper that `monitor` and `run` may mean."""
    from crontify_cli.report.live import LiveLog

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
            continue  # ended meanwhile, or just being made
        found.append((log.about.started, live))
        log.close()
    return max(found)[1] if found else None


def _of(row: RunRow) -> Choice:
    return Choice(row.monitor_id, row.remote_run_id, row)


def _from_the_end(history: History, names: tuple[str, ...], count: int) -> Choice:
    rows = list(history.runs(names, limit=count))
    if len(rows) < count:
        raise CrontifyError(f"-{count}: there are {len(rows)} such runs only: `crontify runs`")
    return _of(rows[-1])


def _named(
    history: History, settings: Settings, monitor: str | None, names: tuple[str, ...], run: str
) -> Choice:
    if row := _find(history, names, run):
        return _of(row)
    if monitor is None:
        raise CrontifyError(f"no run {run} here: `crontify runs` lists them")
    try:
        parse_monitor(run)  # whatever else it is, it stands in a URL
    except ValueError:
        raise CrontifyError(f"not a run: {run!r}", ExitCode.USAGE) from None
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
        raise CrontifyError(f"{run} may mean several runs: {ids}: write more of it")
    return next(iter(exact or rows), None)


class Log(NamedTuple):
    """A log. source: "api", "local", or "live" where its run still goes on.

    content: None where there is none.
    """

    source: str
    content: str | None


def remote(choice: Choice, settings: Settings, *, raw: bool) -> Log:
    """Return what the API has; raises CrontifyError that says why nothing could be had."""
    user_token = token(settings)
    if user_token is None:
        raise CrontifyError("no user token: `crontify config set token` takes one, from Crontify")
    if choice.remote_run_id is None:
        raise CrontifyError("the server has given no id for this run")
    row = choice.row
    if row and row.base_url and row.base_url.rstrip("/") != settings.base_url.rstrip("/"):
        raise CrontifyError(f"this run was reported to {row.base_url}, not {settings.base_url}")
    check_base_url(settings)
    from crontify_cli.delivery.api import open_api

    with open_api(settings, None, user_token) as api:
        answer = api.log(choice.monitor_id, choice.remote_run_id)
    if answer.fate == "received":
        content = answer.content if answer.has_log else None
        if content is not None and not raw:
            content = clean(content.encode("utf-8", "replace"))
        return Log("api", content)
    if answer.status == 401:
        raise CrontifyError(_refused(user_token, settings.base_url))
    if answer.status == 404:
        place = f"run {choice.remote_run_id} of {choice.monitor_id}"
        raise CrontifyError(f"the API knows no {place}, or it is another account's (404)")
    raise CrontifyError(f"{answer.message}{f' ({answer.status})' if answer.status else ''}")


def _refused(user_token: str, base_url: str) -> str:
    """Say in words why the token may have been refused, and how to get a new one."""
    end, now = expires_at(user_token), time.time()
    what = "the token is not valid (401)"
    if user_token.startswith("ck_"):
        what = "the token is an API key, and logs want a user token (401)"
    elif end is not None and end <= now:
        what = f"the token expired {ago(now - end)}, at {local(end)} (401)"
    where = "sign in to Crontify for a new one"
    if "//127.0.0.1" in base_url or "//localhost" in base_url:
        where = "`crontify sandbox token` prints a sandbox's"
    return f"{what}: {where}, then `crontify config set token`"


def kept(state: str, choice: Choice) -> Log:
    """Return the recorder's copy, masked when it was made; its content may be None."""
    row = choice.row
    if row is None:
        return Log("local", None)
    try:
        found = read_log(state, row.id)
    except OSError as error:
        raise CrontifyError(f"the local copy of run {row.id}: {error}") from None
    return Log("local", found if found is not None else row.excerpt)


def is_live(state: str, choice: Choice) -> str | None:
    """Return the path of the run's record if it has one, so that its log is not complete yet."""
    row = choice.row
    if row is None or row.outcome is not None:
        return None
    return next((live.path for live in live_runs(state) if live.run == row.id), None)
