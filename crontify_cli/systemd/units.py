"""Finds units on disk as systemd does: the file of a unit, and the drop-ins that change it."""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from crontify_cli.errors import CrontifyError, ExitCode
from crontify_cli.systemd.manager import run
from crontify_cli.systemd.unitfile import Assignment, assignments

OURS = "crontify.conf"
"""The file name of our drop-ins."""
MARK = "# Written by 'crontify systemd wrap'"
"""How our drop-ins begin, so that no other is overwritten or removed."""
_FALSE = ("", "no", "false", "off", "0", "n", "f")
_SYSTEM_FOLDER = "/etc/systemd/system"


class Service(NamedTuple):
    """A service unit.

    name: with suffix, and of an alias the real one. path: of the unit file. dropins: in the
    order in which they are read, ours among them. settings: the assignments of [Service], in
    the same order, without those of ours.
    """

    name: str
    path: str
    dropins: tuple[str, ...]
    settings: tuple[Assignment, ...]

    def values(self, key: str) -> list[str]:
        """Return the values of a setting that is a list: an empty one clears what was before."""
        found: list[str] = []
        for each in self.settings:
            if each.key == key:
                found = [*found, each.value] if each.value else []
        return found

    def value(self, key: str) -> str:
        """Return the value of a setting that the last assignment decides; "" if there is none."""
        return next((each.value for each in reversed(self.settings) if each.key == key), "")

    def is_set(self, key: str) -> bool:
        """Tell whether a setting has a value other than false."""
        return self.value(key).lower() not in _FALSE

    @property
    def own(self) -> str | None:
        """The path of our drop-in, None if the service has none."""
        return next((path for path in self.dropins if _is_ours(path)), None)


class Units:
    """The unit files of the system's manager, or of the caller's own.

    folders: where unit files are, the one that counts most first.
    """

    def __init__(self, *, user: bool) -> None:
        self.user = user
        self.folders = _folders(user)

    def service(self, name: str) -> Service:
        """Return the service of that name, or the one that a timer of that name starts.

        Raises CrontifyError.
        """
        if "/" in name:
            raise CrontifyError(f"{name}: enter the name of a unit, not a path", ExitCode.USAGE)
        stem, dot, kind = name.rpartition(".")
        if kind == "timer" and dot:
            name = self._activated_by(name, f"{stem}.service")
        elif kind != "service" or not dot:
            name = f"{name}.service"
        path = self._file(name)
        real = os.path.realpath(path)
        names = [name]
        if os.path.basename(real) != os.path.basename(path) and real.endswith(".service"):
            names.insert(0, os.path.basename(real))  # an alias
        dropins = self._dropins(names)
        read = [each for file in (path, *dropins) if not _is_ours(file) for each in _read(file)]
        settings = tuple(each for each in read if each.section == "Service")
        return Service(names[0], path, tuple(dropins), settings)

    def own_dropin(self, name: str) -> str:
        """Return where our drop-in for a service is written."""
        preferred = (
            _SYSTEM_FOLDER if not self.user else os.path.join(_config_home(), "systemd/user")
        )
        folder = preferred if preferred in self.folders else self.folders[0]
        return os.path.join(folder, f"{name}.d", OURS)

    def _activated_by(self, timer: str, default: str) -> str:
        read = [
            each for file in (self._file(timer), *self._dropins([timer])) for each in _read(file)
        ]
        found = [each.value for each in read if (each.section, each.key) == ("Timer", "Unit")]
        instance = timer.partition("@")[2].rpartition(".")[0]
        return found[-1].replace("%i", instance) if found else default

    def _file(self, name: str) -> str:
        for candidate in (name, _template(name)):
            for folder in self.folders:
                path = os.path.join(folder, candidate)
                if candidate and os.path.lexists(path):
                    if os.path.realpath(path) == os.devnull:
                        raise CrontifyError(f"{name} is masked: {path} is a link to {os.devnull}")
                    return path
        raise CrontifyError(f"there is no unit {name}; 'systemctl list-unit-files' lists them")

    def _dropins(self, names: Sequence[str]) -> list[str]:
        """Return the drop-ins in the order of their names; of two equal ones the more specific."""
        found: dict[str, str] = {}
        for name in (general for each in names for general in _general(each)):
            for folder in self.folders:
                try:
                    files = os.listdir(os.path.join(folder, f"{name}.d"))
                except OSError:
                    continue
                for file in files:
                    if file.endswith(".conf"):
                        found.setdefault(file, os.path.join(folder, f"{name}.d", file))
        return [found[file] for file in sorted(found)]


def _general(name: str) -> Iterator[str]:
    """Yield the names whose drop-ins a unit has: its own, and ever more general ones."""
    stem, _, kind = name.rpartition(".")
    prefix, at, _ = stem.partition("@")
    yield name
    if template := _template(name):
        yield template
    while "-" in prefix.rstrip("-"):
        prefix = prefix.rstrip("-").rpartition("-")[0] + "-"
        yield f"{prefix}{at}.{kind}"
    yield kind


def _template(name: str) -> str:
    """Return `foo@.service` for `foo@bar.service`, "" for a unit that is no instance."""
    stem, _, kind = name.rpartition(".")
    prefix, at, instance = stem.partition("@")
    return f"{prefix}@.{kind}" if at and instance else ""


def _read(path: str) -> list[Assignment]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return list(assignments(file.read()))
    except OSError as error:
        raise CrontifyError(f"{path}: {error.strerror}") from None


def _is_ours(path: str) -> bool:
    if os.path.basename(path) != OURS:
        return False
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(len(MARK)) == MARK
    except OSError:
        return False


def _config_home() -> str:
    return os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")


def _folders(user: bool) -> list[str]:
    """Return the folders of unit files in the order of systemd; raises CrontifyError."""
    found = run("systemd-analyze", *(["--user"] if user else []), "unit-paths").split()
    if not found:
        raise CrontifyError("systemd-analyze unit-paths names no folders")
    return found
