"""Loads the settings: merges flags, environment, config file and defaults, and checks them.

The precedence is flag > environment > [monitors.NAME] > top of the file > default. This
runs while a job runs, so no content of a file may raise an exception: a wrong setting is
reported as a problem and ignored.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from crontify_cli.config import keys
from crontify_cli.config.file import Document, exposure, find, plain
from crontify_cli.config.keys import Key, explain_unknown, key_path, nearest_key
from crontify_cli.config.kinds import PATH, read_header
from crontify_cli.config.problems import Problem, obstacles
from crontify_cli.config.secret import Credential, Secret
from crontify_cli.config.settings import Loaded, MonitorSettings, Settings, Value
from crontify_cli.config.trust import UNTRUSTED
from crontify_cli.errors import one_line
from crontify_cli.values import parse_monitor

Values = dict[str, Value]
_MOST_PROBLEMS = 100
_NONE: Mapping[str, object] = MappingProxyType({})
_DEFAULTS: Values = {
    key.name: Value(key.default, key.default, "default")
    for key in keys.KEYS
    if key.default is not None
}


def load(
    config_file: str | None = None,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, object] = _NONE,
) -> Loaded:
    """Return the settings in effect, and what is wrong with them. Raises nothing.

    config_file: the file named by a flag; otherwise CRONTIFY_CONFIG and the default files.
    environ: the source of the `CRONTIFY_…` variables and CREDENTIALS_DIRECTORY.
    overrides: the values of flags by the key's name, as text or already converted; None
        means not given. The key of a monitor applies to every monitor.
    """
    document = find(config_file, environ)
    by_level: tuple[list[Problem], ...] = ([], [], [], [])
    flags = _from_flags(overrides, by_level[0])
    from_environ = _from_environ(environ, by_level[1])
    from_systemd = _from_systemd(environ)
    table = _trusted(document, by_level[3])
    top, sections = from_table(table, document.file or "", by_level[3])
    levels = (flags, from_environ, from_systemd, top, _DEFAULTS)
    hindering = obstacles([(at, each) for at, some in enumerate(by_level) for each in some], levels)
    if document.problem:
        hindering[""] = (document.problem,)
    problems = [document.problem] if document.problem else []
    problems += [problem.line for some in by_level for problem in some]

    credentials = {name: _first_credential(name, levels) for name in keys.CREDENTIALS}
    values = _in_effect(levels, credentials)
    fields: dict[str, Any] = {  # Any: `Key.kind` determines the types
        name: value.typed for name, value in values.items() if name in Settings._fields
    }
    fields |= credentials
    monitors = {
        name: _monitor_settings(name, top, section, flags)._replace(
            obstacle=next(iter(hindering.get(name, ())), "")
        )
        for name, section in sections.items()
    }
    settings = Settings(
        every_monitor=_monitor_settings("", top, flags),
        monitors=MappingProxyType(monitors),
        **fields,
    )
    is_unread = document.problem and values["base_url"].source == "default"
    wrong = (each for some in by_level for each in some if each.key == "base_url")
    if is_unread or any(each.line in hindering.get("", ()) for each in wrong):
        settings = settings._replace(base_url="")  # nothing must go to another one instead
    for alias, section in sections.items():
        for name, value in section.items():
            values[key_path("monitors", alias, name)] = flags.get(name, value)
    warnings = [*_exposed_config(document, top), *_exposed_files(credentials)]
    if document.shared and len(table) == len(document.table):
        warnings.insert(0, f"{plain(document.file or '')}: {document.shared}")
    problems = list(dict.fromkeys(problems))  # several keys may have the same one
    if len(problems) > _MOST_PROBLEMS:  # not a config file; and cron mails every line
        problems[_MOST_PROBLEMS:] = [f"and {len(problems) - _MOST_PROBLEMS} more"]
    return Loaded(
        settings,
        tuple(problems),
        hindering.get("", ()),
        tuple(warnings),
        document.file,
        values,
    )


def _trusted(document: Document, problems: list[Problem]) -> Mapping[str, object]:
    """Return the content of the file, without the keys that others could have written."""
    unused = [key for key in UNTRUSTED if key in document.table] if document.shared else []
    if not unused:
        return document.table
    are = "is not used" if len(unused) == 1 else "are not used"
    line = f"{plain(document.file or '')}: {', '.join(unused)} {are}: {document.shared}"
    problems += [Problem(line, key) for key in unused]
    return {key: value for key, value in document.table.items() if key not in unused}


def _from_flags(overrides: Mapping[str, object], problems: list[Problem]) -> Values:
    values: Values = {}
    for name, raw in overrides.items():
        if raw is not None and raw != [] and raw != ():
            flag = f"--{name.replace('_', '-')}"
            _add(values, keys.BY_NAME[name], raw, "flag", "", flag, problems)
    return values


def _from_environ(environ: Mapping[str, str], problems: list[Problem]) -> Values:
    values: Values = {}
    for key in keys.KEYS:
        # An empty variable counts as unset, because a crontab cannot unset one.
        if key.env and (raw := environ.get(key.env)):
            _add(values, key, raw, "env", key.env, key.env, problems)
    return values


def _from_systemd(environ: Mapping[str, str]) -> Values:
    """systemd.exec(5), "Credentials": LoadCredential=crontify-api-key:… puts a file there."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    file = os.path.join(directory, "crontify-api-key") if directory else ""
    if not file or "\0" in file or not os.path.exists(file):
        return {}
    return {"api_key_file": Value(file, file, "systemd", file)}


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
            problems.append(Problem(f"{_at(file, given[1])}: {words}", "credentials"))
    monitors = content.get("monitors", {})
    if not isinstance(monitors, Mapping):
        words = "not a table; write [monitors.NAME]"
        problems.append(Problem(f"{_at(file, 'monitors')}: {words}", "monitors"))
        return top, sections
    for alias, section in monitors.items():
        path = (file, "monitors", alias)
        if not isinstance(section, Mapping):
            words = f"not a table; write [{key_path('monitors', alias)}]"
            problems.append(Problem(f"{_at(*path)}: {words}", "monitors", alias))
            sections[alias] = {}
            continue
        try:
            parse_monitor(alias)
        except ValueError as error:
            # No run can have this name, so no report depends on it.
            problems.append(Problem(f"{_at(*path)}: {one_line(str(error))}", "name"))
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
        label = _at(*path, name)
        if name not in known:
            # Finding the most similar key takes time; many unknown keys mean it is another file.
            nearest, words = None, "unknown key"
            if len(problems) < _MOST_PROBLEMS:
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


