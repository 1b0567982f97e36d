"""The features of Linux that other systems lack, and how to hide them from a process.

Only the standard library is imported: `program.py` is a program of its own.
"""

import _signal
import builtins
import errno
import fcntl
import io
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

_ATTRIBUTES: dict[str, tuple[tuple[ModuleType, str], ...]] = {
    "pipe2": ((os, "pipe2"),),
    "posix_fallocate": ((os, "posix_fallocate"),),
    "fdatasync": ((os, "fdatasync"),),
    "waitid": ((os, "waitid"),),
    "O_PATH": ((os, "O_PATH"),),
    "F_SETPIPE_SZ": ((fcntl, "F_SETPIPE_SZ"), (fcntl, "F_GETPIPE_SZ")),
    "sigwaitinfo": ((signal, "sigwaitinfo"), (_signal, "sigwaitinfo")),
    "CLOCK_BOOTTIME": ((time, "CLOCK_BOOTTIME"),),
}
_PATHS = {"proc": "/proc", "machine-id": "/etc/machine-id"}
_TAKE_A_PATH: tuple[tuple[ModuleType, str], ...] = (
    *((builtins, "open"), (io, "open")),
    *((os, name) for name in ("open", "stat", "lstat", "readlink", "listdir", "scandir", "access")),
)
_GENERIC = ("genericpath", "posixpath", "os", "pathlib", "pathlib._local", "pathlib._abc")
"""Modules that open a path for their caller."""

WARNINGS = (DeprecationWarning, PendingDeprecationWarning)
_OURS = r"crontify_cli(\.|$)"
FEATURES = (*_ATTRIBUTES, *_PATHS, "setsid")
"""setsid: `posix_spawn` can start a session."""
DEPRECATED = "deprecated"
"""What Python will take away itself: the code of crontify gets an error instead of a warning."""
HIDDEN: set[str] = set()
"""What `hide` has hidden from crontify."""


def parse(names: str) -> tuple[str, ...]:
    """Return the features of a list with commas; `all` stands for each of them.

    Raises ValueError for an unknown name.
    """
    found = [name for name in names.split(",") if name]
    if "all" in found:
        return FEATURES
    for name in found:
        if name not in (*FEATURES, DEPRECATED):
            raise ValueError(f"{name!r} is none of {', '.join(FEATURES)}, all, {DEPRECATED}")
    return tuple(found)


def absent() -> set[str]:
    """Return the features that are hidden from crontify, or that this system does not have."""
    lacks = {
        name
        for name, places in _ATTRIBUTES.items()
        if not all(hasattr(module, attribute) for module, attribute in places)
    }
    return HIDDEN | lacks | {name for name, path in _PATHS.items() if not os.path.exists(path)}


def hide(features: Iterable[str], asked_by: str = "") -> None:
    """Make this process behave as on a system without `features`.

    asked_by: hide paths only from the modules of this package; "" for all.
    """
    HIDDEN.update(features)
    for module, attribute in (place for name in HIDDEN for place in _ATTRIBUTES.get(name, ())):
        if hasattr(module, attribute):
            delattr(module, attribute)
    if paths := [path for name, path in _PATHS.items() if name in HIDDEN]:
        for module, name in _TAKE_A_PATH:
            setattr(module, name, _without(paths, getattr(module, name), asked_by))
    if "setsid" in HIDDEN:
        os.posix_spawn = _without_sessions(os.posix_spawn)
        os.posix_spawnp = _without_sessions(os.posix_spawnp)
    if DEPRECATED in HIDDEN:
        sys.warnoptions.clear()  # or crontify, which has nothing to do with them, ignores it all
        for category in WARNINGS:
            warnings.filterwarnings("error", category=category, module=_OURS)


def _without(paths: list[str], real: Callable[..., Any], asked_by: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        path = args[0] if args else kwargs.get("path", kwargs.get("file"))
        if isinstance(path, str | bytes | os.PathLike):
            name = os.fsdecode(path)
            if any(name == each or name.startswith(f"{each}/") for each in paths) and (
                not asked_by or _caller().partition(".")[0] == asked_by
            ):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return real(*args, **kwargs)

    return call


def _caller() -> str:
    frame = sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__") in _GENERIC:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__"))


def _without_sessions(real: Callable[..., Any]) -> Callable[..., Any]:
    def spawn(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("setsid"):
            raise NotImplementedError("posix_spawn: setsid is not available on this platform")
        return real(*args, **kwargs)

    return spawn
