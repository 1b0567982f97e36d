"""`crontify doctor`: whether everything is as a report needs it, and what to do where not."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from crontify_cli.errors import ExitCode

if TYPE_CHECKING:
    from crontify_cli.cli.doctor.check import Check

_HELP = """Check that jobs can be reported from here, and say what to do where not.

Config, file modes, key, server, clock, token, journal, queue, disk, and what cron
will find. The server is asked by requests that change nothing; no ping is sent.

In a pipe a tab-separated line each: result (ok, warning, failure, skipped), check,
what was found, what to do. Exit 1 on a failure.
"""


def register(app: typer.Typer) -> None:
    """Add `doctor` to the app."""
    epilog = "Example: crontify doctor --json | jq '.[] | select(.result == \"failure\")'"
    app.command(
        "doctor", short_help="Check that jobs can be reported from here.", help=_HELP, epilog=epilog
    )(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects.")] = False,
) -> None:
    """Check everything; the help is `_HELP`."""
    from crontify_cli.cli import output
    from crontify_cli.cli.doctor import check as shown

    results = []

    def noted() -> "Iterator[Check]":
        for check in map(_masked, _checks()):
            results.append(check.result)
            yield check

    if as_json:
        output.json_list(map(shown.as_json, noted()))
    elif output.is_terminal():
        shown.show(noted())
    else:
        output.lines(output.fields(shown.as_fields(check)) for check in noted())
    raise typer.Exit(ExitCode.FAILURE if "failure" in results else ExitCode.OK)


def _checks() -> "Iterator[Check]":
    """Yield every check as it is made, in the order of `docs/output.md`."""
    from crontify_cli.cli.crontab_line import program
    from crontify_cli.cli.doctor.cron import check_cron
    from crontify_cli.cli.doctor.server import check_server, try_token
    from crontify_cli.cli.doctor.settings import (
        check_config,
        check_key,
        check_modes,
        check_token,
    )
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
    tries = answers and settings.token and token.result in ("ok", "warning")
    yield try_token(settings, token) if tries else token
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
    """Return the check without what a stranger's words may hold: a server's, a command's."""
    from crontify_cli.config.secret import held_secrets
    from crontify_cli.report.mask import Masker, known_secrets

    mask = Masker(known_secrets(), held_secrets())
    advice = mask(check.advice) if check.advice else None
    return check._replace(found=mask(check.found), advice=advice)
