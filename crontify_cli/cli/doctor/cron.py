"""The doctor on cron: what this program finds in the environment that cron gives a job.

A process is started in that environment, and says what it finds there.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from crontify_cli.cli.config_show import rows
from crontify_cli.cli.crontab_line import quoted_program
from crontify_cli.cli.doctor.check import Check
from crontify_cli.config import api_key, load
from crontify_cli.errors import CrontifyError
from crontify_cli.places import state_dir

_SECONDS = 30.0
_HTTPX = ("SSL_CERT_FILE", "SSL_CERT_DIR", *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"))
"""Variables that decide how the server is reached; of the proxies' in small letters, too."""
_TELL = "from crontify_cli.cli.doctor.cron import tell; tell()"


class Facts(NamedTuple):
    """What a process finds in its environment.

    no_key: why there is no API key, "" if there is one. settings: each with its value, as
        shown: no secret is in it.
    """

    config: str | None
    state: str | None
    no_key: str
    settings: Mapping[str, object]


class Crontab(NamedTuple):
    """This user's crontab: the variables that it sets, and the programs of ours that it names."""

    settings: Mapping[str, str] = {}
    programs: tuple[str, ...] = ()


def check_cron(program: str, *, has_key: bool) -> Iterator[Check]:
    """Yield `cron_path` and `cron_env`.

    program: the absolute way to this one. has_key: whether a key can be had here.
    """
    crontab = parse_crontab(_crontab())
    environ = environment(crontab)
    yield _path(crontab, environ, program)
    yield from _environment(environ, has_key)


def environment(crontab: Crontab) -> dict[str, str]:
    """Return what cron gives a job, as crontab(5) has it: four variables and the table's own."""
    import pwd

    try:
        account = pwd.getpwuid(os.getuid())
        own = {"HOME": account.pw_dir, "LOGNAME": account.pw_name}
    except KeyError:
        own = {}
    return {**own, "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", **crontab.settings}


def _crontab() -> str:
    """Return this user's crontab; empty where there is none, or no cron."""
    try:
        done = subprocess.run(
            ["crontab", "-l"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def parse_crontab(text: str) -> Crontab:
    """Return what matters to us of a crontab: crontab(5)."""
    settings, programs = {}, []
    for line in text.splitlines():
        if match := re.match(r"""\s*(["']?)([A-Za-z_]\w*)\1\s*=\s*(.*?)\s*$""", line, re.ASCII):
            value = match[3]
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            settings[match[2]] = value
        elif not line.lstrip().startswith("#"):
            words = (word.strip("\"'") for word in line.split())
            programs += [word for word in words if os.path.basename(word) == "crontify"]
    return Crontab(settings, tuple(dict.fromkeys(programs)))


def _path(crontab: Crontab, environ: Mapping[str, str], program: str) -> Check:
    """Return whether cron finds the program under the names that the crontab has for it."""
    path = environ["PATH"]
    mend = f"write {program} in the crontab, as `crontify init` does"
    found = {name: shutil.which(name, path=path) for name in crontab.programs}
    missing = [name for name, place in found.items() if place is None]
    if missing:
        return Check("cron_path", "failure", f"cron does not find {missing[0]} (PATH={path})", mend)
    if found:
        return Check("cron_path", "ok", f"the crontab's {', '.join(found)} is found")
    if place := shutil.which("crontify", path=path):
        return Check("cron_path", "ok", f"cron finds {place} (PATH={path})")
    return Check("cron_path", "warning", f"cron does not find crontify by name (PATH={path})", mend)


def _environment(environ: Mapping[str, str], has_key: bool) -> Iterator[Check]:
    """Yield a line for each thing that is otherwise under cron, or one that all is the same."""
    here = _facts("" if has_key else "none here")
    there = _ask(environ)
    if isinstance(there, str):
        yield Check("cron_env", "failure", there, "run it so by hand to see why")
        return
    home = environ.get("HOME", "nowhere")
    differ = list(_differences(here, there, os.environ.get("HOME", home), home))
    lost = [name for name in _proxies(os.environ) if os.environ[name] != environ.get(name)]
    if lost:
        found = f"{', '.join(lost)}: set here, and not under cron"
        mend = "set proxy or ca_bundle in the config, or the variables at the crontab's top"
        differ.append(Check("cron_env", "warning", found, mend))
    yield from differ
    if not differ:
        home = environ.get("HOME", "nowhere")
        yield Check(
            "cron_env", "ok", f"the same settings, key and state (HOME={home}, no terminal)"
        )


def _differences(here: Facts, there: Facts, home: str, crons_home: str) -> Iterator[Check]:
    if home != crons_home:
        found = f"HOME is {home} here and {crons_home} under cron"
        mend = "ask again as the user whose crontab it is, with that HOME"
        yield Check("cron_env", "warning", found, mend)
    # Of another HOME the other places are only what follows.
    elif here.config != there.config:
        found = f"cron reads {there.config or 'no config file'}, not {here.config or 'none'}"
        yield Check("cron_env", "warning", found, "set CRONTIFY_CONFIG at the crontab's top")
    if home == crons_home and here.state != there.state:
        found = f"under cron the state is in {there.state or 'no place'}, not in {here.state}"
        yield Check("cron_env", "warning", found, "set CRONTIFY_STATE_DIR at the crontab's top")
    if there.no_key and not here.no_key:
        mend = "crontify config set api_key, or a key file that cron can read, too"
        found = f"under cron there is no API key: {there.no_key}"
        yield Check("cron_env", "failure", found, mend)
    other = [
        name
        for name in sorted({*here.settings, *there.settings})
        if here.settings.get(name) != there.settings.get(name)
        and not name.startswith(("api_key", "monitors."))
    ]
    if other and here.config == there.config:
        found = f"{', '.join(other)}: otherwise under cron than here"
        mend = "set in the config file what only this shell has"
        yield Check("cron_env", "warning", found, mend)


def _proxies(environ: Mapping[str, str]) -> list[str]:
    return [name for name in environ if name.upper() in _HTTPX and environ[name]]


def _ask(environ: Mapping[str, str]) -> Facts | str:
    """Return what a process finds that cron would have started, or why it says nothing."""
    command = [sys.executable, "-P", "-c", _TELL]
    home = environ.get("HOME", "")
    try:
        done = subprocess.run(
            command,
            env=environ,
            cwd=home if os.path.isdir(home) else "/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            start_new_session=True,
        )
        return Facts(**json.loads(done.stdout))
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{quoted_program(sys.executable)} does not run there: {error}"
    except (ValueError, TypeError):
        words = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return f"{quoted_program(sys.executable)} fails there: {words or done.returncode}"


def _facts(no_key: str) -> Facts:
    loaded = load()
    try:
        state = state_dir()
    except OSError:
        state = None
    settings = {row.path: row.value for row in rows(loaded) if row.value is not None}
    return Facts(loaded.file, state, no_key, settings)


def tell() -> None:
    """Print the facts as JSON: what the process does that is started as cron would."""
    no_key = "none is set there"
    try:
        if api_key(load().settings):
            no_key = ""
    except CrontifyError as error:
        no_key = error.message
    print(json.dumps(_facts(no_key)._asdict()))
