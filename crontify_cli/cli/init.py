"""`crontify init`: three questions, a config file, and the crontab line to paste."""

import os
import sys
from typing import NamedTuple

import typer

from crontify_cli.cli import person
from crontify_cli.cli.config import config_file, tell
from crontify_cli.errors import CrontifyError

NO_MONITOR = "crontify-init-tries-the-key"


class Monitor(NamedTuple):
    """A monitor's `name` on the command line, and its `id` at Crontify."""

    name: str
    id: str


def init() -> None:
    """Ask for API key, monitor and job; write the config file; print the crontab line.

    Without a terminal the answers are the lines of stdin: the key (an
    empty one keeps the file's), the monitor, the job, y to try the key.
    """
    from crontify_cli.cli.crontab_line import crontab_line, parse_job, program

    file = config_file()
    key = _ask_key(file)
    monitor = person.until_right(
        "Monitor (its id from the dashboard, or NAME=ID to give it a name of yours):",
        _parse_monitor,
    )
    job = person.until_right(
        "Job (its line in the crontab, as 0 3 * * * /srv/backup.sh, or the command alone):",
        parse_job,
    )
    if person.agrees("Try the key now, with one request that changes nothing?"):
        print(f"crontify: {_try_key(key)}", file=sys.stderr)
    _write(file, key, monitor)
    print("crontify: the line for your crontab (crontab -e):", file=sys.stderr)
    print(crontab_line(job, monitor.name, program(), os.environ.get("CRONTIFY_CONFIG")))


def register(app: typer.Typer) -> None:
    """Add `init` to the app."""
    app.command(
        "init",
        short_help="Three questions: the config file, and the line for your crontab.",
        epilog="Example: crontify init, then crontab -e",
    )(init)


def _ask_key(file: str) -> str | None:
    """Return the key to write, None to leave the one that the file has.

    Raises CrontifyError for a file that cannot be changed, before anything is asked.
    """
    from crontify_cli.config.file import read_existing
    from crontify_cli.config.keys import CREDENTIALS
    from crontify_cli.config.secret import parse_secret

    try:
        document = read_existing(file)
    except (FileNotFoundError, NotADirectoryError):
        held = []
    else:
        if document.problem:
            raise CrontifyError(f"{document.problem}; mend it with: crontify config edit")
        held = [name for name in CREDENTIALS["api_key"] if name in document.table]

    def parse(text: str) -> str | None:
        return None if held and not text else parse_secret(text)

    hint = f"; empty keeps {held[0]} as it is" if held else ""
    return person.until_right(f"API key (not shown{hint}):", parse, hidden=True)


def _parse_monitor(text: str) -> Monitor:
    from crontify_cli.values import parse_monitor

    name, equals, id_ = text.partition("=")
    name, id_ = name.strip(), id_.strip()
    return Monitor(parse_monitor(name), parse_monitor(id_ if equals else name))


def _write(file: str, key: str | None, monitor: Monitor) -> None:
    """Put the answers into the config file; everything else in it stays."""
    from crontify_cli.cli.config import table_at
    from crontify_cli.config.file import change
    from crontify_cli.config.keys import CREDENTIALS

    address = _address_of_this_shell()

    def put(content: dict[str, object]) -> None:
        if key:
            for name in CREDENTIALS["api_key"]:
                content.pop(name, None)
            content["api_key"] = key
        if address:
            content["base_url"] = address
        if monitor.name != monitor.id:
            table_at(content, ("monitors", monitor.name), file)["id"] = monitor.id

    tell(file, change(file, put))
    print(f"crontify: written to {file} (mode 0600)", file=sys.stderr)
    if address:
        print(f"crontify: base_url = {address} too: cron has no CRONTIFY_BASE_URL", file=sys.stderr)


def _address_of_this_shell() -> str | None:
    """Return the server that CRONTIFY_BASE_URL names; a wrong one is none, and said elsewhere."""
    from crontify_cli.config import load

    value = load().values.get("base_url")
    return str(value.typed) if value and value.source == "env" else None


def _try_key(typed: str | None) -> str:
    """Ask the API whether it knows the key; return what to tell.

    The seed documents 401 for a key that is not known and 404 for a monitor that does not
    exist. So a ping for a made-up monitor tries the key without touching a real run, which
    a success sent for the real monitor would close.

    Raises CrontifyError for a key that is refused, or that there is none of.
    """
    from crontify_cli.config import api_key, check_base_url, load
    from crontify_cli.delivery.api import open_api
    from crontify_cli.model import Ping

    settings = load().settings
    check_base_url(settings)
    try:
        api = open_api(settings, typed or api_key(settings))
        answer = api.ping(Ping(NO_MONITOR, "success"))
    except OSError as error:  # a ca_bundle that cannot be read
        return f"not tried: {error}"
    api.close()
    if answer.status == 401:
        raise CrontifyError(
            f"{settings.base_url} does not know this API key (401: {answer.message});"
            " nothing was written: copy the key from the dashboard and try again"
        )
    if answer.fate == "received" or answer.status == 404:
        return "the key is accepted; whether the monitor is right shows in the job's first run"
    answered = f"answered {answer.status}: " if answer.status else "cannot be reached: "
    return f"not tried: {settings.base_url} {answered}{answer.message}"
