"""The doctor's checks of cron: the crontab, and the environment that a cron job has.

A process is started in that environment and reports what it finds there.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from crontify_cli.cli.config_show import list_settings
from crontify_cli.cli.crontab_check import findings
from crontify_cli.cli.crontab_line import quoted_program
from crontify_cli.cli.crontab_open import open_crontabs
from crontify_cli.cli.doctor.check import Check, Result
from crontify_cli.cli.doctor.interpreter import check_interpreter
from crontify_cli.config import api_key, load
from crontify_cli.crontab import lines
from crontify_cli.crontab.place import Place, find_dialect, read
from crontify_cli.crontab.wrap import read_command
from crontify_cli.errors import CrontifyError, in_words
from crontify_cli.state import state_dir

_TIMEOUT = 30.0  # seconds
_NETWORK = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)
"""Variables that determine how the server is reached; lower-case names count, too."""
_PRINT_FACTS = "from crontify_cli.cli.doctor.cron import print_facts; print_facts()"


class Facts(NamedTuple):
    """What a process finds in its environment.

    no_key: why there is no API key, "" if there is one. settings: their values for display,
        with secrets masked.
    """

    config: str | None
    state: str | None
    no_key: str
    settings: Mapping[str, object]


class Crontab(NamedTuple):
    """The user's crontab: the variables that it sets, and the `crontify` programs that it runs."""

    settings: Mapping[str, str] = {}
    programs: tuple[str, ...] = ()


def check_cron(program: str, *, has_key: bool) -> Iterator[Check]:
    """Yield `cron_path`, `cron_env`, `crontab` and `interpreter`.

    program: the absolute path of this one. has_key: whether an API key is available here.
    """
    crontab = parse_crontab(_crontab())
    environ = environment(crontab)
    yield _path(crontab, environ, program)
    yield from _environment(environ, has_key)
    yield _surprises()
    yield check_interpreter(environ, program)


def _surprises() -> Check:
    """Check the lines of the user's crontab that run crontify, as `crontify crontab check` does."""
    try:
        (opened,) = open_crontabs(None, None, False, None)
    except CrontifyError:
        return Check("crontab", "ok", "you have none")
    ours = {line.number for line in opened.lines if b"crontify" in line.text}
    found = [each for each in findings(opened) if each.line is None or each.line in ours]
    if not found:
        return Check("crontab", "ok", "nothing surprising in the lines that run crontify")
    result: Result = "failure" if any(each.level == "error" for each in found) else "warning"
    first = next((each for each in found if each.level == "error"), found[0])
    words = first.message if first.line is None else f"line {first.line}: {first.message}"
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Check("crontab", result, words + more, "crontify crontab check")


def environment(crontab: Crontab) -> dict[str, str]:
    """Return the environment of a cron job: four variables and the crontab's (crontab(5))."""
    import pwd

    try:
        account = pwd.getpwuid(os.getuid())
        own = {"HOME": account.pw_dir, "LOGNAME": account.pw_name}
    except KeyError:
        own = {}
    return {**own, "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", **crontab.settings}


def _crontab() -> bytes:
    """Return the user's crontab; empty if there is none or cron is not installed."""
    try:
        return read(Place(None))
    except CrontifyError:
        return b""


def parse_crontab(data: bytes) -> Crontab:
    """Return the parts of a crontab that matter here."""
    settings: dict[str, str] = {}
    programs: list[str] = []
    for line in lines.read(data, find_dialect()):
        if line.setting:
            name, value = map(os.fsdecode, line.setting)
            settings[name] = value
        shape = read_command(line, "debian").shape if line.job else None
        words = [word for command in (shape.commands if shape else ()) for word in command if word]
        names = map(os.fsdecode, words)
        programs += [name for name in names if os.path.basename(name) == "crontify"]
    return Crontab(settings, tuple(dict.fromkeys(programs)))


