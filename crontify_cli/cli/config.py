"""`crontify config`: shows, checks and changes the settings."""

import os
from collections.abc import Iterable, Mapping
from shlex import quote
from typing import Annotated

import typer

from crontify_cli.cli import output, person
from crontify_cli.cli.client import load_settings
from crontify_cli.cli.config_edit import edit_file
from crontify_cli.cli.config_show import Row, find_settings, list_settings
from crontify_cli.cli.help import App
from crontify_cli.cli.table import text
from crontify_cli.config import api_key, check_base_url, load, token
from crontify_cli.config.change import Written, change
from crontify_cli.config.file import read_place
from crontify_cli.config.keys import (
    CREDENTIALS,
    PATTERNS,
    KeyPath,
    key_path,
    parse_key_path,
    split,
)
from crontify_cli.config.kinds import read_header
from crontify_cli.config.sources import read_value
from crontify_cli.errors import CrontifyError, ExitCode, one_line, say
from crontify_cli.places import user_config_file

config = App(
    name="config",
    help="Show, check and change the settings.",
    no_args_is_help=True,
    epilog="Example: crontify config set monitors.backup.timeout 2h",
)

KeyArgument = Annotated[
    str,
    typer.Argument(metavar="KEY", help="Such as base_url, headers.X-Team or monitors.backup.id."),
]


@config.command(epilog="Example: ls -l $(crontify config path)")
def path(
    every: Annotated[
        bool,
        typer.Option("--all", help="Print each file that is read; later ones take precedence."),
    ] = False,
) -> None:
    """Print the path of the config file that is changed, whether or not it exists."""
    for file in load().files if every else [config_file()]:
        print(file)


@config.command("list", epilog="Example: crontify config list | grep -v default")
def list_(
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print a list of objects with key, value, source and from."),
    ] = False,
) -> None:
    """List all settings, their values and where they come from; secrets are masked."""
    output.show_list(list_settings(load_settings()), _json, cells, draw, as_json=as_json)


def draw(rows: Iterable[Row]) -> None:
    """Print settings as a table."""
    from rich.table import Table

    table = Table("Key", "Value", "Source", box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        style = "dim" if row.source == "default" else ""
        table.add_row(*(text(cell or "-") for cell in cells(row)), style=style)
    output.console().print(table)


@config.command(epilog="Example: crontify config get monitors.backup.timeout")
def get(key: KeyArgument) -> None:
    """Print the current value, a list as one item per line.

    Exit 1 if there is none, or if the config file has an error.
    """
    address = parse_key_path(key)
    loaded = load_settings()
    found = find_settings(loaded, address.names, address.key)
    for row in found:
        for item in row.value if isinstance(row.value, tuple) else [row.value]:
            prefix = f"{row.path.partition('.')[2]}: " if address.names == ("headers",) else ""
            print(prefix + _plain(item))
    if loaded.problems or not found:
        raise typer.Exit(ExitCode.FAILURE)


@config.command(
    "set",
    epilog="Examples: crontify config set keep_days 30\n"
    "          pass show crontify | crontify config set api_key",
)
def set_(
    key: KeyArgument,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[VALUE]...",
            help="Value, or the items of a list; if omitted, it is asked for or read from stdin.",
        ),
    ] = None,
) -> None:
    """Check a value and write it to the config file.

    A secret is not accepted as an argument, because ps would show it:
    enter it when asked, or pipe it in. Comments in the file are lost, but
    the old file is kept as config.toml.bak; `config edit` keeps comments.
    """
    address = parse_key_path(key)
    if address.names == ("headers",):
        raise CrontifyError("headers is not a single setting; use headers.NAME", ExitCode.USAGE)
    words = list(values) if values else [_ask(address)]
    if values and _is_secret(address, words):
        raise CrontifyError(
            f"{key} not set: a secret given as an argument is visible in ps and in the shell"
            f" history; run `crontify config set {key}` and enter it when asked, or pipe it in",
            ExitCode.USAGE,
        )
    file = config_file()
    raw = _parse(address, words, file)

    def put(content: dict[str, object]) -> None:
        _check_conflict(content, address, file)
        subtable(content, address.names[:-1], file)[address.names[-1]] = raw

    print_notes(file, change(file, put))
    tell_if_overridden(file, address.names)


@config.command(epilog="Example: crontify config unset monitors.backup")
def unset(key: KeyArgument) -> None:
    """Remove a key, or a whole section such as monitors.backup, from the config file."""
    file = config_file()
    # A section's name may contain dots: monitors.db.example may be the section db.example.
    paths = split(key), ("monitors", key.partition(".")[2])
    other = next(filter(None, (_set_elsewhere(file, path) for path in paths)), "")

    def remove(content: dict[str, object]) -> None:
        if not any(_remove(content, path) for path in paths):
            raise CrontifyError(f"{key} is not set in {file}" + (other and f", but in {other}"))

    if not os.path.exists(file):
        where = f"but in {other}" if other else f"{file} does not exist"
        raise CrontifyError(f"{key} is not set: {where}")
    print_notes(file, change(file, remove))
    if other:
        say(f"{key} is still set in {other}")


