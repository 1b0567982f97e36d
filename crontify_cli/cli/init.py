"""`crontify init`: three questions, a config file, and the crontab line to paste."""

import os
import sys
from typing import NamedTuple

import typer

from crontify_cli.cli import ask
from crontify_cli.cli.config import config_file, tell
from crontify_cli.errors import CrontifyError


class Monitor(NamedTuple):
    """A monitor's `name` on the command line, and its `id` at Crontify."""

    name: str
    id: str


def init() -> None:
    """Ask for API key, monitor and job; write the config file; print the crontab line.

    Without a terminal the answers are the lines of stdin: the key (empty keeps the one that
    is configured), the monitor, the job, and y to try the key.
    """
    from crontify_cli.cli.crontab_line import crontab_line, parse_job

    file = config_file()
    key = _ask_key(file)
    monitor = ask.until_right(
        "Monitor (its id from the dashboard, or NAME=ID to give it a name of yours):",
        _parse_monitor,
    )
    job = ask.until_right(
        "Job (its line in the crontab, as 0 3 * * * /srv/backup.sh, or the command alone):",
        parse_job,
    )
    _write(file, key, monitor)
    print("crontify: the line for your crontab (crontab -e):", file=sys.stderr)
    print(crontab_line(job, monitor.name, _program(), os.environ.get("CRONTIFY_CONFIG")))


def register(app: typer.Typer) -> None:
    """Add `init` to the app."""
    app.command("init")(init)


def _ask_key(file: str) -> str | None:
    """Return the key to write, None to leave the one that the file has.

    Raises CrontifyError for a file that cannot be changed, before anything is asked.
    """
    from crontify_cli.config.credentials import parse_secret
    from crontify_cli.config.document import read_existing
    from crontify_cli.config.table import CREDENTIALS

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
    return ask.until_right(f"API key (not shown{hint}):", parse, hidden=True)


def _parse_monitor(text: str) -> Monitor:
    from crontify_cli.values import parse_monitor

    name, equals, id_ = text.partition("=")
    name, id_ = name.strip(), id_.strip()
    return Monitor(parse_monitor(name), parse_monitor(id_ if equals else name))


def _write(file: str, key: str | None, monitor: Monitor) -> None:
    """Put the answers into the config file; everything else in it stays."""
    from crontify_cli.cli.config import table_at
    from crontify_cli.config.table import CREDENTIALS
    from crontify_cli.config.write import change

    def put(content: dict[str, object]) -> None:
        if key:
            for name in CREDENTIALS["api_key"]:
                content.pop(name, None)
            content["api_key"] = key
        if monitor.name != monitor.id:
            table_at(content, ("monitors", monitor.name), file)["id"] = monitor.id

    tell(file, change(file, put))
    print(f"crontify: written to {file} (mode 0600)", file=sys.stderr)


def _program() -> str:
    """Return the absolute way to this program, as a crontab's command line writes it."""
    from crontify_cli.cli.crontab_line import quoted_program

    beside = os.path.join(os.path.dirname(sys.executable), "crontify")
    for candidate in (os.path.abspath(sys.argv[0]), beside):
        if os.path.basename(candidate) == "crontify" and os.access(candidate, os.X_OK):
            return quoted_program(candidate)
    return quoted_program(sys.executable, "-m", "crontify_cli")
