"""The current settings for display: each with its source, secrets masked."""

from collections.abc import Mapping
from typing import NamedTuple

from crontify_cli.config import keys
from crontify_cli.config.keys import Key, key_path
from crontify_cli.config.kinds import CODES, DURATION, PAUSE
from crontify_cli.config.secret import Secret, mask
from crontify_cli.config.settings import Loaded, Value
from crontify_cli.job.options import OPTIONS
from crontify_cli.values import format_duration, parse_duration

Shown = str | bool | int | tuple[str, ...] | None


class Row(NamedTuple):
    """One setting. `value` is None if it is not set and has no default.

    source: "flag", "env", "systemd", "file", "default".
    where: the name of the variable or file, "" for other sources.
    """

    path: str
    value: Shown
    source: str
    where: str


def list_settings(loaded: Loaded) -> list[Row]:
    """Return all settings: the top-level keys, then those of the monitors' sections."""
    found: list[Row] = []
    for key in keys.TOP.values():
        found += _rows(key, (key.name,), loaded.values.get(key.name))
    for alias in loaded.settings.monitors:
        for key in keys.MONITOR.values():
            value = loaded.values.get(key_path("monitors", alias, key.name))
            if value is None and key.name == "id":
                value = Value(alias, alias, "default")
            if value is not None:
                found += _rows(key, ("monitors", alias, key.name), value)
    return found


def find_settings(loaded: Loaded, names: tuple[str, ...], key: Key) -> list[Row]:
    """Return the current value of one key: several rows for `headers`, none if it is not set.

    A key that is missing in a monitor's section has the top-level value.
    """
    if names[0] == "headers":
        found = _rows(key, ("headers",), loaded.values.get("headers"))
        wanted = {key_path(*names), *(row.path for row in found if len(names) == 1)}
        return [row for row in found if row.value is not None and row.path in wanted]
    value = loaded.values.get(key_path(*names))
    if len(names) == 3 and value is None:
        name = names[1]
        value = Value(name, name, "default") if key.name == "id" else loaded.values.get(key.name)
    found = _rows(key, names, value)
    return [row for row in found if row.value is not None]


def _rows(key: Key, names: tuple[str, ...], value: Value | None) -> list[Row]:
    path = key_path(*names)
    value = value or _default(key)
    if value is None:
        return [Row(path, None, "default", "")]
    if isinstance(value.typed, Mapping):
        return [
            Row(key_path(*names, name), mask(secret.reveal()), value.source, value.where)
            for name, secret in value.typed.items()
        ]
    return [Row(path, format_value(key, value), value.source, value.where)]


def _default(key: Key) -> Value | None:
    """Return what `exec` does if neither a setting nor its option says otherwise."""
    option = next((each for each in OPTIONS if each.name == key.name), None)
    if option is None or (option.default in ("none", "") and option.convert):
        return None
    typed = option.convert(option.default) if option.convert else False
    return Value(typed, typed, "default")


def format_value(key: Key, value: Value) -> Shown:
    """Return a value for display: `config set` accepts it, unless it is a masked secret."""
    typed = value.typed
    if isinstance(typed, Secret):
        return _masked(typed.reveal())
    if key.kind in (DURATION, PAUSE) and isinstance(typed, float):
        text = format_duration(typed)
        return text if parse_duration(text) == typed else f"{typed:.9f}".rstrip("0") + "s"
    if key.kind is CODES and isinstance(typed, tuple):
        return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in typed)
    if isinstance(typed, str | bool | int | tuple):
        return typed
    raise TypeError(f"{key.name}: {type(typed).__name__} cannot be shown")


def _masked(text: str) -> str:
    """Return a secret masked; of a proxy URL, mask only the credentials."""
    scheme, sep, rest = text.partition("://")
    if not sep:
        return mask(text)
    _user, at, host = rest.rpartition("@")
    return f"{scheme}://{'…@' if at else ''}{host}"
