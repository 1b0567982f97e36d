"""The locations of the state directory and of the config files, as the environment names them.

The rules of the XDG Base Directory Specification are implemented here, because loading
platformdirs would take a fifth of the time of a run; a test compares the two.
"""

import os

from crontify_cli.errors import CrontifyError

_CONFIG = "crontify/config.toml"


class NoHomeError(CrontifyError, OSError):
    """No home directory is known."""


def named_state_dir() -> str:
    """Return the path of the state directory that the environment names.

    It is `CRONTIFY_STATE_DIR` if that is set, otherwise `crontify` in the user's state
    directory according to the XDG Base Directory Specification; root's own if the
    environment is another user's, as with `sudo -E`. `state.state_dir` checks it.

    Raises NoHomeError if no home directory is known.
    """
    if named := os.environ.get("CRONTIFY_STATE_DIR"):
        return os.path.abspath(named)
    base = os.environ.get("XDG_STATE_HOME", "")
    if not base.startswith("/"):  # the specification: relative paths are ignored
        base = os.path.join(home(), ".local/state")
    if foreign_home():
        base = os.path.join(_own_home(), ".local/state")
    return os.path.join(base, "crontify")


def foreign_home() -> str:
    """Return the directory of another user that HOME or XDG_STATE_HOME gives to root, or ""."""
    if os.geteuid() != 0:
        return ""
    for name in ("XDG_STATE_HOME", "HOME"):
        path = os.environ.get(name, "")
        try:
            if path.startswith("/"):
                return path if os.stat(path).st_uid != 0 else ""
        except OSError:
            return ""  # it does not exist
    return ""


def home() -> str:
    """Return the home directory: HOME, or the one in the password database.

    Raises NoHomeError if neither is known.
    """
    named = os.environ.get("HOME", "")
    return named if named.startswith("/") else _own_home()


def _own_home() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        words = f"HOME is not set, and user {os.getuid()} has no home directory"
        raise NoHomeError(words) from None


def user_config_file() -> str:
    """Return the path of the user's config file; raises OSError without a home directory."""
    own = os.environ.get("XDG_CONFIG_HOME", "").strip()
    folder = own if own.startswith("/") else os.path.join(home(), ".config")
    return os.path.join(folder, _CONFIG)


def config_files() -> "list[str]":
    """Return the possible paths of the config file, the user's first; none has to exist.

    The XDG rule applies on every system, so that a crontab line finds the same file on
    macOS as on Linux. Without a home directory only the system's paths are returned.
    """
    site = os.environ.get("XDG_CONFIG_DIRS", "").split(":")
    folders = [name for name in map(str.strip, site) if name.startswith("/")] or ["/etc/xdg"]
    files = [os.path.join(folder, _CONFIG) for folder in folders]
    try:
        return [user_config_file(), *files]
    except OSError:
        return files


def folder_of(config_file: str) -> str:
    """Return the folder next to a config file whose files are read after it."""
    return os.path.join(os.path.dirname(config_file), "conf.d")


def files_in(folder: str) -> list[str]:
    """Return the config files in a conf.d, in the byte order of their names.

    Those are the names that end in `.toml` and do not begin with a dot: what editors and
    packagers leave there is not read. Raises OSError if the folder cannot be listed.
    """
    names = [name for name in os.listdir(folder) if name.endswith(".toml") and name[0] != "."]
    return [os.path.join(folder, name) for name in sorted(names, key=os.fsencode)]
