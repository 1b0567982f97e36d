"""Where the config and the state live.

Loaded before the spawn, so XDG's rule for the state is written out instead of asking
platformdirs; a test holds the two equal.
"""

import os


def state_dir() -> str:
    """Return the state directory, which need not exist.

    `CRONTIFY_STATE_DIR` names it, else it is `crontify` in the user's state
    directory, as the XDG Base Directory Specification has it. Without a usable
    HOME the home is the password database's.

    Raises OSError where there is none: no HOME, and no such user.
    """
    if named := os.environ.get("CRONTIFY_STATE_DIR"):
        return os.path.abspath(named)
    base = os.environ.get("XDG_STATE_HOME", "")
    if not base.startswith("/"):  # the specification: a relative path is to be ignored
        base = os.path.join(home(), ".local/state")
    return os.path.join(base, "crontify")


def home() -> str:
    """Return the home directory; raises OSError where there is none."""
    named = os.environ.get("HOME", "")
    if named.startswith("/"):
        return named
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise OSError(f"HOME is not set and user {os.getuid()} has no home") from None


def config_files() -> list[str]:
    """Return the places of the config file, the user's first, then the site's.

    None of them need exist. XDG's rule on every system, as for the state: a crontab
    line should find the same file on macOS as on Linux. Without a home only the
    site's places are left.
    """
    # Beside httpx, which the report needs anyway, this import costs 2 ms.
    from platformdirs.unix import Unix

    places = Unix("crontify")
    try:
        directories = list(places.iter_config_dirs())
    except (RuntimeError, OSError):
        # platformdirs raises where there is neither HOME nor such a user.
        directories = [places.site_config_dir]
    return [os.path.join(directory, "config.toml") for directory in directories]


def user_config_file() -> str:
    """Return the user's own place for the config file; raises OSError where there is no home."""
    from platformdirs.unix import Unix

    try:
        return os.path.join(Unix("crontify").user_config_dir, "config.toml")
    except RuntimeError as error:
        raise OSError(str(error)) from None
