"""From flags, environment and file to Settings: the precedence, and what is wrong.

Flag > environment > [monitors.NAME] > top of the file > default. It runs while a job
runs, so nothing in a file can make it raise: what is wrong is named and left out.
"""

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from crontify_cli.config import keys
from crontify_cli.config.file import Document, exposure, find, plain
from crontify_cli.config.keys import Key, explain_unknown, key_path
from crontify_cli.config.kinds import PATH, read_header
from crontify_cli.config.secret import Credential, Secret
from crontify_cli.config.settings import Loaded, MonitorSettings, Settings, Value
from crontify_cli.errors import one_line
from crontify_cli.values import parse_monitor

Values = dict[str, Value]
_SHOWN = 100
_NONE: Mapping[str, object] = MappingProxyType({})


def load(
    config_file: str | None = None,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, object] = _NONE,
) -> Loaded:
    """Return the settings in force, and what was wrong; raises nothing for any content.

    config_file: the file named by a flag, else CRONTIFY_CONFIG and the default places.
    environ: where `CRONTIFY_…` and CREDENTIALS_DIRECTORY are looked up.
    overrides: what flags say, by the key's name, as text or already of its type; None
        counts as nothing said. A monitor's key holds for every monitor.
    """
    document = find(config_file, environ)
    problems = [document.problem] if document.problem else []
    flags = _from_flags(overrides, problems)
    from_environ = _from_environ(environ, problems)
    from_systemd = _from_systemd(environ)
    top, sections = from_table(document.table, document.file or "", problems)
    levels = (flags, from_environ, from_systemd, top, _DEFAULTS)

    credentials = {name: _first_credential(name, levels) for name in keys.CREDENTIALS}
    values = _in_force(levels, credentials)
    every = _monitor_settings("", top, flags)
    settings = _settings(
        values,
        credentials,
        every,
        {name: _monitor_settings(name, top, section, flags) for name, section in sections.items()},
    )
    for alias, section in sections.items():
        for name, value in section.items():
            path = key_path("monitors", alias, name)
            values[path] = flags.get(name, value)
    warnings = [*_exposed_config(document, top), *_exposed_files(credentials)]
    if len(problems) > _SHOWN:  # a file of another kind, and cron would mail every line
        problems[_SHOWN:] = [f"and {len(problems) - _SHOWN} more"]
    return Loaded(settings, tuple(problems), tuple(warnings), document.file, values)


def from_table(
    content: Mapping[str, object], file: str, problems: list[str]
) -> tuple[Values, dict[str, Values]]:
    """Return the values at the top of a config file and in its sections, by alias.

    Adds to `problems` a line for each key that is left out.
    """
    top: Values = {}
    sections: dict[str, Values] = {}
    for name, raw in content.items():
        if name == "monitors":
            continue
        _take(top, keys.TOP, name, raw, (file, name), problems)
    for names in keys.CREDENTIALS.values():
        said = [name for name in names if name in top]
        if len(said) > 1:
            problems.append(f"{_at(file, said[1])}: only one of {', '.join(said)} can stand here")
    monitors = content.get("monitors", {})
    if not isinstance(monitors, Mapping):
        problems.append(f"{_at(file, 'monitors')}: not a table: write [monitors.NAME]")
        return top, sections
    for alias, section in monitors.items():
        path = (file, "monitors", alias)
        if not isinstance(section, Mapping):
            problems.append(f"{_at(*path)}: not a table: write [{key_path('monitors', alias)}]")
            continue
        try:
            parse_monitor(alias)
        except ValueError as error:
            problems.append(f"{_at(*path)}: {one_line(str(error))}")
            continue
        sections[alias] = {}
        for name, raw in section.items():
            _take(sections[alias], keys.MONITOR, name, raw, (*path, name), problems)
    return top, sections


def read_value(key: Key, raw: object, file: str = "") -> object:
    """Return `raw` as the key's type; raises ValueError with a message without secrets.

    A relative file name is relative to the config `file` that names it.
    """
    typed = key.kind.read(raw)
    if key.kind is PATH and file and isinstance(typed, str):
        return os.path.join(os.path.dirname(file), typed)
    return typed


def _at(file: str, *names: str) -> str:
    return f"{plain(file)}: {key_path(*names)}" if file else key_path(*names)


def _take(
    values: Values,
    known: Mapping[str, Key],
    name: str,
    raw: object,
    path: tuple[str, ...],
    problems: list[str],
) -> None:
    """Put one key of the file into `values`, or say in `problems` why not."""
    key, file = known.get(name), path[0]
    if key is None:
        # The nearest of the known takes time: not for a file that is of another kind anyway.
        words = explain_unknown(name, known) if len(problems) < _SHOWN else "unknown key"
        problems.append(f"{_at(*path)}: {words}")
        return
    if name == "headers" and isinstance(raw, Mapping):
        raw = _good_headers(raw, path, problems)
    try:
        typed = read_value(key, raw, file)
    except ValueError as error:
        problems.append(f"{_at(*path)}: {one_line(str(error))}")
        return
    values[name] = Value(typed if key.secret else raw, typed, "file", file)


