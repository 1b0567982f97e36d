"""Where state lives.

Loaded before the spawn, so XDG's rule is written out instead of asking
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
