"""The app as a TAB sees it: which commands, options and values there are."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from crontify_cli.config import keys, kinds

KINDS = {
    "FILE": "file",
    "MONITOR": "monitor",
    "RUN": "run",
    "COMMAND": "command",
    "KEY": "key",
    "VALUE": "setting",
}
"""What a metavar stands for; any other is a thing that nobody can guess."""
SAID: Mapping[str, Mapping[str, str]] = {
    "allow|skip|wait": {
        "allow": "start anyway",
        "skip": "skip this run, exit 75",
        "wait": "wait for the other to end",
    },
    "all|on-failure|none": {
        "all": "pass everything on as it comes",
        "on-failure": "pass it on only if the job fails",
        "none": "pass nothing on",
    },
    "start|success|fail": {
        "start": "the job begins",
        "success": "the job is done",
        "fail": "the job failed",
    },
    "lt|gt|eq|ne": {"lt": "less than", "gt": "greater than", "eq": "equal", "ne": "not equal"},
    "free|pro": {"free": "60s between two pings", "pro": "no pause"},
}
"""What is said beside a choice, where its own word is not enough."""


LONGEST = 64  # characters beside a word


class Value(NamedTuple):
    """What an option or an argument takes: its metavar, its kind, and the choices if any."""

    metavar: str
    kind: str
    choices: Mapping[str, str] = {}
    many: bool = False


class Option(NamedTuple):
    """An option: as typed, what is said of it, the value if it takes one."""

    flags: tuple[str, ...]
    said: str
    value: Value | None
    repeats: bool


class Command(NamedTuple):
    """A command or a group of them; `path` is empty for the program itself."""

    path: tuple[str, ...]
    said: str
    options: tuple[Option, ...]
    arguments: tuple[Value, ...]
    commands: "tuple[Command, ...]"

    def all(self) -> "Iterator[Command]":
        """Yield this and everything below it."""
        yield self
        for command in self.commands:
            yield from command.all()


# Typer's own parameters: a vendored Click of which mypy is told nothing.
def read(command: Any, path: tuple[str, ...] = (), parent: Any = None) -> Command:
    """Return what `command` and its subcommands take; what the app hides is left out."""
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
    """Return an option of Typer's; the short flag first, as the help has it."""
    flags = tuple(sorted((*parameter.opts, *parameter.secondary_opts), key=len))
    takes = None if parameter.is_flag or parameter.count else _value(parameter)
    return Option(flags, _brief(parameter.help or ""), takes, bool(parameter.multiple))


def _value(parameter: Any) -> Value:
    """Return what a parameter takes, by its type or else by its metavar."""
    many = parameter.nargs == -1
    choices = tuple(map(str, getattr(parameter.type, "choices", ())))
    written = parameter.metavar or "|".join(choices) or parameter.name.upper()
    name = re.sub(r"[\[\].…]", "", written)
    if not choices and "|" in name:
        # `free|pro|DURATION`: a word to choose is written small.
        choices = tuple(word for word in name.split("|") if not word.isupper())
    if choices:
        said = SAID.get("|".join(choices), {})
        return Value(name, "choice", {word: said.get(word, "") for word in choices}, many)
    if type(parameter.type).__name__ in ("TyperPath", "Path", "File"):
        return Value("FILE", "file", many=many)
    return Value(name, KINDS.get(name, "other"), many=many)


def _brief(text: str) -> str:
    """Return the first clause, and what follows as far as it fits beside a word."""
    first = " ".join(text.strip().split("\n\n")[0].split()).removesuffix(".")
    ends = [len(first), *(found.start() for found in re.finditer(r"[.;:] ", first))]
    return first[: max((end for end in ends if end <= LONGEST), default=min(ends))]


def top_keys() -> dict[str, str]:
    """Return the config's keys, and what is said of each; headers have names of their own."""
    return {key.name: _brief(key.help) for key in keys.TOP.values() if key.name != "headers"}


def monitor_keys() -> dict[str, str]:
    """Return the keys of a monitor's section, and what is said of each."""
    return {key.name: _brief(key.help) for key in keys.MONITOR.values()}


def setting_choices() -> dict[str, tuple[str, ...]]:
    """Return the values of the keys that have few, by the key."""
    found = {}
    for key in keys.KEYS:
        if key.kind is kinds.SWITCH:
            found[key.name] = ("true", "false")
        elif key.kind is kinds.OUTPUT_MODE:
            found[key.name] = kinds.OUTPUT
    return found


def setting_files() -> list[str]:
    """Return the keys whose value is a file."""
    return [key.name for key in keys.KEYS if key.kind is kinds.PATH]
