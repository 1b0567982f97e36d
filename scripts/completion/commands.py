"""Reads the commands, options and values from the Typer app."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from crontify_cli.config import keys, kinds
from crontify_cli.values import OUTPUT

KINDS = {
    "FILE": "file",
    "MONITOR": "monitor",
    "RUN": "run",
    "MONITOR|RUN": "report",
    "COMMAND": "command",
    "KEY": "key",
    "VALUE": "setting",
}
"""How to complete a value by its metavar; other values cannot be completed."""
SAID: Mapping[str, Mapping[str, str]] = {
    "allow|skip|wait": {
        "allow": "start anyway",
        "skip": "skip this run, exit 75",
        "wait": "wait for the other run",
    },
    "all|on-failure|none": {
        "all": "print all output immediately",
        "on-failure": "print it only if the job fails",
        "none": "print nothing",
    },
    "auto|always|never": {
        "auto": "unless the plan's rate limit would delay an end",
        "always": "report each start",
        "never": "report only the end",
    },
    "start|success|fail": {
        "start": "the job starts",
        "success": "the job succeeded",
        "fail": "the job failed",
    },
    "lt|gt|eq|ne": {"lt": "less than", "gt": "greater than", "eq": "equal", "ne": "not equal"},
    "free|pro": {"free": "60s between two pings", "pro": "no pause"},
}
"""Descriptions for choices that are not obvious."""

LONGEST = 64
"""The maximum length of a description in characters."""


class Value(NamedTuple):
    """The value of an option or argument: its metavar, its kind, and the choices if any."""

    metavar: str
    kind: str
    choices: Mapping[str, str] = {}
    many: bool = False


class Option(NamedTuple):
    """An option: its flags, its description (`said`), and its value if it takes one."""

    flags: tuple[str, ...]
    said: str
    value: Value | None
    repeats: bool


class Command(NamedTuple):
    """A command or a group; `path` is empty for the program itself."""

    path: tuple[str, ...]
    said: str
    options: tuple[Option, ...]
    arguments: tuple[Value, ...]
    commands: "tuple[Command, ...]"

    def all(self) -> "Iterator[Command]":
        """Yield this command and its subcommands."""
        yield self
        for command in self.commands:
            yield from command.all()


# `Any`: mypy has no types for the copy of Click inside Typer.
def read(command: Any, path: tuple[str, ...] = (), parent: Any = None) -> Command:
    """Read `command` and its subcommands, except the hidden ones."""
    context = command.context_class(command, parent=parent, **command.context_settings)
    parameters = [
        each for each in command.get_params(context) if not getattr(each, "hidden", False)
    ]
    inner = getattr(command, "commands", {})
    return Command(
        path,
        _brief(command.help or ""),
        tuple(_option(each) for each in parameters if each.param_type_name == "option"),
        tuple(_value(each) for each in parameters if each.param_type_name == "argument"),
        tuple(
            read(each, (*path, name), context) for name, each in inner.items() if not each.hidden
        ),
    )


def _option(parameter: Any) -> Option:
    """Read an option; its short flag comes first, as in the help."""
    flags = tuple(sorted((*parameter.opts, *parameter.secondary_opts), key=len))
    takes = None if parameter.is_flag or parameter.count else _value(parameter)
    repeats = bool(parameter.multiple or parameter.count)
    return Option(flags, _brief(parameter.help or ""), takes, repeats)


def _value(parameter: Any) -> Value:
    """Read the value of a parameter from its type, or else from its metavar."""
    many = parameter.nargs == -1
    choices = tuple(map(str, getattr(parameter.type, "choices", ())))
    written = parameter.metavar or "|".join(choices) or parameter.name.upper()
    name = re.sub(r"[\[\].…]", "", written)
    if not choices and "|" in name:
        # In `free|pro|DURATION`, only the words in lower case are choices.
        choices = tuple(word for word in name.split("|") if not word.isupper())
    if choices:
        said = SAID.get("|".join(choices), {})
        return Value(name, "choice", {word: said.get(word, "") for word in choices}, many)
    if type(parameter.type).__name__ in ("TyperPath", "Path", "File"):
        return Value("FILE", "file", many=many)
    return Value(name, KINDS.get(name, "other"), many=many)


def _brief(text: str) -> str:
    """Return the first clause of a help text, and as many more as fit in `LONGEST`."""
    first = " ".join(text.strip().split("\n\n")[0].split()).removesuffix(".")
    ends = [len(first), *(found.start() for found in re.finditer(r"[.;:] ", first))]
    return first[: max((end for end in ends if end <= LONGEST), default=min(ends))]


def top_keys() -> dict[str, str]:
    """Return the keys at the top of the config with their descriptions, except headers."""
    return {key.name: _brief(key.help) for key in keys.TOP.values() if key.name != "headers"}


def monitor_keys() -> dict[str, str]:
    """Return the keys of a monitor's section with their descriptions."""
    return {key.name: _brief(key.help) for key in keys.MONITOR.values()}


def setting_choices() -> dict[str, tuple[str, ...]]:
    """Return the possible values of each key that has only a few."""
    found = {}
    for key in keys.KEYS:
        if key.kind is kinds.SWITCH:
            found[key.name] = ("true", "false")
        elif key.kind is kinds.OUTPUT_MODE:
            found[key.name] = OUTPUT
    return found


def setting_files() -> list[str]:
    """Return the keys whose value is the name of a file."""
    return [key.name for key in keys.KEYS if key.kind is kinds.PATH]
