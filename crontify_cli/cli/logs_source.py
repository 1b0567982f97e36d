"""Where a run's log is had from: the API, or the recorder's copy on this machine."""

import time
from typing import NamedTuple

from crontify_cli.cli.logs_choice import Choice
from crontify_cli.cli.moments import ago, local
from crontify_cli.config import Settings, check_base_url, token
from crontify_cli.config.expiry import expires_at
from crontify_cli.errors import CrontifyError
from crontify_cli.report.excerpt import clean
from crontify_cli.report.locallog import read_log
from crontify_cli.report.recovery import live_runs


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
    from crontify_cli.report.api import open_api

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
