"""Keys as people name them: `base_url`, `headers.X-Team`, `monitors.backup.timeout`."""

from typing import NamedTuple

from crontify_cli.config import table
from crontify_cli.config.load import explain_unknown, key_path
from crontify_cli.config.table import Key
from crontify_cli.errors import CrontifyError, ExitCode
from crontify_cli.values import parse_monitor


class Address(NamedTuple):
    """A place in the config file: the names that lead there, and the row of the table."""

    names: tuple[str, ...]
    key: Key

    @property
    def path(self) -> str:
        """The full key path, as TOML writes it."""
        return key_path(*self.names)


def parse_address(text: str) -> Address:
    """Return what `text` names; raises CrontifyError (usage) for what is no key.

    A monitor's name may have dots, a key has none, so the last word is the key.
    """
    names = split(text)
    if len(names) == 3:
        try:
            parse_monitor(names[1])
        except ValueError as error:
            raise CrontifyError(f"{text}: {error}", ExitCode.USAGE) from None
    if names[0] == "monitors" and len(names) < 3:
        raise CrontifyError(f"{text}: not a key: write monitors.NAME.KEY", ExitCode.USAGE)
    known = table.MONITOR if names[0] == "monitors" else table.TOP
    name = names[0] if names[0] == "headers" else names[-1]
    if name not in known:
        raise CrontifyError(f"{text}: {explain_unknown(name, known)}", ExitCode.USAGE)
    return Address(names, known[name])


def split(text: str) -> tuple[str, ...]:
    """Return the names in a key path, known or not."""
    first, dot, rest = text.partition(".")
    if first == "monitors" and dot:
        alias, dot, name = rest.rpartition(".")
        if dot and alias[:1] + alias[-1:] == '""':  # as `config check` writes it
            alias = alias[1:-1]
        return ("monitors", alias, name) if dot else ("monitors", name)
    return ("headers", rest) if first == "headers" and dot else (text,)
