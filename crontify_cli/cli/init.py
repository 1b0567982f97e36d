"""`crontify init`: asks for key, monitor and job; writes the config; prints the crontab line."""

import os
import sys
from typing import NamedTuple

import typer

from crontify_cli.cli import person
from crontify_cli.cli.client import connect
from crontify_cli.cli.config import (
    config_file,
    edit_command,
    print_notes,
    subtable,
    tell_if_overridden,
)
from crontify_cli.cli.crontab_line import crontab_line, parse_job, program
from crontify_cli.config import Settings, api_key, load
from crontify_cli.config.change import change
from crontify_cli.config.file import read_place
from crontify_cli.config.keys import CREDENTIALS
from crontify_cli.config.secret import parse_secret
from crontify_cli.config.settings import Value
from crontify_cli.errors import CrontifyError, say
from crontify_cli.model import Ping
from crontify_cli.values import parse_argument_monitor, parse_monitor

NO_MONITOR = "crontify-init-test"


class Monitor(NamedTuple):
    """A monitor: its `name` on the command line and its `id` in Crontify."""

    name: str
    id: str


def register(app: typer.Typer) -> None:
    """Add `init` to the app."""
    app.command(
        "init",
        short_help="Answer three questions to get a config file and a crontab line.",
        epilog="Example: crontify init",
    )(init)


def init() -> None:
    """Ask for API key, monitor and job; write the config file; print the crontab line.

    Without a terminal, the answers are read from stdin, one per line: the
    key (empty to keep the current one), the monitor, the job, y to test the key.
    """
    file = config_file()
    key = _ask_key(file)
    monitor = person.until_right(
        "Monitor (its id from the dashboard, or NAME=ID to choose a name for it):",
        _parse_monitor,
    )
    config = os.environ.get("CRONTIFY_CONFIG")
    line = person.until_right(
        "Job (its crontab line, such as 0 3 * * * /srv/backup.sh, or only its command):",
        lambda text: crontab_line(parse_job(text), monitor.name, program(), config),
    )
    loaded = load()
    if person.agrees("Test the key now, with one request that changes nothing?"):
        say(_test_key(loaded.settings, key))
    base_url = loaded.values.get("base_url")
    _write(file, key, monitor, base_url if base_url and base_url.source == "env" else None)
    say("add this line to your crontab with crontab -e:")
    print(line, flush=True)
    _offer_wrapping()


def _offer_wrapping() -> None:
    """Offer to wrap the jobs that the user's crontab has already."""
    from crontify_cli.cli import crontab_edit
    from crontify_cli.cli.crontab_open import open_crontabs

    advice = "'crontify crontab wrap' monitors the jobs of a whole crontab"
    try:
        crontabs = open_crontabs(None, None, False, None)
    except CrontifyError:  # such as a machine without crontab(1)
        say(advice)
        return
    count = crontab_edit.count_jobs_to_wrap(crontabs)
    jobs = f"the {count} job{'s' if count != 1 else ''}"
    question = f"Wrap {jobs} that your crontab has now ('crontify crontab wrap')?"
    if not count or not sys.stdin.isatty():
        say(advice)
    elif person.agrees(question):
        crontab_edit.wrap(crontabs, crontab_edit.Choice())


def _ask_key(file: str) -> str | None:
    """Return the key to write, None to keep the one in the file.

    Raises CrontifyError before the first question if the file cannot be changed, or one of
    those in conf.d cannot be read.
    """
    documents = read_place(file)
    if broken := next((each for each in documents if each.problem), None):
        edit = edit_command(broken.file)
        raise CrontifyError(f"{broken.problem}; correct the file with {edit}")
    tables = [each.table for each in documents]
    held = [name for name in CREDENTIALS["api_key"] if any(name in table for table in tables)]

    def parse(text: str) -> str | None:
        return None if held and not text else parse_secret(text)

    hint = f"; leave empty to keep the current {held[0]}" if held else ""
    return person.until_right(f"API key (not echoed{hint}):", parse, hidden=True)


def _parse_monitor(text: str) -> Monitor:
    name, equals, id_ = text.partition("=")
    name, id_ = name.strip(), id_.strip()
    return Monitor(parse_argument_monitor(name), parse_monitor(id_ if equals else name))


def _write(file: str, key: str | None, monitor: Monitor, base_url: Value | None) -> None:
    """Write the answers to the config file, and keep everything else in it.

    base_url: the value of CRONTIFY_BASE_URL, which is not set under cron; None if not set here.
    """
    answers: dict[tuple[str, ...], str] = {}
    if key:
        answers["api_key",] = key
    if base_url:
        answers["base_url",] = str(base_url.typed)
    if monitor.name != monitor.id:
        answers["monitors", monitor.name, "id"] = monitor.id

    def put(content: dict[str, object]) -> None:
        for name in CREDENTIALS["api_key"] if key else ():
            content.pop(name, None)
        for names, value in answers.items():
            subtable(content, names[:-1], file)[names[-1]] = value

    print_notes(file, change(file, put))
    say(f"settings written to {file} (mode 0600)")
    for names in answers:
        tell_if_overridden(file, names)
    if base_url:
        say(f"base_url = {base_url.typed} was written, too: cron does not set CRONTIFY_BASE_URL")


def _test_key(settings: Settings, typed: str | None) -> str:
    """Ask the API whether the key is valid; return the result as a message.

    The API documents 401 for an unknown key and 404 for an unknown monitor. So a ping for a
    monitor that does not exist tests the key; for the real monitor, it would close a run.

    Raises CrontifyError if the key is rejected or cannot be read.
    """
    from crontify_cli.delivery.policy import is_about_monitor

    try:
        with connect(settings, typed or api_key(settings)) as api:
            answer = api.ping(Ping(NO_MONITOR, "success"))
    except OSError as error:  # the ca_bundle cannot be read
        return f"key not tested: {error}"
    if answer.status == 401:
        raise CrontifyError(
            f"config file not written: {settings.base_url} rejected the API key"
            f" (401: {answer.message}); copy the key from the dashboard and try again"
        )
    if answer.fate == "received" or (answer.status == 404 and is_about_monitor(answer)):
        return "the server accepts the key; the monitor will be checked by the job's first run"
    failure = f"answered {answer.status}" if answer.status else "cannot be reached"
    return f"key not tested: {settings.base_url} {failure}: {answer.message}"
