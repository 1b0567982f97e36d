"""Whether a config file can be trusted: whose it is, and who can change it.

A file that somebody else wrote could name commands that run as us, servers or accounts that get
our reports, files whose content we send as a key, and files that we replace.
"""

import os
import stat
from collections.abc import Iterable, Mapping

UNTRUSTED = (
    # With a key of their own, the logs of our jobs would be sent to their account.
    *("api_key", "api_key_file", "api_key_command"),
    *("token", "token_file", "token_command"),
    # allow_http exposes the key of another file on the network; headers can address another host.
    *("base_url", "allow_http", "proxy", "ca_bundle", "headers", "smtp_url"),
    *("metrics_file", "shell"),
)
"""The keys that are not used from a file that others can change."""


def untrusted_in(table: Mapping[str, object]) -> list[str]:
    """Return which of those keys the content of a config file has, at its top or in a section."""
    sections = table.get("monitors")
    tables = [table]
    if isinstance(sections, Mapping):
        tables += [each for each in sections.values() if isinstance(each, Mapping)]
    return [key for key in UNTRUSTED if any(key in each for each in tables)]


def is_foreign(status: os.stat_result) -> bool:
    """Tell whether a file belongs to somebody other than this user or root."""
    return status.st_uid not in (os.geteuid(), 0)


def who_can_change(file: str, status: os.stat_result) -> str:
    """Return which file or folder lets others change the config file, and what to do; "" if none.

    status: of the open file. Its folder counts, too, and that of a link to it.
    """
    if mode := _open_mode(status):
        return _advice(file, mode)
    return next(filter(None, map(_who_can_replace_in, _folders_of(file))), "")


def who_can_add(folder: str) -> str:
    """Return who lets others put files into a folder of config files, as `who_can_change`.

    The folder that it is in counts, too.
    """
    if own := _who_can_replace_in(folder, or_add=True):
        return own
    return next(filter(None, map(_who_can_replace_in, _folders_of(folder))), "")


def _folders_of(path: str) -> Iterable[str]:
    """Return the folder of a file, and that of its target if it is a link."""
    return dict.fromkeys(map(os.path.dirname, (os.path.abspath(path), os.path.realpath(path))))


def _who_can_replace_in(folder: str, *, or_add: bool = False) -> str:
    """Return how others can replace what is in a folder, and what to do; "" if they cannot.

    or_add: they must not be able to add anything either.
    """
    try:
        found = os.stat(folder)
        # A ConfigMap of Kubernetes is mounted read-only, with mode 0777.
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return ""
    except OSError:
        return ""  # it was moved after the file was opened
    if is_foreign(found):
        return f"{folder} belongs to another user (uid {found.st_uid}); move the file"
    # In a sticky one, only the file's owner can replace it.
    if (or_add or not found.st_mode & stat.S_ISVTX) and (mode := _open_mode(found)):
        return _advice(folder, mode)
    return ""


def _advice(path: str, mode: str) -> str:
    from shlex import quote

    name = path if path.isprintable() else repr(path)
    return f"others can write to {name} ({mode}); run: chmod go-w {quote(name)}"


def _open_mode(status: os.stat_result) -> str:
    """Return the mode, as `mode 0666`, if users other than the owner can write; else ""."""
    is_open = status.st_mode & stat.S_IWOTH
    if status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_uid, status.st_gid):
        is_open = stat.S_IWGRP
    return f"mode {stat.S_IMODE(status.st_mode):04o}" if is_open else ""


def _is_private_group(uid: int, gid: int) -> bool:
    """Tell whether a group has its owner's name and no other member.

    Debian and Fedora make such a group for each user, who then often has umask 002.
    """
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except (KeyError, OSError):
        return False
    is_own = user.pw_gid == gid and user.pw_name == group.gr_name
    return is_own and set(group.gr_mem) <= {user.pw_name}
