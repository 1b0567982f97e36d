"""Loads the settings: merges flags, environment, config files and defaults.

The precedence is flag > environment > [monitors.NAME] > top of the file > default, and a later
file wins over an earlier one.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from crontify_cli.config import keys
from crontify_cli.config.file import Document, exposure, find, plain
from crontify_cli.config.keys import key_path
from crontify_cli.config.problems import obstacles
from crontify_cli.config.secret import Credential, Secret
from crontify_cli.config.settings import Loaded, MonitorSettings, Settings, Value
from crontify_cli.config.sources import (
    MOST_PROBLEMS,
    Level,
    Values,
    from_document,
    from_environ,
    from_flags,
    from_systemd,
    setting_in,
)
from crontify_cli.config.trust import untrusted_in

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
    flags, variables = from_flags(overrides), from_environ(environ)
    documents = find(config_file, environ)
    files = list(map(from_document, documents))
    # The most important first: of the files, that is the one that was read last.
    levels = (flags, variables, from_systemd(environ), *reversed(files))
    tops = [*(level.top for level in levels), _DEFAULTS]
    found = [(at, each) for at, level in enumerate(levels) for each in level.problems]
    hindering = obstacles(found, tops)

    credentials = {name: _first_credential(name, tops) for name in keys.CREDENTIALS}
    values = _in_effect(tops, credentials)
    fields: dict[str, Any] = {  # Any: `Key.kind` determines the types
        name: value.typed for name, value in values.items() if name in Settings._fields
    }
    fields |= credentials
    every = _monitor_settings("", MonitorSettings(""), *(file.top for file in files))
    sections = _sections(files)
    monitors = {
        name: _monitor_settings(name, every, *of_files, flags.top)._replace(
            obstacle=next(iter(hindering.get(name, ())), "")
        )
        for name, of_files in sections.items()
    }
    settings = Settings(
        every_monitor=_monitor_settings("", every, flags.top),
        monitors=MappingProxyType(monitors),
        **fields,
    )
    # A file that could not be read may name another server.
    is_in_doubt = values["base_url"].source in ("file", "default")
    is_unread = is_in_doubt and any(each.problem for each in documents)
    wrong = (each for _, each in found if each.key == "base_url")
    if is_unread or any(each.line in hindering.get("", ()) for each in wrong):
        settings = settings._replace(base_url="")  # nothing must go to another one instead
    for alias, of_files in sections.items():
        for name, value in _joined(of_files).items():
            values[key_path("monitors", alias, name)] = flags.top.get(name, value)
    return Loaded(
        settings,
        _lines((flags, variables, *files)),
        hindering.get("", ()),
        (*_warnings(documents, files), *_exposed_files(credentials)),
        tuple(document.file for document in documents),
        values,
    )


def _sections(files: Iterable[Level]) -> dict[str, list[Values]]:
    """Return each section [monitors.NAME] of every file by its NAME."""
    sections: dict[str, list[Values]] = {}
    for file in files:
        for name, section in file.sections.items():
            sections.setdefault(name, []).append(section)
    return sections


def _lines(levels: Iterable[Level]) -> tuple[str, ...]:
    """Return the line of each problem once, since several keys may have the same one."""
    lines = list(dict.fromkeys(each.line for level in levels for each in level.problems))
    if len(lines) > MOST_PROBLEMS:  # not a config file; and cron mails every line
        lines[MOST_PROBLEMS:] = [f"and {len(lines) - MOST_PROBLEMS} more"]
    return tuple(lines)


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
        "file": setting_in(value.where, key),
    }[value.source]
    assert isinstance(value.typed, Secret | str | tuple)
    return Credential(value.typed, setting, key)


def _in_effect(
    levels: Sequence[Values], credentials: Mapping[str, Credential | None]
) -> dict[str, Value]:
    """Return the value of each key that wins; of a credential only the key that is used."""
    values = {name: value for name, value in _joined(levels[::-1]).items() if name in keys.TOP}
    for name, credential in credentials.items():
        for key in keys.CREDENTIALS[name]:
            if credential is None or key != credential.key:
                values.pop(key, None)
    return values


def _joined(levels: Iterable[Values]) -> Values:
    """Merge levels; later ones win, but of some keys the values in several files are joined."""
    values: Values = {}
    for level in levels:
        for name, value in level.items():
            below = values.get(name)
            if below and name in keys.ADDING and below.source == value.source == "file":
                value = _added(below, value)
            values[name] = value
    return values


def _added(below: Value, value: Value) -> Value:
    """Return the value of a key that two files have, and whose values apply together."""
    first, second = below.typed, value.typed
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        typed: object = {**first, **second}
    else:
        assert isinstance(first, tuple)
        assert isinstance(second, tuple)
        typed = first + second
    return Value(typed, typed, "file", f"{below.where}, {value.where}")


def _monitor_settings(
    alias: str, below: MonitorSettings, *levels: Mapping[str, Value]
) -> MonitorSettings:
    """Merge the levels for one monitor; later levels win, but lists are concatenated.

    below: the settings to begin with.
    """
    merged: dict[str, Any] = below._asdict() | {"id": alias}  # Any: `Key.kind` has the types
    for level in levels:
        for name, value in level.items():
            if name not in keys.MONITOR or (name == "no_start" and "start" in level):
                continue
            if name == "no_start":
                merged["start"] = "never" if value.typed else "auto"
            elif name in keys.ADDING:
                merged[name] += value.typed
            else:
                merged[name] = value.typed
    return MonitorSettings(**merged)


def _warnings(documents: Iterable[Document], files: Iterable[Level]) -> Iterator[str]:
    """Yield a line for each file that others can write, or that shows others a secret."""
    said: set[str] = set()
    for document, level in zip(documents, files, strict=True):
        is_said = bool(untrusted_in(document.table))  # among the problems
        if document.shared and not is_said and document.shared not in said:
            yield f"{plain(document.file)}: {document.shared}"
        said.add(document.shared)
        yield from _exposed_config(document, level.top)


def _exposed_config(document: Document, top: Values) -> list[str]:
    secrets = [name for name, value in top.items() if _holds_secret(value.typed)]
    if not document.exposed or not secrets:
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
    from shlex import quote

    name = plain(file)
    return f"{name} {what} and is readable by others ({mode}); run: chmod 600 {quote(name)}"
