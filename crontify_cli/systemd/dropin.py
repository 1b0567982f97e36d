"""Composes the drop-in that puts `crontify exec` in front of a service's commands.

A service whose behaviour a wrapper would change is refused, with the reason.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from crontify_cli.errors import CrontifyError
from crontify_cli.systemd import reach
from crontify_cli.systemd.manager import run
from crontify_cli.systemd.unitfile import Command, commands, quoted, word_spans
from crontify_cli.systemd.units import MARK, OURS, Service
from crontify_cli.values import parse_argument_monitor

CREDENTIAL = "crontify-api-key"
"""The name of the credential that the API key is passed as (`config.load` reads it)."""
_INET = re.compile(r"\bAF_INET6?\b")
_SIGNAL = re.compile(r"SIG[A-Z0-9+]+")
_EVERYTHING_ELSE = re.compile(r"[^A-Za-z0-9._~%-]+")


class RefusedError(Exception):
    """A service is better left as it is; the message is the reason."""


class Dropin(NamedTuple):
    """A drop-in. monitors: the monitor of each command. notes: what a person should know."""

    text: str
    monitors: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Wish(NamedTuple):
    """What a person asks for.

    program: the words that run crontify. monitor: the first command's, "" to derive it from
    the unit's name. key_file: the file with the API key, "" if the service finds the key itself.
    """

    program: Sequence[str]
    monitor: str = ""
    key_file: str = ""


def compose(service: Service, wish: Wish) -> Dropin:
    """Return the drop-in for a service; raises RefusedError."""
    found = _commands(service)
    for reason in (*_reasons(service, found), *reach.hidden(service, wish.program[0])):
        raise RefusedError(reason)
    program = " ".join(map(_or_refused(quoted), wish.program))
    options = _options(service)
    monitor = wish.monitor or default_monitor(service.name)
    lines, monitors = [], []
    for number, command in enumerate(found, 1):
        name = monitor if number == 1 else f"{monitor}-{number}"
        lines.append(_exec_line(command, program, options, name))
        monitors.append(name)
    short = service.name.removesuffix(".service")
    text = [
        f"{MARK}; 'crontify systemd unwrap {short}' removes it.",
        "[Service]",
        *_key(wish.key_file),
        *_state(service),
        "ExecStart=",
        *lines,
    ]
    notes = (*_notes(service, found, monitor), *reach.forbidden(service, wish.program[0]))
    return Dropin("\n".join(text) + "\n", tuple(monitors), notes)


def default_monitor(name: str) -> str:
    """Return a monitor's name for a service; of a template one with the instance in it."""
    stem = name.removesuffix(".service")
    if stem.endswith("@"):
        return f"{_EVERYTHING_ELSE.sub('-', stem[:-1])}-%i"
    return _EVERYTHING_ELSE.sub("-", stem).strip("-")[:128] or "service"


def check_monitor(name: str) -> str:
    """Return a monitor's name, in which `%i` may stand for a template's instance.

    Raises ValueError.
    """
    parse_argument_monitor(name.replace("%i", "i"))
    return name


def _or_refused(convert: Callable[[str], str]) -> Callable[[str], str]:
    def converted(text: str) -> str:
        try:
            return convert(text)
        except ValueError as error:
            raise RefusedError(str(error)) from None

    return converted


def _commands(service: Service) -> list[Command]:
    try:
        return [each for value in service.values("ExecStart") for each in commands(value)]
    except ValueError as error:
        raise RefusedError(f"its ExecStart= cannot be read: {error}") from None


def _exec_line(command: Command, program: str, options: Sequence[str], monitor: str) -> str:
    arguments = command.arguments
    named: list[str] = []
    if "@" in command.prefix:
        start, end = next(word_spans(arguments))
        named = ["--argv0", arguments[start:end]]
        arguments = arguments[end:].lstrip()
    prefix = command.prefix.replace("@", "")
    words = [program, "exec", *options, *named, monitor, "--", command.program, arguments]
    return f"ExecStart={prefix}{' '.join(filter(None, words))}"


# Refusing


