"""Shows, asks for and writes the drop-ins of `crontify systemd wrap` and `unwrap`."""

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

import typer

from crontify_cli.cli import difference, person
from crontify_cli.cli.crontab_line import program_words
from crontify_cli.errors import CrontifyError, ExitCode, say
from crontify_cli.files import replace
from crontify_cli.systemd import manager
from crontify_cli.systemd.dropin import RefusedError, Wish, compose
from crontify_cli.systemd.units import Units


class Choice(NamedTuple):
    """What the command line says."""

    user: bool = False
    dry_run: bool = False
    yes: bool = False


def wrap(
    names: Sequence[str], choice: Choice, *, monitor: str = "", key_file: str | None = None
) -> None:
    """Write a drop-in for each service.

    key_file: None for the one in the settings. Raises CrontifyError, also after the others were
    written, if a service was refused.
    """
    if monitor and len(names) > 1:
        raise CrontifyError("--name goes with one UNIT", ExitCode.USAGE)
    wish = Wish(program_words(), monitor, _key_file(key_file))
    if not wish.key_file:
        say(
            "no api_key_file is set, so a service has to find the key by itself: see --api-key-file"
        )
    if os.environ.get("CRONTIFY_CONFIG"):
        say("the service does not know CRONTIFY_CONFIG; set it with 'systemctl edit'")
    units = Units(user=choice.user)
    refused = written = 0
    for name in names:
        service = units.service(name)
        try:
            dropin = compose(service, wish)
        except RefusedError as reason:
            say(f"{service.name}: left as it is: {reason}")
            refused += 1
            continue
        path = units.own_dropin(service.name)
        before = _content(service.own) if service.own == path else ""
        if before == dropin.text:
            say(f"{service.name}: nothing to do: it is wrapped already")
            continue
        if not before and os.path.lexists(path):
            raise CrontifyError(f"{path} was not written by crontify; rename it")
        difference.show(before, dropin.text, path)
        for note in dropin.notes:
            say(f"{service.name}: {note}")
        if _agrees(f"Wrap {service.name} as {', '.join(dropin.monitors)}?", choice):
            _write(path, dropin.text)
            say(f"{service.name}: wrapped")
            written += 1
    _finish(written, refused, choice)


def unwrap(names: Sequence[str], choice: Choice) -> None:
    """Remove our drop-ins; raises CrontifyError, also after others were removed."""
    units = Units(user=choice.user)
    left = removed = 0
    for name in names:
        service = units.service(name)
        if service.own is None:
            say(f"{service.name}: left as it is: no drop-in of crontify's")
            left += 1
            continue
        difference.show(_content(service.own), "", service.own)
        if _agrees(f"Unwrap {service.name}?", choice):
            _remove(service.own)
            say(f"{service.name}: unwrapped")
            removed += 1
    _finish(removed, left, choice)


def _key_file(given: str | None) -> str:
    """Return the path of the file with the API key, "" if none is set; raises CrontifyError."""
    if given is None:
        from crontify_cli.config import load

        value = load().values.get("api_key_file")
        given = str(value.typed or "") if value else ""
    if given and not os.path.isfile(given):
        # The service would not even start.
        raise CrontifyError(f"{given}: there is no such file with an API key")
    return os.path.abspath(given) if given else ""


def _agrees(question: str, choice: Choice) -> bool:
    if choice.dry_run:
        return False
    if choice.yes:
        return True
    if not sys.stdin.isatty():
        raise CrontifyError(
            "nothing was written: stdin is not a terminal;"
            " --yes writes without asking, --dry-run only shows",
            ExitCode.USAGE,
        )
    return person.agrees(question)


def _content(path: str | None) -> str:
    if path is None:
        return ""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    """Write a drop-in; raises CrontifyError."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        replace(path, text.encode("utf-8", "surrogateescape"), durable=True)
    except OSError as error:
        raise CrontifyError(f"{path} cannot be written: {error.strerror}") from None


def _remove(path: str) -> None:
    try:
        os.unlink(path)
        with contextlib.suppress(OSError):  # other drop-ins are in it
            os.rmdir(os.path.dirname(path))
    except OSError as error:
        raise CrontifyError(f"{path} cannot be removed: {error.strerror}") from None


def _finish(changed: int, left: int, choice: Choice) -> None:
    """Make the manager read the units again; raises CrontifyError."""
    if changed:
        try:
            manager.reload(user=choice.user)
        except CrontifyError as error:
            again = f"systemctl {'--user ' if choice.user else ''}daemon-reload"
            say(f"{error.message}; '{again}' makes the change known to systemd")
    if left:
        raise typer.Exit(ExitCode.FAILURE)