def _at(file: str, *names: str) -> str:
    return f"{plain(file)}: {key_path(*names)}" if file else key_path(*names)


def _first_credential(name: str, levels: Iterable[Mapping[str, Value]]) -> Credential | None:
    for level in levels:
        for key in keys.CREDENTIALS[name]:
            if value := level.get(key):
                return _credential(key, value)
    return None


def _credential(key: str, value: Value) -> Credential:
    setting = {
        "flag": f"--{key.replace('_', '-')}",
        "env": value.where,
        "systemd": "systemd's credential crontify-api-key",
        "file": _at(value.where, key),
    }[value.source]
    assert isinstance(value.typed, Secret | str | tuple)
    return Credential(value.typed, setting, key)


def _in_effect(levels: tuple[Values, ...], credentials: Mapping[str, Credential | None]) -> Values:
    """Return the value of each key that wins; of a credential only the key that is used."""
    values: Values = {}
    for level in reversed(levels):
        values |= {name: value for name, value in level.items() if name in keys.TOP}
    for name, credential in credentials.items():
        for key in keys.CREDENTIALS[name]:
            if credential is None or key != credential.key:
                values.pop(key, None)
    return values


def _monitor_settings(alias: str, *levels: Mapping[str, Value]) -> MonitorSettings:
    """Merge the levels for one monitor; later levels win, but lists are concatenated."""
    merged: dict[str, Any] = {"id": alias}  # Any: `Key.kind` determines the types
    for level in levels:
        for name, value in level.items():
            if name not in keys.MONITOR or (name == "no_start" and "start" in level):
                continue
            if name == "no_start":
                merged["start"] = "never" if value.typed else "auto"
                continue
            if isinstance(before := merged.get(name), tuple) and name in ("meta_regex", "redact"):
                merged[name] = before + tuple(value.typed)  # type: ignore[arg-type]
            else:
                merged[name] = value.typed
    return MonitorSettings(**merged)


def _exposed_config(document: Document, top: Values) -> list[str]:
    secrets = [name for name, value in top.items() if _holds_secret(value.typed)]
    if not document.exposed or not secrets or not document.file:
        return []
    return [_advice(document.file, f"contains {', '.join(secrets)}", document.exposed)]


def _holds_secret(typed: object) -> bool:
    if isinstance(typed, Mapping):
        return bool(typed)
    return isinstance(typed, Secret) and ("://" not in typed.reveal() or "@" in typed.reveal())


def _exposed_files(credentials: Mapping[str, Credential | None]) -> list[str]:
    advice = []
    for credential in credentials.values():
        if credential is None or not isinstance(credential.value, str):
            continue
        try:
            mode = exposure(os.stat(credential.value))
        except (OSError, ValueError):
            continue  # reported when the credential is read
        if mode:
            advice.append(_advice(credential.value, f"is the {credential.key}", mode))
    return advice


def _advice(file: str, what: str, mode: str) -> str:
    return f"{plain(file)} {what} and is readable by others ({mode}); run: chmod 600 {plain(file)}"
