"""`crontify doctor`: runs all checks and prints their results."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from crontify_cli.errors import ExitCode

if TYPE_CHECKING:
    from crontify_cli.cli.doctor.check import Check

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


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
) -> None:
    """Run all checks and print them as they finish; the help is `_HELP`."""
    from crontify_cli.cli import output
    from crontify_cli.cli.doctor.check import show

    results = []

    def checks() -> "Iterator[Check]":
        for check in map(_masked, _checks()):
            results.append(check.result)
            yield check

    if as_json:
        output.json_list(check._asdict() for check in checks())
    elif output.is_terminal():
        show(checks())
    else:
        output.lines(
            output.fields((result, name, found, advice)) for name, result, found, advice in checks()
        )
    raise typer.Exit(ExitCode.FAILURE if "failure" in results else ExitCode.OK)


def _checks() -> "Iterator[Check]":
    """Yield each check when it has finished, in the order of `docs/output.md`."""
    from crontify_cli.cli.crontab_line import program
    from crontify_cli.cli.doctor.cron import check_cron
    from crontify_cli.cli.doctor.server import check_server, confirm_token
    from crontify_cli.cli.doctor.settings import check_config, check_key, check_modes, check_token
    from crontify_cli.cli.doctor.state import check_state
    from crontify_cli.config import load
    from crontify_cli.places import state_dir

    loaded = load()
    settings = loaded.settings
    try:
        state = state_dir()
    except OSError:
        state = None
    yield _version()
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


def _version() -> "Check":
    import platform

    from crontify_cli import __version__
    from crontify_cli.cli.crontab_line import program
    from crontify_cli.cli.doctor.check import Check

    python = f"Python {platform.python_version()}"
    return Check("version", "ok", f"crontify {__version__}, {python}, {program()}")


def _masked(check: "Check") -> "Check":
    """Return the check with secrets masked, which messages of a server or a command may contain."""
    from crontify_cli.config.secret import held_secrets
    from crontify_cli.report.mask import Masker, known_secrets

    mask = Masker(known_secrets(), held_secrets())
    advice = mask(check.advice) if check.advice else None
    return check._replace(found=mask(check.found), advice=advice)
