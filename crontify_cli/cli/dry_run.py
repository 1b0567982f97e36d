"""`crontify exec --dry-run`: shows what would be run and reported, and does neither."""

import shlex
from collections.abc import Iterator

from crontify_cli.cli import output
from crontify_cli.cli.config import cells, draw
from crontify_cli.cli.config_show import Row, find_settings
from crontify_cli.config import Loaded, load
from crontify_cli.config.keys import BY_NAME, CREDENTIALS, KEYS, MONITOR, PATTERNS, Key
from crontify_cli.config.secret import Credential
from crontify_cli.errors import say
from crontify_cli.job.launched import choose_shell, command_line
from crontify_cli.job.options import OPTIONS, ExecOptions
from crontify_cli.job.presets import settle

_CREDENTIALS = {name for names in CREDENTIALS.values() for name in names}
_SHOWN_OTHERWISE = {*_CREDENTIALS, "id", "no_start"}


def show(options: ExecOptions) -> None:
    """Print what `exec` with these options would do, in rows of name, value and source.

    No request is made, no job is started, and no command that prints the key is run.
    Problems of the settings go to stderr, as with `exec`.
    """
    given = {option.name: getattr(options, option.name) for option in OPTIONS}
    # 0 is a value, False is an option that was not given.
    flags = {name: value for name, value in given.items() if name in BY_NAME and value is not False}
    loaded = load(options.config, overrides=flags)
    advice = settle(options)
    for line in [*_problems(options, loaded), *filter(None, [advice])]:
        say(line)
    rows = _rows(options, loaded)
    output.show_list(rows, cells, cells, draw, as_json=False)


def _problems(options: ExecOptions, loaded: Loaded) -> list[str]:
    problems = [*loaded.problems, *loaded.warnings]
    if options.shell and (odd_shell := choose_shell()[1]):
        problems.append(odd_shell)
    return problems


def _rows(options: ExecOptions, loaded: Loaded) -> Iterator[Row]:
    yield Row("monitor", options.monitor, "argument", "")
    yield _setting(options.monitor, BY_NAME["id"], loaded)
    yield _key(loaded.settings.api_key)
    yield Row("command", shlex.join(command_line(options)), "argument", "")
    if options.meta:
        numbers = tuple(f"{name}={number}" for name, number in options.meta)
        yield Row("meta", numbers, "flag", "")
    for key in KEYS:
        if key.name not in _SHOWN_OTHERWISE:
            yield _setting(options.monitor, key, loaded)


def _key(credential: Credential | None) -> Row:
    """Return where the key comes from; never the key."""
    if credential is None:
        return Row("api_key", "none: nothing is reported", "default", "")
    if isinstance(credential.value, tuple):
        return Row("api_key", f"printed by {shlex.join(credential.value)}", credential.setting, "")
    in_file = isinstance(credential.value, str)
    return Row("api_key", f"in {credential.value}" if in_file else "set", credential.setting, "")


def _setting(monitor: str, key: Key, loaded: Loaded) -> Row:
    """Return the value of a setting for this monitor; of headers, only their names."""
    if key.name == "headers":
        value, names = loaded.values.get("headers"), tuple(loaded.settings.headers)
        if value is None:
            return Row(key.name, None, "default", "")
        return Row(key.name, names, value.source, value.where)
    names = ("monitors", monitor, key.name) if key.name in MONITOR else (key.name,)
    found = find_settings(loaded, names, key)
    row = found[0] if found else Row(key.name, None, "default", "")
    if key.name in PATTERNS:  # those of all levels apply together
        row = row._replace(value=getattr(loaded.settings.monitor(monitor), key.name) or None)
    start = loaded.settings.monitor(monitor).start
    if key.name == "start" and start not in (None, row.value):  # it is no_start that says so
        row = _setting(monitor, BY_NAME["no_start"], loaded)._replace(value=start)
    return row._replace(path=key.name)
