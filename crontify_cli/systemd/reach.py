"""Tells whether a service can run crontify where it is installed."""

import os
import pwd
import stat
import sys
from collections.abc import Iterator

from crontify_cli.systemd.units import Service

_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - nothing is written there


def hidden(service: Service, program: str) -> Iterator[str]:
    """Yield why the service does not see the program or the Python that runs it."""
    folders = _HOMES if service.value("ProtectHome") not in ("", "read-only") else ()
    for key, hidden_by_it in (("ProtectHome", folders), ("PrivateTmp", _TEMPORARY)):
        for path in _needed(program) if service.is_set(key) else ():
            if any(path.startswith(f"{folder}/") for folder in hidden_by_it):
                yield f"{key}= hides {path} from it; install crontify elsewhere, such as in /opt"


def forbidden(service: Service, program: str) -> Iterator[str]:
    """Yield which file the service's user may not run."""
    user = service.value("User")
    if not user and not service.is_set("DynamicUser"):
        return
    try:
        uid, groups = _identity(user)
    except KeyError:  # it is a specifier, or the user does not exist here: any other user
        uid, groups = -1, set[int]()
    for path in _needed(program):
        if uid and (barrier := _barrier(path, uid, groups)):
            yield (
                f"{user or 'its dynamic user'} cannot run {path}: {barrier} does not allow it;"
                " install crontify elsewhere, such as in /opt"
            )
            return


def _needed(program: str) -> list[str]:
    """Return the paths of the program and of its Python, with what they are links to."""
    paths = (program, sys.executable)
    return list(dict.fromkeys((*paths, *map(os.path.realpath, paths))))


def _identity(user: str) -> tuple[int, set[int]]:
    """Return the uid and the groups of a user; raises KeyError."""
    found = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    return found.pw_uid, set(os.getgrouplist(found.pw_name, found.pw_gid))


def _barrier(path: str, uid: int, groups: set[int]) -> str:
    """Return the first directory, or the file, that the user may not search or run; "" if none."""
    parts = path.split("/")
    for end in range(2, len(parts) + 1):
        part = "/".join(parts[:end])
        try:
            found = os.stat(part)
        except OSError:
            return ""
        bit = stat.S_IXOTH
        if found.st_uid == uid:
            bit = stat.S_IXUSR
        elif found.st_gid in groups:
            bit = stat.S_IXGRP
        if not found.st_mode & bit:
            return part
    return ""
