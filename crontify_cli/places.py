"""The locations of the state directory and of the config files.

Loaded before the job starts and for each TAB, so the rules of the XDG Base Directory
Specification are implemented here: importing platformdirs takes longer than all the rest.
"""

import os


def state_dir() -> str:
    """Return the path of the state directory, which may not exist yet.

    It is `CRONTIFY_STATE_DIR` if that is set, otherwise `crontify` in the user's state
    directory according to the XDG Base Directory Specification.

    Raises OSError if no home directory is known.
    """
    if named := os.environ.get("CRONTIFY_STATE_DIR"):
        return os.path.abspath(named)
    base = os.environ.get("XDG_STATE_HOME", "")
    if not base.startswith("/"):  # the specification: relative paths are ignored
        base = os.path.join(home(), ".local/state")
    return os.path.join(base, "crontify")


def home() -> str:
    """Return the home directory: HOME, or the one in the password database.

    Raises OSError if neither is known.
    """
    named = os.environ.get("HOME", "")
    if named.startswith("/"):
        return named
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise OSError(f"HOME is not set, and user {os.getuid()} has no home directory") from None


def user_config_file() -> str:
    """Return the path of the user's config file; raises OSError without a home directory."""
    base = os.environ.get("XDG_CONFIG_HOME", "").strip()
    return _config_file(base if base.startswith("/") else os.path.join(home(), ".config"))


def config_files() -> list[str]:
    """Return the possible paths of the config file, the user's first; none has to exist.

    The XDG rule applies on every system, so that a crontab line finds the same file on
    macOS as on Linux. Without a home directory only the system's paths are returned.
    """
    named = map(str.strip, os.environ.get("XDG_CONFIG_DIRS", "").split(":"))
    bases = [base for base in named if base.startswith("/")] or ["/etc/xdg"]
    try:
        return [user_config_file(), *map(_config_file, bases)]
    except OSError:
        return [_config_file(base) for base in bases]


def _config_file(base: str) -> str:
    return os.path.join(base, "crontify/config.toml")
