"""`crontify doctor`: runs all checks and prints their results."""

import platform
from collections.abc import Iterator

import typer

from crontify_cli import __version__
from crontify_cli.cli import output
from crontify_cli.cli.arguments import AsJson
from crontify_cli.cli.crontab_line import program
from crontify_cli.cli.doctor.check import Check, show
from crontify_cli.cli.doctor.cron import check_cron
from crontify_cli.cli.doctor.server import check_server, confirm_token
from crontify_cli.cli.doctor.settings import check_config, check_key, check_modes, check_token
from crontify_cli.cli.doctor.state import check_state
from crontify_cli.config import load
from crontify_cli.config.secret import held_secrets
from crontify_cli.errors import ExitCode
from crontify_cli.report.mask import Masker
from crontify_cli.report.secrets import known_secrets
from crontify_cli.state import state_dir

_HELP = """Check whether jobs on this machine can be reported, and say how to fix problems.

Checks config, file modes, key, server, clock, token, journal, queue, disk, and the
environment of cron jobs. The requests to the server change nothing; no ping is sent.

In a pipe, prints tab-separated lines: result (ok, warning, failure, skipped), check,
what was found, what to do. Exits with 1 if a check failed.
"""


def register(app: typer.Typer) -> None:
    """Add `doctor` to the app."""
    app.command(
        "doctor",
        short_help="Check whether jobs on this machine can be reported.",
        help=_HELP,
        epilog="Example: crontify doctor --json | jq '.[] | select(.result == \"failure\")'",
    )(doctor)


def doctor(as_json: AsJson = False) -> None:
    """Run all checks and print them as they finish; the help is `_HELP`."""
    results = []

    def checks() -> Iterator[Check]:
        for check in map(_masked, _checks()):
            results.append(check.result)
            yield check

    def fields(check: Check) -> tuple[object, ...]:
        return check.result, check.check, check.found, check.advice

    output.show_list(checks(), Check._asdict, fields, show, as_json=as_json)
    raise typer.Exit(ExitCode.FAILURE if "failure" in results else ExitCode.OK)


def _checks() -> Iterator[Check]:
    """Yield each check when it has finished, in the order of `docs/output.md`."""
    loaded = load()
    settings = loaded.settings
    try:
        state = state_dir()
    except OSError:
        state = None
    python = f"Python {platform.python_version()}"
    yield Check("version", "ok", f"crontify {__version__}, {python}, {program()}")
    yield from check_config(loaded)
    yield from check_modes(loaded, state)
    key = check_key(settings)
    yield key
    answers = False
    for check in check_server(settings):
        answers = answers or (check.check, check.result) == ("server", "ok")
        yield check
    token = check_token(settings)
    usable = answers and settings.token and token.result in ("ok", "warning")
    yield confirm_token(settings, token) if usable else token
    yield from check_state(state, settings)
    yield from check_cron(program(), has_key=key.result != "failure")


def _masked(check: Check) -> Check:
    """Return the check with secrets masked, which messages of a server or a command may contain."""
    mask = Masker(known_secrets(), held_secrets())
    advice = mask(check.advice) if check.advice else None
    return check._replace(found=mask(check.found), advice=advice)
