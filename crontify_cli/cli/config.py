"""`crontify config`: see, check and change the settings."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from crontify_cli.cli.help import App
from crontify_cli.errors import CrontifyError, ExitCode

if TYPE_CHECKING:
    from crontify_cli.cli.config_show import Row
    from crontify_cli.config.file import Written
    from crontify_cli.config.keys import KeyPath
    from crontify_cli.config.settings import Loaded

config = App(
    name="config",
    help="See, check and change the settings.",
    no_args_is_help=True,
    epilog="Example: crontify config set monitors.backup.timeout 2h",
)

KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY", help="As base_url, headers.X-Team, monitors.backup.id.")
]


@config.command(epilog="Example: ls -l $(crontify config path)")
def path() -> None:
    """Print the name of the config file that is changed, whether it exists or not."""
    print(config_file())


@config.command("list", epilog="Example: crontify config list | grep -v default")
def list_(
    as_json: Annotated[
        bool, typer.Option("--json", help="A list of objects: key, value, source, from.")
    ] = False,
) -> None:
    """Show every setting in force and where it comes from; secrets are masked."""
    from crontify_cli.cli.config_show import rows

    loaded = _load()
    found = rows(loaded)
    if as_json:
        import json

        print(json.dumps([_json(row) for row in found], indent=2, ensure_ascii=False))
        return
    from crontify_cli.cli.output import console, is_terminal

    if not is_terminal():
        for row in found:
            print(row.path, _plain(row.value), _source(row), sep="\t")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table("Key", "Value", "Source", box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    for row in found:
        style = "dim" if row.source == "default" else ""
        cells = (row.path, _plain(row.value) or "-", _source(row))
        table.add_row(*(Text(cell) for cell in cells), style=style)
    console().print(table)


@config.command(epilog="Example: crontify config get monitors.backup.timeout")
def get(key: KeyArgument) -> None:
    """Print the value in force, a list's items a line each; exit 1 if there is none."""
    from crontify_cli.cli.config_show import find
    from crontify_cli.config.keys import parse_key_path

    address = parse_key_path(key)
    found = find(_load(), address.names, address.key)
    for row in found:
        for item in row.value if isinstance(row.value, tuple) else [row.value]:
            prefix = f"{row.path.partition('.')[2]}: " if address.names == ("headers",) else ""
            print(prefix + _plain(item))
    if not found:
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
            help="Several for a list; without one it is asked for, or read from stdin.",
        ),
    ] = None,
) -> None:
    """Check a value and write it to the config file.

    A secret is no argument, where ps would show it: type it when asked,
    or pipe it in. Comments are not kept: a file that has some is kept
    beside the new one as config.toml.bak; `config edit` keeps them.
    """
    from crontify_cli.config.keys import parse_key_path

    address = parse_key_path(key)
    if address.names == ("headers",):
        raise CrontifyError("headers: write headers.NAME", ExitCode.USAGE)
    words = list(values) if values else [_ask(address)]
    if values and _is_secret(address, words):
        raise CrontifyError(
            f"{key}: a secret given as an argument stands in ps and in the shell's history;"
            f" type it when `crontify config set {key}` asks, or pipe it in",
            ExitCode.USAGE,
        )
    file = config_file()
    raw = _checked(address, words, file)
    from crontify_cli.config.file import change

    def put(content: dict[str, object]) -> None:
        _only_one(content, address, file)
        table_at(content, address.names[:-1], file)[address.names[-1]] = raw

    tell(file, change(file, put))


@config.command(epilog="Example: crontify config unset monitors.backup")
def unset(key: KeyArgument) -> None:
    """Take a key, or a whole section as monitors.backup, out of the config file."""
    from crontify_cli.config.file import change
    from crontify_cli.config.keys import split

    file = config_file()
    names = split(key)

    def take(content: dict[str, object]) -> None:
        section = ("monitors", key.partition(".")[2])
        # A section's name may have dots: monitors.db.example is that section, if there is one.
        if not any(_remove(content, place) for place in (names, section)):
            raise CrontifyError(f"{key}: not set in {file}")

    if not os.path.exists(file):
        raise CrontifyError(f"{key}: not set: there is no {file}")
    tell(file, change(file, take))


@config.command(epilog="Example: crontify --config new.toml config check")
def check() -> None:
    """Check file and environment, and that key and token can be had; exit 1 on a problem.

    A key's or a token's command is run for it.
    """
    from crontify_cli.config import api_key, check_base_url, load, token

    loaded = load()
    problems = list(loaded.problems)
    for attempt in (check_base_url, api_key, token):
        try:
            attempt(loaded.settings)
        except CrontifyError as error:
            problems.append(error.message)
    for line in (*problems, *loaded.warnings):
        print(f"crontify: {line}", file=sys.stderr)
    if problems:
        raise typer.Exit(ExitCode.FAILURE)
    print(f"{loaded.file}: ok" if loaded.file else "no config file, the defaults hold: ok")


