"""Where the config and the state live: the only module that asks platformdirs."""

import os

from crontify_cli.state import state_dir

__all__ = ["config_files", "state_dir", "user_config_file"]


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