def _reasons(service: Service, found: Sequence[Command]) -> Iterator[str]:
    """Yield why a wrapper would change what the service does; nothing if it would not."""
    kind = service.value("Type") or "simple"
    if not found:
        yield "it has no ExecStart="
    if kind != "oneshot":
        yield f"it has Type={kind}; only a service with Type=oneshot is a job"
    yield from filter(None, map(_odd_command, found))
    if later := _later(service):
        yield f"{later} sets ExecStart= and is read after {OURS}"
    if _is_set(service, "RootDirectory", "RootImage"):
        yield "it runs in another root directory, in which there may be no crontify"
    if _is_set(service, "Sockets") or service.value("StandardInput") == "socket":
        yield "it takes over sockets, which systemd passes to the first process only"
    if _is_set(service, "WatchdogSec") or service.value("NotifyAccess") in ("main", "exec"):
        yield "systemd accepts its notifications from the first process only"
    by_signal = "exec turns the signal that ended a job into an exit code"
    restart = service.value("Restart")
    if restart in ("on-abnormal", "on-abort", "on-watchdog"):
        yield f"{by_signal}, and Restart={restart} depends on it"
    for key in ("SuccessExitStatus", "RestartPreventExitStatus", "RestartForceExitStatus"):
        if _signals(service, key):
            yield f"{by_signal}, and {key}= names one"
    if _sets_path(service) and any(each.program[0] not in "/%'\"" for each in found):
        yield (
            "its program has no absolute path, and exec looks for it in PATH, which systemd does"
            " not; write the path"
        )


def _odd_command(command: Command) -> str:
    program = command.program.strip("'\"")
    if program.rpartition("/")[2] == "crontify" or "crontify_cli" in command.arguments:
        return "it calls crontify already"
    if "$" in program and ":" not in command.prefix:
        return f"there is a $ in the path {program}, which would be expanded behind crontify"
    if "@" in command.prefix and (command.arguments + " ").startswith((" ", '"" ', "'' ")):
        return "the prefix @ has no name behind it"
    return ""


def _later(service: Service) -> str:
    """Return the drop-in that would undo ours, "" if there is none."""
    for path in reversed(service.dropins):
        name = os.path.basename(path)
        if name <= OURS:
            return ""
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            if re.search(r"(?m)^\s*ExecStart\s*=", file.read()):
                return path
    return ""


def _is_set(service: Service, *keys: str) -> bool:
    return any(service.is_set(key) for key in keys)


def _signals(service: Service, key: str) -> list[str]:
    return [word for value in service.values(key) for word in value.split() if _SIGNAL.match(word)]


def _sets_path(service: Service) -> bool:
    named = any("PATH=" in value for value in service.values("Environment"))
    return named or bool(service.values("EnvironmentFile") or service.values("PassEnvironment"))


# Settings


def _options(service: Service) -> list[str]:
    """Return the options of exec; raises RefusedError for an unknown exit status."""
    words = [word for value in service.values("SuccessExitStatus") for word in value.split()]
    if not words:
        return []
    codes = sorted({0, *(int(word) for word in words if word.isdigit())})
    codes += _codes([word for word in words if not word.isdigit()])
    return ["--success-codes", ",".join(map(str, sorted(set(codes))))]


def _codes(names: Sequence[str]) -> list[int]:
    """Return the numbers of exit statuses such as TEMPFAIL; raises RefusedError."""
    if not names:
        return []
    try:
        printed = run("systemd-analyze", "exit-status", *names)
    except CrontifyError as error:
        raise RefusedError(f"SuccessExitStatus={' '.join(names)}: {error}") from None
    # NAME STATUS CLASS
    rows = [line.split() for line in printed.split("\n")[1:]]
    return [int(row[1]) for row in rows if len(row) == 3 and row[1].isdigit()]


def _key(key_file: str) -> list[str]:
    return [f"LoadCredential={CREDENTIAL}:{key_file.replace('%', '%%')}"] if key_file else []


def _state(service: Service) -> list[str]:
    """Return what gives a state directory to a service that could not write to the usual one."""
    is_dynamic = _is_set(service, "DynamicUser")
    is_strict = service.value("ProtectSystem") == "strict"
    if not (is_dynamic or is_strict or _is_set(service, "ProtectHome")):
        return []
    folder = "%S/private/crontify/%N" if is_dynamic else "%S/crontify/%N"
    return ["StateDirectory=crontify/%N", f"Environment=CRONTIFY_STATE_DIR={folder}"]


def _notes(service: Service, found: Sequence[Command], monitor: str) -> list[str]:
    addresses = service.value("RestrictAddressFamilies")
    is_offline = _is_set(service, "PrivateNetwork") or service.value("IPAddressDeny") == "any"
    is_offline = is_offline or bool(
        addresses and addresses[0] != "~" and not _INET.search(addresses)
    )
    notes = []
    if len(found) > 1:
        notes.append("each of its commands reports to a monitor of its own")
    if "%i" in monitor:
        notes.append(
            f"the monitors are called {monitor}; an instance whose name has other characters than"
            " letters, digits, '-', '.', '_' and '~' would not start: wrap it alone, with --name"
        )
    if any("-" in command.prefix for command in found):
        notes.append("systemd ignores failures of its command (prefix -); they are reported")
    if is_offline:
        notes.append("it has no network; its reports wait until 'crontify flush' sends them")
    if _state(service):
        notes.append("it cannot write to home directories; its state is kept below StateDirectory=")
    return notes
