"""Writes the completion script for fish."""

import re
from collections.abc import Mapping

from completion.commands import (
    Command,
    Option,
    Value,
    monitor_keys,
    setting_choices,
    setting_files,
    top_keys,
)
from completion.template import fill


def write(program: Command) -> str:
    """Return the script, with a `case` branch and `complete` lines for each command."""
    cases, lines = [], []
    for command in program.all():
        path = quoted(" ".join(command.path))
        cases.append(f"        case {path}")
        flags = [flag for option in command.options if option.value for flag in option.flags]
        for name, words in (
            ("commands", [each.path[-1] for each in command.commands]),
            ("arguments", [_kind(each) for each in command.arguments]),
            ("valued", flags),
        ):
            if words:
                cases.append(f"            set __crontify_{name} {' '.join(words)}")
        lines.append(f"\n# crontify {' '.join(command.path)}".rstrip())
        for each in command.commands:
            about = f"-a {each.path[-1]} -d {quoted(each.said)}"
            lines.append(f"complete -c crontify -n {_condition('descends', path)} {about}")
        for number, argument in enumerate(command.arguments, 1):
            if argument.choices:
                where = _condition("wants", path, str(number))
                lines.append(f"complete -c crontify -n {where} -x -a {_choices(argument)}")
        for option in command.options:
            lines.append(f"complete -c crontify -n {_option(path, option)}")
    return fill(
        "crontify.fish",
        cases="\n".join(cases),
        table="\n".join(lines),
        keys=_items(top_keys()),
        monitor_keys=_items(monitor_keys()),
        setting_choices="\n".join(
            f"        case {key}\n            printf '%s\\n' {' '.join(words)}"
            for key, words in setting_choices().items()
        ),
        setting_files=" ".join(setting_files()),
    )


def _option(path: str, option: Option) -> str:
    """Return the condition, flags, value and description of an option."""
    flags = [] if option.repeats else list(option.flags)
    parts = [_condition("offers", path, *flags)]
    parts += [
        f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags
    ]
    if option.value:
        takes = {"file": "-r -F", "monitor": "-x -a '(__crontify_ask monitors)'"}
        parts.append(takes.get(option.value.kind, "-x"))
        if option.value.choices:
            parts.append(f"-a {_choices(option.value)}")
    return " ".join([*parts, f"-d {quoted(option.said)}"])


def _condition(name: str, path: str, *words: str) -> str:
    """Return a condition as one quoted word."""
    return quoted(" ".join([f"__crontify_{name}", path, *words]))


def _kind(value: Value) -> str:
    """Return the kind of an argument; a plural means that there may be several."""
    return value.kind + ("s" if value.many and value.kind != "command" else "")


def _choices(value: Value) -> str:
    """Return choices with their descriptions, separated by tabs."""
    return quoted(
        " ".join(
            f"{word}\\t{quoted(said)}" if said else word for word, said in value.choices.items()
        )
    )


def _items(words: Mapping[str, str]) -> str:
    """Return the items of a list, one per line: the word and its description."""
    return " \\\n".join(f"        {word}\\t{quoted(said)}" for word, said in words.items())


def quoted(text: str) -> str:
    """Return `text` quoted for fish, if it needs quotes."""
    if re.fullmatch(r"[\w-]+", text):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
