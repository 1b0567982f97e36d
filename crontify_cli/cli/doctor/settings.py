"""The doctor on settings: the config file, who can read what, the key and the token."""

import os
import stat
import time
from collections.abc import Iterator

from crontify_cli.cli.doctor.check import Check
from crontify_cli.cli.moments import ago, brief, local
from crontify_cli.config import Loaded, Settings, api_key, token
from crontify_cli.config.file import exposure, plain
from crontify_cli.config.secret import Credential, Secret, expires_at, mask
from crontify_cli.errors import CrontifyError

_SOON = 3 * 86400.0
"""Seconds before a token's end from which on it is time for a new one."""


def check_config(loaded: Loaded) -> Iterator[Check]:
    """Yield a line for the file, or one for each problem in it and in the environment."""
    for problem in loaded.problems:
        yield Check("config", "failure", problem, "crontify config edit")
    if not loaded.problems:
        monitors = len(loaded.settings.monitors)
        count = f", {monitors} monitor{'s' if monitors > 1 else ''}" if monitors else ""
        found = f"{plain(loaded.file)}{count}" if loaded.file else "no file: the defaults hold"
        yield Check("config", "ok", found)


def check_modes(loaded: Loaded, state: str | None) -> Iterator[Check]:
    """Yield a line for each file that others can read or that we cannot use, or one for all."""
    wrong = list(_readable_config(loaded))
    if state and os.path.isdir(state):
        wrong += _state_modes(state)
    yield from wrong
    if not wrong:
        yield Check("modes", "ok", "config, key and state are yours alone to read")


def _readable_config(loaded: Loaded) -> Iterator[Check]:
    for line in loaded.warnings:
        found, _, mode = line.rpartition("; run: chmod ")
        yield Check("modes", "warning", found, f"chmod {mode}")
    backup = f"{os.path.realpath(loaded.file)}.bak" if loaded.file else ""
    try:
        mode = exposure(os.stat(backup)) if backup else ""
    except OSError:
        return
    if mode:
        advice = f"chmod 600 {plain(backup)}"
        yield Check("modes", "warning", f"{plain(backup)}: others can read it ({mode})", advice)


def _state_modes(state: str) -> Iterator[Check]:
    """Yield what is wrong in the state directory: logs there are masked, but nobody else's."""
    exposed, foreign = [], []
    for folder, folders, files in os.walk(state):
        for name in (".", *folders, *files):
            path = os.path.normpath(os.path.join(folder, name))
            try:
                status = os.lstat(path)
            except OSError:
                continue  # a run has ended meanwhile
            if stat.S_ISLNK(status.st_mode):
                continue
            if status.st_mode & 0o077:
                exposed.append(path)
            needed = os.W_OK | (os.X_OK if stat.S_ISDIR(status.st_mode) else 0)
            if not os.access(path, os.R_OK | needed):
                foreign.append(path)
    # A folder is seen twice: from above, and in itself.
    exposed, foreign = sorted(set(exposed)), sorted(set(foreign))
    if exposed:
        found = f"{plain(exposed[0])}{_and_more(exposed)}: open to others"
        yield Check("modes", "warning", found, f"chmod -R go= {plain(state)}")
    if foreign:
        found = (
            f"{plain(foreign[0])}{_and_more(foreign)}: not yours to write, so runs leave no trace"
        )
        yield Check("modes", "failure", found, f"sudo chown -R {os.geteuid()} {plain(state)}")


def _and_more(paths: list[str]) -> str:
    return f" and {len(paths) - 1} more" if len(paths) > 1 else ""


def check_key(settings: Settings) -> Check:
    """Return whether the key can be had and looks like one; the server is not asked."""
    if settings.api_key is None:
        none = "no API key: jobs run, and nothing is reported"
        return Check("key", "failure", none, "crontify init, or crontify config set api_key")
    try:
        key = api_key(settings) or ""
    except CrontifyError as error:
        return Check("key", "failure", error.message, _replace("api_key", settings.api_key))
    found = f"{mask(key)}, from {_source(settings.api_key)}"
    if key.startswith("eyJ"):
        wrong = f"{found}: a user token, not an API key"
        return Check("key", "failure", wrong, _replace("api_key", settings.api_key))
    if not key.startswith(("ck_live_", "ck_test_")):
        wrong = f"{found}: not of the shape ck_live_…"
        return Check("key", "warning", wrong, "compare it with the one in Crontify's dashboard")
    return Check("key", "ok", found)


def check_token(settings: Settings) -> Check:
    """Return how long the user token is good for, by its own word; it is optional."""
    if settings.token is None:
        return Check("token", "ok", "none: `crontify logs` shows this machine's copies")
    renew = _replace("token", settings.token)
    try:
        text = token(settings) or ""
    except CrontifyError as error:
        return Check("token", "failure", error.message, renew)
    if text.startswith("ck_"):
        return Check("token", "failure", "an API key; logs want a user token", renew)
    end, now = expires_at(text), time.time()
    if end is None:
        odd = text.count(".") != 2
        words = "not of the shape of a token (JWT)" if odd else "has no end"
        return Check("token", "warning" if odd else "ok", words, renew if odd else None)
    if end <= now:
        return Check("token", "failure", f"expired {ago(now - end)}, at {local(end)}", renew)
    found = f"good until {local(end)}, for {brief(end - now)}"
    soon = end - now < _SOON
    return Check("token", "warning" if soon else "ok", found, renew if soon else None)


def _source(credential: Credential) -> str:
    return (
        f"{credential.setting} ({credential.value})"
        if credential.kind == "file"
        else credential.setting
    )


def _replace(name: str, credential: Credential) -> str:
    """Return how to put another secret in the place of this one."""
    if isinstance(credential.value, Secret):
        if credential.setting.startswith("CRONTIFY_"):
            return f"put another into {credential.setting}"
        return f"crontify config set {name}"
    if credential.kind == "file":
        return f"put it into {credential.value}, on its first line"
    return f"run {credential.value[0]} by hand to see what it prints"
