"""The doctor's checks of the settings: config file, file modes, API key and user token."""

import os
import re
import stat
import time
from collections.abc import Iterator
from shlex import quote

from crontify_cli.cli.config import edit_command
from crontify_cli.cli.doctor.check import Check
from crontify_cli.cli.doctor.state import distrust
from crontify_cli.cli.moments import ago, brief, local
from crontify_cli.cli.output import count
from crontify_cli.config import Loaded, Settings, api_key, token
from crontify_cli.config.file import exposure, plain
from crontify_cli.config.secret import Credential, Secret, expires_at, mask
from crontify_cli.errors import CrontifyError

_COMMAND = re.compile(
    r"""; run: (chmod (?:go-w|600) (?:[\w@%+=:,./-]+|'[^']*'(?:"'"'[^']*')*))$""", re.ASCII
)
"""The command that a problem or a warning ends with: its last word is as shlex.quote writes it."""

_SOON = 3 * 86400.0
"""Seconds before a token expires at which the doctor starts to warn."""


def check_config(loaded: Loaded) -> Iterator[Check]:
    """Yield a check for each problem in the file and the environment, or one if there is none."""
    for problem in loaded.problems:
        found, command = _split(problem)
        advice = command or f"correct it with {_edit(problem, loaded)}"
        yield Check("config", "failure", found, advice)
    if not loaded.problems:
        found = plain(loaded.file) if loaded.file else "no config file; the defaults are used"
        if more := len(loaded.files[1:]):
            found += f", {count(more, 'more file')} in conf.d"
        if monitors := len(loaded.settings.monitors):
            found += f", {count(monitors, 'monitor')}"
        yield Check("config", "ok", found)


def _split(line: str) -> tuple[str, str]:
    """Return what was found, and the command at the end of the line, "" if there is none.

    What was found may have names and keys in it that others chose, such as `x; run: y`.
    """
    match = _COMMAND.search(line)
    return (line[: match.start()], match[1]) if match else (line, "")


def _edit(problem: str, loaded: Loaded) -> str:
    """Return the command that edits the file with the problem."""
    named = [file for file in loaded.files if plain(file) in problem]
    return edit_command(max(named, key=len)) if named else "crontify config edit"


def check_modes(loaded: Loaded, state: str | None) -> Iterator[Check]:
    """Yield a check for each file with a wrong mode or owner, or one if all are right."""
    wrong = list(_readable_config(loaded))
    if state and os.path.isdir(state) and not distrust(state):
        wrong += _state_modes(state)
    yield from wrong
    if not wrong:
        yield Check("modes", "ok", f"no other user can read {_private(loaded, state)}")


def _private(loaded: Loaded, state: str | None) -> str:
    """Return the names of what was checked, and found readable by its owner only."""
    what = ["a secret in the config file"]
    credentials = filter(None, (loaded.settings.api_key, loaded.settings.token))
    if any(isinstance(each.value, str) for each in credentials):
        what.append("the file of the key or token")
    if state and os.path.isdir(state):
        what.append("the state directory")
    return " or ".join(what)


def _readable_config(loaded: Loaded) -> Iterator[Check]:
    for line in loaded.warnings:
        yield Check("modes", "warning", *_split(line))
    for file in loaded.files:
        backup = f"{os.path.realpath(file)}.bak"
        try:
            mode = exposure(os.stat(backup))
        except OSError:
            continue
        if mode:
            found = f"{plain(backup)}: others can read it ({mode})"
            yield Check("modes", "warning", found, f"chmod 600 {quote(plain(backup))}")


def _state_modes(state: str) -> Iterator[Check]:
    """Yield a check if others can read files in the state directory, and if we cannot write it."""
    exposed, foreign = set(), set()
    for folder, folders, files in os.walk(state):
        for name in (".", *folders, *files):
            path = os.path.normpath(os.path.join(folder, name))
            try:
                status = os.lstat(path)
            except OSError:
                continue  # removed by a run that has ended
            if stat.S_ISLNK(status.st_mode):
                continue
            if status.st_mode & 0o077:
                exposed.add(path)
            needed = os.W_OK | (os.X_OK if stat.S_ISDIR(status.st_mode) else 0)
            if not os.access(path, os.R_OK | needed):
                foreign.add(path)
    if exposed:
        found = f"{_first(exposed)}: other users have access"
        yield Check("modes", "warning", found, f"chmod -R go= {quote(plain(state))}")
    if foreign:
        found = f"{_first(foreign)}: you have no write access, so runs cannot be recorded"
        yield Check(
            "modes", "failure", found, f"sudo chown -R {os.geteuid()} {quote(plain(state))}"
        )


def _first(paths: set[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return plain(min(paths)) + more


def check_key(settings: Settings) -> Check:
    """Check that the key can be read and has the right format, without asking the server."""
    if settings.api_key is None:
        found = "no API key is set: jobs run, but are not reported"
        return Check("key", "failure", found, "run crontify init or crontify config set api_key")
    replace = _how_to_replace("api_key", settings.api_key)
    try:
        key = api_key(settings) or ""
    except CrontifyError as error:
        return Check("key", "failure", error.message, replace)
    found = f"{mask(key)}, from {_source(settings.api_key)}"
    if key.startswith("eyJ"):
        return Check("key", "failure", f"{found}: this is a user token, not an API key", replace)
    if not key.startswith(("ck_live_", "ck_test_")):
        found += ": it does not start with ck_live_"
        return Check("key", "warning", found, "compare it with the key in Crontify's dashboard")
    return Check("key", "ok", found)


def check_token(settings: Settings) -> Check:
    """Check how long the user token, which is optional, claims to be valid."""
    if settings.token is None:
        return Check("token", "ok", "not set: `crontify logs` shows the copies on this machine")
    renew = _how_to_replace("token", settings.token)
    try:
        text = token(settings) or ""
    except CrontifyError as error:
        return Check("token", "failure", error.message, renew)
    if text.startswith("ck_"):
        return Check(
            "token", "failure", "this is an API key; a user token is required to read logs", renew
        )
    end, now = expires_at(text), time.time()
    if end is None:
        if text.count(".") != 2:
            return Check("token", "warning", "it does not look like a token (JWT)", renew)
        return Check("token", "ok", "does not expire")
    if end <= now:
        return Check("token", "failure", f"expired {ago(now - end)}, at {local(end)}", renew)
    found = f"valid until {local(end)}, for {brief(end - now)}"
    if end - now < _SOON:
        return Check("token", "warning", found, renew)
    return Check("token", "ok", found)


def _source(credential: Credential) -> str:
    file = f" ({credential.value})" if isinstance(credential.value, str) else ""
    return credential.setting + file


def _how_to_replace(name: str, credential: Credential) -> str:
    """Return the advice for replacing this secret with another one."""
    if isinstance(credential.value, Secret):
        if credential.setting.startswith("CRONTIFY_"):
            return f"set {credential.setting} to another one"
        return f"run crontify config set {name}"
    if isinstance(credential.value, str):
        return f"write it to the first line of {credential.value}"
    return f"run {credential.value[0]} yourself to see what it prints"
