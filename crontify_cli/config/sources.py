"""The sources of settings: reads flags, environment and files, and names what is wrong in them.

This runs while a job runs, so no content of a file may raise an exception: a wrong setting is a
problem, and is left out.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from crontify_cli.config import keys
from crontify_cli.config.file import Document, plain
from crontify_cli.config.keys import Key, explain_unknown, key_path, nearest_key
from crontify_cli.config.kinds import PATH, read_header
from crontify_cli.config.problems import Problem
from crontify_cli.config.settings import Value
from crontify_cli.config.trust import untrusted_in
from crontify_cli.errors import one_line
from crontify_cli.values import parse_monitor

Values = dict[str, Value]
MOST_PROBLEMS = 100
"""How many problems are listed; a file that has more is not a config file."""


class Level(NamedTuple):
    """The settings from one source, such as a file, and the problems with them.

    top: those for all monitors. sections: those of each [monitors.NAME].
    """

    top: Values
    sections: dict[str, Values]
    problems: list[Problem]


def from_flags(overrides: Mapping[str, object]) -> Level:
    """Return the settings that flags give, by the key's name; None means not given."""
    level = Level({}, {}, [])
    for name, raw in overrides.items():
        if raw is not None and raw != [] and raw != ():
            flag = f"--{name.replace('_', '-')}"
            _add(level.top, keys.BY_NAME[name], raw, "flag", "", flag, level.problems)
    return level


def from_environ(environ: Mapping[str, str]) -> Level:
    """Return the settings that the `CRONTIFY_…` variables give."""
    level = Level({}, {}, [])
    for key in keys.KEYS:
        # An empty variable counts as unset, because a crontab cannot unset one.
        if key.env and (raw := environ.get(key.env)):
            _add(level.top, key, raw, "env", key.env, key.env, level.problems)
    return level


def from_systemd(environ: Mapping[str, str]) -> Level:
    """systemd.exec(5), "Credentials": LoadCredential=crontify-api-key:… puts a file there."""
    level = Level({}, {}, [])
    directory = environ.get("CREDENTIALS_DIRECTORY")
    file = os.path.join(directory, "crontify-api-key") if directory else ""
    if file and "\0" not in file and os.path.exists(file):
        level.top["api_key_file"] = Value(file, file, "systemd", file)
    return level


def from_document(document: Document) -> Level:
    """Return the settings of a file, without the keys that others could have written."""
    file, table = document.file, document.table
    problems = [Problem(document.problem, "")] if document.problem else []
    if document.shared and (unused := untrusted_in(table)):
        are = "is not used" if len(unused) == 1 else "are not used"
        line = f"{plain(file)}: {', '.join(unused)} {are}: {document.shared}"
        problems += [Problem(line, key) for key in unused]
        table = _without(unused, table)
    return Level(*from_table(table, file, problems), problems)


def _without(unused: Sequence[str], table: Mapping[str, object]) -> dict[str, object]:
    """Return the content of a file without these keys, also in the sections of monitors."""
    left = {key: value for key, value in table.items() if key not in unused}
    if isinstance(sections := left.get("monitors"), Mapping):
        left["monitors"] = {
            alias: _without(unused, section) if isinstance(section, Mapping) else section
            for alias, section in sections.items()
        }
    return left


def from_table(
    content: Mapping[str, object], file: str, problems: list[Problem]
) -> tuple[Values, dict[str, Values]]:
    """Return the values at the top of a config file, and those of each [monitors.NAME].

    Each key that is ignored is added to `problems`.
    """
    sections: dict[str, Values] = {}
    plain_keys = {name: raw for name, raw in content.items() if name != "monitors"}
    top = _from_section(plain_keys, keys.TOP, (file,), problems)
    for names in keys.CREDENTIALS.values():
        given = [name for name in names if name in top]
        if len(given) > 1:
            words = f"set only one of {', '.join(given)}"  # the first of them works
            problems.append(Problem(f"{setting_in(file, given[1])}: {words}", "credentials"))
    monitors = content.get("monitors", {})
    if not isinstance(monitors, Mapping):
        words = "not a table; write [monitors.NAME]"
        problems.append(Problem(f"{setting_in(file, 'monitors')}: {words}", "monitors"))
        return top, sections
    for alias, section in monitors.items():
        path = (file, "monitors", alias)
        if not isinstance(section, Mapping):
            words = f"not a table; write [{key_path('monitors', alias)}]"
            problems.append(Problem(f"{setting_in(*path)}: {words}", "monitors", alias))
            sections[alias] = {}
            continue
        try:
            parse_monitor(alias)
        except ValueError as error:
            # No run can have this name, so no report depends on it.
            problems.append(Problem(f"{setting_in(*path)}: {one_line(str(error))}", "name"))
            continue
        sections[alias] = _from_section(section, keys.MONITOR, path, problems)
    return top, sections


def _from_section(
    table: Mapping[str, object],
    known: Mapping[str, Key],
    path: tuple[str, ...],
    problems: list[Problem],
) -> Values:
    """Return the values of a table in the file; `path` is the file and the table's names."""
    values: Values = {}
    monitor = path[2] if len(path) > 2 else ""
    for name, raw in table.items():
        label = setting_in(*path, name)
        if name not in known:
            # Finding the most similar key takes time; many unknown keys mean it is another file.
            nearest, words = None, "unknown key"
            if len(problems) < MOST_PROBLEMS:
                nearest, words = nearest_key(name, known), explain_unknown(name, known)
            meant = nearest or name
            # What belongs at the top is missing there for every monitor.
            where = monitor if meant in keys.MONITOR else ""
            problems.append(Problem(f"{label}: {words}", meant, where))
            continue
        if name == "headers" and isinstance(raw, Mapping):
            raw = dict(_valid_headers(raw, label, problems))
        _add(values, known[name], raw, "file", path[0], label, problems, monitor)
    return values


def _valid_headers(
    raw: Mapping[str, object], label: str, problems: list[Problem]
) -> Iterator[tuple[str, object]]:
    for name, value in raw.items():
        try:
            read_header(name, value)
            yield name, value
        except ValueError as error:
            problems.append(Problem(f"{label}.{key_path(name)}: {error}", "headers"))


def _add(
    values: Values,
    key: Key,
    raw: object,
    source: str,
    where: str,
    label: str,
    problems: list[Problem],
    monitor: str = "",
) -> None:
    """Add the value of `key` to `values`; if it is wrong, add it to `problems` instead.

    label: what the line calls the setting.
    """
    try:
        typed = read_value(key, raw, where if source == "file" else "")
    except ValueError as error:
        problems.append(Problem(f"{label}: {one_line(str(error))}", key.name, monitor))
        return
    values[key.name] = Value(typed if key.secret else raw, typed, source, where)


def read_value(key: Key, raw: object, file: str = "") -> object:
    """Convert `raw` to the type of the key; raises ValueError without a secret in its message.

    A relative file name is relative to the config `file` that contains it.
    """
    typed = key.kind.read(raw)
    if key.kind is PATH and file and isinstance(typed, str):
        return os.path.join(os.path.dirname(file), typed)
    return typed


def setting_in(file: str, *names: str) -> str:
    """Return how a message calls a key of a file; names: its path."""
    return f"{plain(file)}: {key_path(*names)}" if file else key_path(*names)
