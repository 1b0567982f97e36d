"""Writes the completion script for zsh."""

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
from completion.template import fill, quoted


def write(program: Command) -> str:
    """Return the script, with a function for each command."""
    functions = []
    for command in program.all():
        specs = [spec for option in command.options for spec in _specs(option)]
        body, call = [], []
        if command.commands:
            described = [f"{each.path[-1]}:{each.said}" for each in command.commands]
            if not command.path:
                described.append("help:Show a command's help")
            body = ["  local -a below=(", *(f"    {quoted(each)}" for each in described), "  )"]
            specs += [quoted("(-)1: :->command"), quoted("(-)*:: :->words")]
            call = ["  _crontify_descend"]
        for number, argument in enumerate(command.arguments, 1):
            spec = _argument(number, argument)
            if argument.kind == "command":
                valued = [flag for each in command.options if each.value for flag in each.flags]
                body = [
                    f"  local -a job valued=({' '.join(valued)})",
                    f"  _crontify_begun && job=({spec})",
                ]
                spec = "$job"
            specs.append(spec)
        options = ["  _arguments -C -s -S : \\", *(f"    {spec} \\" for spec in specs)]
        options[-1] = options[-1].removesuffix(" \\")
        name = "_".join(("_crontify", "at", *command.path))
        functions.append("\n".join([f"{name}() {{", *body, *options, *call, "}"]))
    return fill(
        "_crontify",
        table="\n\n".join(functions),
        keys=_items(top_keys()),
        monitor_keys=_items(monitor_keys()),
        setting_choices="\n".join(
            f"    {key}) _values value {' '.join(words)} ;;"
            for key, words in setting_choices().items()
        ),
        setting_files="|".join(setting_files()),
    )


def _items(words: Mapping[str, str]) -> str:
    """Return the items of an array, one per line."""
    return "\n".join(f"    {quoted(f'{word}:{said}')}" for word, said in words.items())


def _specs(option: Option) -> list[str]:
    """Return the specs of an option: one for each flag, and each excludes the others."""
    takes = f":{_value(option.value)}" if option.value else ""
    said = re.sub(r"([\\\]\[:])", r"\\\1", option.said)
    specs = []
    for flag in option.flags:
        excluded = "- : *" if "--help" in option.flags else " ".join(option.flags)
        front = "*" if option.repeats else f"({excluded})"
        equals = ("=" if flag.startswith("--") else "+") if option.value else ""
        specs.append(quoted(f"{front}{flag}{equals}[{said}]{takes}"))
    return specs


def _argument(number: int, value: Value) -> str:
    """Return the spec of an argument; after a COMMAND no options are ours."""
    if value.kind == "command":
        return quoted(f"(-)*:::{value.metavar}:_crontify_command")
    return quoted(f"{'*' if value.many else number}:{_value(value)}")


def _value(value: Value) -> str:
    """Return the message and the action of a value."""
    action = {"file": "_files", "other": " "}.get(value.kind, f"_crontify_{value.kind}s")
    if value.choices:
        words = (f'{word}\\:"{said}"' if said else word for word, said in value.choices.items())
        action = f"(({' '.join(words)}))"
    return f"{value.metavar}:{action}"