@config.command(epilog="Example: crontify --config new.toml config check")
def check() -> None:
    """Check the config file, the environment, the API key and the token; exit 1 on a problem.

    If the key or the token comes from a command, that command is run.
    """
    loaded = load()
    problems = list(loaded.problems)
    for attempt in (check_base_url, api_key, token):
        try:
            attempt(loaded.settings)
        except CrontifyError as error:
            problems.append(error.message)
    for line in (*problems, *loaded.warnings):
        say(line)
    if problems:
        raise typer.Exit(ExitCode.FAILURE)
    for file in loaded.files or ("no config file, using the defaults",):
        print(f"{file}: ok")


@config.command(epilog="Example: EDITOR=nano crontify config edit")
def edit() -> None:
    """Edit the config file with $VISUAL or $EDITOR; it is replaced only if it is valid."""
    raise typer.Exit(edit_file(config_file()))


def register(app: typer.Typer) -> None:
    """Add `config` to the app."""
    app.add_typer(config)


def config_file() -> str:
    """Return the file given with --config, else the user's own, but never the site's.

    Raises CrontifyError if there is no home directory.
    """
    if named := os.environ.get("CRONTIFY_CONFIG"):
        return os.path.expanduser(named)
    try:
        return user_config_file()
    except OSError as error:
        raise CrontifyError(
            f"no directory for the config file: {error}, or use --config FILE"
        ) from None


def edit_command(file: str) -> str:
    """Return the command that edits a config file, which may be one in conf.d."""
    is_usual = file == config_file()
    return "crontify config edit" if is_usual else f"crontify --config {quote(file)} config edit"


def _plain(value: object) -> str:
    """Return a value on one line, without characters that a terminal would act on."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return output.as_json(value, indent=None)
    return one_line(str(value))


def cells(row: Row) -> tuple[str, str, str]:
    """Return key, value and source of a setting as text."""
    source = f"{row.source}:{row.where}" if row.where else row.source
    return row.path, _plain(row.value), source


def _json(row: Row) -> dict[str, object]:
    return {"key": row.path, "value": row.value, "source": row.source, "from": row.where or None}


def _ask(address: KeyPath) -> str:
    answer = (person.secret if address.key.secret else person.line)(f"{address.path}:")
    if not answer:
        raise CrontifyError(f"{address.path} not changed: no value was given", ExitCode.USAGE)
    return answer


def _is_secret(address: KeyPath, words: list[str]) -> bool:
    # A proxy URL is a secret only if it contains a password.
    return address.key.secret and (address.key.name != "proxy" or "@" in "".join(words))


def _parse(address: KeyPath, words: list[str], file: str) -> object:
    """Return the value to write; raises CrontifyError (usage) if it is not valid for the key."""
    try:
        raw = address.key.kind.write(words)
        if address.names[0] == "headers":
            read_header(address.names[1], raw)
        else:
            read_value(address.key, raw, file)
    except ValueError as error:
        raise CrontifyError(f"{address.path}: {error}", ExitCode.USAGE) from None
    return raw


def _check_conflict(content: dict[str, object], address: KeyPath, file: str) -> None:
    """Raise CrontifyError if the file already has another key for the same credential."""
    if len(address.names) > 1:
        return
    for names in CREDENTIALS.values():
        others = [name for name in names if name in content and name != address.key.name]
        if address.key.name in names and others:
            raise CrontifyError(
                f"{address.path} not set: {file} already has {others[0]}, and only one of them"
                f" may be set; run crontify config unset {others[0]} first"
            )


def subtable(content: dict[str, object], names: tuple[str, ...], file: str) -> dict[str, object]:
    """Return the table at the path `names`; missing tables are added."""
    for name in names:
        inner = content.setdefault(name, {})
        if not isinstance(inner, dict):
            raise CrontifyError(
                f"{file}: {name} is not a table; correct it with crontify config edit"
            )
        content = inner
    return content


def _remove(content: dict[str, object], names: tuple[str, ...]) -> bool:
    """Remove the value at the path `names`, and tables that become empty."""
    first, *rest = names
    if not rest:
        return content.pop(first, content) is not content
    inner = content.get(first)
    if not isinstance(inner, dict) or not _remove(inner, tuple(rest)):
        return False
    if not inner:
        del content[first]
    return True


def tell_if_overridden(file: str, names: tuple[str, ...]) -> None:
    """Say on stderr that a key in the file has no effect if a file of conf.d has it, too."""
    if names[-1] not in PATTERNS and (other := _set_elsewhere(file, names)):
        say(f"{key_path(*names)} in {file} has no effect: {other} sets it, too")


def _set_elsewhere(file: str, names: tuple[str, ...]) -> str:
    """Return the file of the conf.d next to `file` that has a key, "" if none has.

    For a credential, its other keys count as well.
    """
    group = next((each for each in CREDENTIALS.values() if names[0] in each), names[:1])
    for document in reversed(read_place(file)):
        for first in group:
            if document.file != file and _has(document.table, (first, *names[1:])):
                return document.file
    return ""


def _has(table: object, names: tuple[str, ...]) -> bool:
    if not names:
        return True
    return isinstance(table, Mapping) and names[0] in table and _has(table[names[0]], names[1:])


def print_notes(file: str, written: Written) -> None:
    """Say on stderr what else happened when the file was changed."""
    if written.backup:
        say(f"comments in {file} were removed; the old file is kept as {written.backup}")
    if written.narrowed:
        say(f"{file} is now readable only by you (mode 0600, was {written.narrowed})")