def _path(crontab: Crontab, environ: Mapping[str, str], program: str) -> Check:
    """Check that cron finds the program by the names used in the crontab."""
    path = environ["PATH"]
    names = crontab.programs or ("crontify",)
    missing = [name for name in names if not shutil.which(name, path=path)]
    if not missing:
        return Check("cron_path", "ok", f"cron finds {', '.join(names)} (PATH={path})")
    result: Result = "failure" if crontab.programs else "warning"
    found = f"cron does not find {missing[0]} (PATH={path})"
    return Check("cron_path", result, found, f"use the absolute path in the crontab: {program}")


def _environment(environ: Mapping[str, str], has_key: bool) -> Iterator[Check]:
    """Yield a check for each difference between here and cron, or one if there is none."""
    here = _facts("" if has_key else "none here")
    there = _ask(environ)
    if isinstance(there, str):
        yield Check("cron_env", "failure", there, "run this command yourself to see the error")
        return
    home = environ.get("HOME", "nowhere")
    differences = list(_differences(here, there, os.environ.get("HOME", home), home))
    network = [name for name in os.environ if name.upper() in _NETWORK and os.environ[name]]
    if lost := [name for name in network if os.environ[name] != environ.get(name)]:
        found = f"{', '.join(lost)}: set here, but not under cron"
        advice = "set proxy or ca_bundle in the config file, or these variables in the crontab"
        differences.append(Check("cron_env", "warning", found, advice))
    same = f"the same settings, key and state directory (HOME={home}, no terminal)"
    yield from differences or [Check("cron_env", "ok", same)]


def _differences(here: Facts, there: Facts, home: str, crons_home: str) -> Iterator[Check]:
    if home != crons_home:
        found = f"HOME is {home} here and {crons_home} under cron"
        advice = "run crontify doctor as the crontab's user, with that HOME"
        yield Check("cron_env", "warning", found, advice)
    # With another HOME, different paths are to be expected.
    elif here.config != there.config:
        found = f"cron reads {there.config or 'no config file'}, not {here.config or 'none'}"
        yield Check("cron_env", "warning", found, "set CRONTIFY_CONFIG in the crontab")
    if home == crons_home and here.state != there.state:
        found = f"under cron the state directory is {there.state or 'missing'}, not {here.state}"
        yield Check("cron_env", "warning", found, "set CRONTIFY_STATE_DIR in the crontab")
    if there.no_key and not here.no_key:
        found = f"under cron there is no API key: {there.no_key}"
        advice = "run crontify config set api_key, or use a key file that cron can read"
        # With another HOME, it is another person's crontab that may be meant.
        result: Result = "failure" if home == crons_home else "warning"
        yield Check("cron_env", result, found, advice)
    names = sorted({*here.settings, *there.settings})
    other = [name for name in names if here.settings.get(name) != there.settings.get(name)]
    other = [name for name in other if not name.startswith(("api_key", "monitors."))]
    if other and here.config == there.config:
        found = f"{', '.join(other)}: differs under cron"
        advice = "set it in the config file instead of in this shell"
        yield Check("cron_env", "warning", found, advice)


def _ask(environ: Mapping[str, str]) -> Facts | str:
    """Return the facts that a process started like a cron job finds, or why it failed."""
    home = environ.get("HOME", "")
    python = quoted_program(sys.executable)
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PRINT_FACTS],
            env=environ,
            cwd=home if os.path.isdir(home) else "/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            start_new_session=True,
        )
        return Facts(**json.loads(done.stdout))
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{python} does not run under cron: {in_words(error)}"
    except (ValueError, TypeError):
        message = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return f"{python} fails under cron: {message or f'exit code {done.returncode}'}"


def print_facts() -> None:
    """Print the facts as JSON; called in the process that is started like a cron job."""
    no_key = "none is set there"
    try:
        if api_key(load().settings):
            no_key = ""
    except CrontifyError as error:
        no_key = error.message
    print(json.dumps(_facts(no_key)._asdict()))


def _facts(no_key: str) -> Facts:
    loaded = load()
    try:
        state = state_dir()
    except OSError:
        state = None
    values = ((row.path, row.value) for row in list_settings(loaded) if row.value is not None)
    # Lists, as in the JSON of the other process.
    settings = {path: list(value) if isinstance(value, tuple) else value for path, value in values}
    return Facts(loaded.file, state, no_key, settings)