@config.command(epilog="Example: EDITOR=nano crontify config edit")
def edit() -> None:
    """Open the config file in $VISUAL or $EDITOR; what is wrong is not put in its place."""
    from crontify_cli.cli.config_edit import edit_file

    raise typer.Exit(edit_file(config_file()))


def register(app: typer.Typer) -> None:
    """Add `config` to the app."""
    app.add_typer(config)


def config_file() -> str:
    """Return the file that is named, else the user's own: never the site's.

    Raises CrontifyError where there is no home to have one in.
    """
    if named := os.environ.get("CRONTIFY_CONFIG"):
        return os.path.expanduser(named)
    from crontify_cli.places import user_config_file

    try:
        return user_config_file()
    except OSError as error:
        raise CrontifyError(f"no place for a config file: {error}, or --config FILE") from None


def _load() -> "Loaded":
    """Load the settings; what is wrong is said on stderr, the rest still shown."""
    from crontify_cli.config import load

    loaded = load()
    for line in (*loaded.problems, *loaded.warnings):
        print(f"crontify: {line}", file=sys.stderr)
    return loaded


def _plain(value: object) -> str:
    """Return a value on one line, safe for a terminal."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        import json

        return json.dumps(value, ensure_ascii=False)
    from crontify_cli.errors import one_line

    return one_line(str(value))


def _source(row: "Row") -> str:
    return f"{row.source}:{row.where}" if row.where else row.source


def _json(row: "Row") -> dict[str, object]:
    return {"key": row.path, "value": row.value, "source": row.source, "from": row.where or None}


def _ask(address: "KeyPath") -> str:
    from crontify_cli.cli import person

    answer = (person.secret if address.key.secret else person.line)(f"{address.path}:")
    if not answer:
        raise CrontifyError(f"{address.path}: no value given, nothing changed", ExitCode.USAGE)
    return answer


def _is_secret(address: "KeyPath", words: list[str]) -> bool:
    # A proxy's URL is a secret only with a password in it.
    return address.key.secret and (address.key.name != "proxy" or "@" in "".join(words))


def _checked(address: "KeyPath", words: list[str], file: str) -> object:
    """Return what to write; raises CrontifyError (usage) for what does not fit the key."""
    from crontify_cli.config.kinds import read_header
    from crontify_cli.config.load import read_value

    try:
        raw = address.key.kind.write(words)
        if address.names[0] == "headers":
            read_header(address.names[1], raw)
        else:
            read_value(address.key, raw, file)
    except ValueError as error:
        raise CrontifyError(f"{address.path}: {error}", ExitCode.USAGE) from None
    return raw


def _only_one(content: dict[str, object], address: "KeyPath", file: str) -> None:
    """Raise CrontifyError where another key for the same credential stands in the file."""
    from crontify_cli.config.keys import CREDENTIALS

    for names in CREDENTIALS.values():
        if address.names[-1] in names and len(address.names) == 1:
            for other in names:
                if other in content and other != address.key.name:
                    raise CrontifyError(
                        f"{address.path}: {file} has {other}, and only one of them can stand"
                        f" there; first: crontify config unset {other}"
                    )


def table_at(content: dict[str, object], names: tuple[str, ...], file: str) -> dict[str, object]:
    """Return the table that `names` lead to, made where it is missing."""
    for name in names:
        inner = content.setdefault(name, {})
        if not isinstance(inner, dict):
            raise CrontifyError(f"{file}: {name}: not a table; mend it: crontify config edit")
        content = inner
    return content


def _remove(content: dict[str, object], names: tuple[str, ...]) -> bool:
    """Take out what `names` lead to, and the tables that it leaves empty."""
    first, *rest = names
    if not rest:
        return content.pop(first, content) is not content
    inner = content.get(first)
    if not isinstance(inner, dict) or not _remove(inner, tuple(rest)):
        return False
    if not inner:
        del content[first]
    return True


def tell(file: str, written: "Written") -> None:
    """Say on stderr what a change did beside changing the file."""
    if written.backup:
        print(f"crontify: comments are not kept: the old file is {written.backup}", file=sys.stderr)
    if written.narrowed:
        print(
            f"crontify: {file}: now yours alone to read (mode 0600, was {written.narrowed})",
            file=sys.stderr,
        )
