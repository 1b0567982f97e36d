"""Writes the completion script for bash."""

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
    """Return the script, with a `case` branch for each command."""
    lines = []
    for command in program.all():
        lines.append(f"        {quoted(' '.join(command.path))})")
        for name, items in (
            ("commands", [each.path[-1] for each in command.commands]),
            ("arguments", [_value(each) for each in command.arguments]),
            ("options", [_option(each) for each in command.options]),
        ):
            if items:
                lines.append(f"            {name}=(")
                lines += [f"                {quoted(item)}" for item in items]
                lines.append("            )")
        lines.append("            ;;")
    return fill(
        "crontify.bash",
        table="\n".join(lines),
        keys=" ".join(top_keys()),
        monitor_keys=" ".join(monitor_keys()),
        setting_choices="\n".join(
            f"                {key}) _crontify_choose '' {' '.join(words)} ;;"
            for key, words in setting_choices().items()
        ),
        setting_files=" | ".join(setting_files()),
    )


def _option(option: Option) -> str:
    """Return `-q,--quiet`, `--meta+ other` or `--overlap choice allow skip wait`."""
    flags = ",".join(option.flags) + ("+" if option.repeats else "")
    return f"{flags} {_value(option.value)}" if option.value else flags


def _value(value: Value) -> str:
    """Return the kind of a value and its choices."""
    return " ".join([value.kind + ("+" if value.many else ""), *value.choices])