def _good_headers(
    raw: Mapping[str, object], path: tuple[str, ...], problems: list[str]
) -> Mapping[str, object]:
    good = {}
    for name, value in raw.items():
        try:
            read_header(name, value)
        except ValueError as error:
            problems.append(f"{_at(*path, name)}: {error}")
            continue
        good[name] = value
    return good


def _from_flags(overrides: Mapping[str, object], problems: list[str]) -> Values:
    values: Values = {}
    for name, raw in overrides.items():
        if raw is None or raw == [] or raw == ():
            continue
        key = keys.BY_NAME[name]
        try:
            typed = read_value(key, raw)
        except ValueError as error:
            problems.append(f"--{name.replace('_', '-')}: {one_line(str(error))}")
            continue
        values[name] = Value(typed if key.secret else raw, typed, "flag")
    return values


def _from_environ(environ: Mapping[str, str], problems: list[str]) -> Values:
    values: Values = {}
    for key in keys.KEYS:
        # Set but empty is not said: a crontab has no `unset`.
        if not key.env or not (raw := environ.get(key.env)):
            continue
        try:
            typed = read_value(key, raw)
        except ValueError as error:
            problems.append(f"{key.env}: {one_line(str(error))}")
            continue
        values[key.name] = Value(typed if key.secret else raw, typed, "env", key.env)
    return values


def _from_systemd(environ: Mapping[str, str]) -> Values:
    """systemd.exec(5), "Credentials": LoadCredential=crontify-api-key:… puts a file there."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    file = os.path.join(directory, "crontify-api-key") if directory else ""
    if not file or "\0" in file or not os.path.exists(file):
        return {}
    return {"api_key_file": Value(file, file, "systemd", file)}


_DEFAULTS: Values = {
    key.name: Value(key.default, key.default, "default")
    for key in keys.KEYS
    if key.default is not None
}


def _first_credential(name: str, levels: Iterable[Mapping[str, Value]]) -> "Credential | None":
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
    typed = value.typed
    if isinstance(typed, Secret):
        return Credential("text", typed, setting, key)
    if isinstance(typed, tuple):
        return Credential("command", typed, setting, key)
    return Credential("file", str(typed), setting, key)


def _in_force(levels: tuple[Values, ...], credentials: Mapping[str, Credential | None]) -> Values:
    """Return the strongest value of each key; of a credential's keys the chosen one alone."""
    values: Values = {}
    for level in reversed(levels):
        values |= {name: value for name, value in level.items() if name in keys.TOP}
    for name, credential in credentials.items():
        for key in keys.CREDENTIALS[name]:
            if credential is None or key != credential.key:
                values.pop(key, None)
    return values


def _monitor_settings(alias: str, *levels: Mapping[str, Value]) -> MonitorSettings:
    """Return what the levels, the weakest first, say for one monitor; lists add up."""
    merged: dict[str, Any] = {"id": alias}  # Any: the table's kinds give each field its type
    for level in levels:
        for name, value in level.items():
            if name not in keys.MONITOR:
                continue
            if isinstance(before := merged.get(name), tuple) and name in ("meta_regex", "redact"):
                merged[name] = before + tuple(value.typed)  # type: ignore[arg-type]
            else:
                merged[name] = value.typed
    return MonitorSettings(**merged)


def _settings(
    values: Values,
    credentials: Mapping[str, Credential | None],
    every: MonitorSettings,
    monitors: Mapping[str, MonitorSettings],
) -> Settings:
    plain_keys: dict[str, Any] = {  # Any: the table's kinds give each field its type
        name: values[name].typed if name in values else None
        for name in ("proxy", "ca_bundle", *_DEFAULTS)
    }
    headers: Any = values["headers"].typed if "headers" in values else {}
    return Settings(
        api_key=credentials["api_key"],
        token=credentials["token"],
        headers=headers,
        every_monitor=every,
        monitors=MappingProxyType(dict(monitors)),
        **plain_keys,
    )


def _exposed_config(document: Document, top: Values) -> list[str]:
    held = [name for name, value in top.items() if _holds_secret(value.typed)]
    if not document.exposed or not held or not document.file:
        return []
    return [_advice(document.file, f"holds {', '.join(held)}", document.exposed)]


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
            continue  # obtaining it will say so
        if mode:
            advice.append(_advice(credential.value, f"is {credential.setting}", mode))
    return advice


def _advice(file: str, what: str, mode: str) -> str:
    return f"{plain(file)}: {what} and others can read it ({mode}): chmod 600 {plain(file)}"
