"""Write the shells' completions from the Typer app, so that they follow every change to it.

    .venv/bin/python scripts/completions.py            # completions/
    .venv/bin/python scripts/completions.py --check    # exit 1 unless they are as they should be

What does not change with the app, the walk along a command line, is in `templates/`;
here is what does: which commands, options and values there are.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import typer

from crontify_cli.cli.app import app
from crontify_cli.config import table

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = Path(__file__).resolve().parent / "templates"
COMMAND = ".venv/bin/python scripts/completions.py"

KINDS = {"FILE": "file", "MONITOR": "monitor", "RUN": "run", "COMMAND": "command", "KEY": "key"}
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
        brief(command.help or ""),
        tuple(option(each) for each in parameters if each.param_type_name == "option"),
        tuple(value(each) for each in parameters if each.param_type_name == "argument"),
        tuple(
            read(each, (*path, name), context) for name, each in inner.items() if not each.hidden
        ),
    )


def option(parameter: Any) -> Option:
    """Return an option of Typer's; the short flag first, as the help has it."""
    flags = tuple(sorted((*parameter.opts, *parameter.secondary_opts), key=len))
    takes = None if parameter.is_flag or parameter.count else value(parameter)
    return Option(flags, brief(parameter.help or ""), takes, bool(parameter.multiple))


def value(parameter: Any) -> Value:
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


def brief(text: str) -> str:
    """Return the first clause, and what follows as far as it fits beside a word."""
    first = " ".join(text.strip().split("\n\n")[0].split()).removesuffix(".")
    ends = [len(first), *(found.start() for found in re.finditer(r"[.;:] ", first))]
    return first[: max((end for end in ends if end <= LONGEST), default=min(ends))]


def top_keys() -> dict[str, str]:
    """Return the config's keys, and what is said of each; headers have names of their own."""
    return {key.name: brief(key.help) for key in table.TOP.values() if key.name != "headers"}


def monitor_keys() -> dict[str, str]:
    """Return the keys of a monitor's section, and what is said of each."""
    return {key.name: brief(key.help) for key in table.MONITOR.values()}


def quoted(text: str) -> str:
    """Return `text` in single quotes, as bash and zsh read them."""
    return "'" + text.replace("'", "'\\''") + "'"


def bash(program: Command) -> str:
    """Return the table of bash's completion: a case for each command."""
    lines = []
    for command in program.all():
        lines.append(f"        {quoted(' '.join(command.path))})")
        for name, items in (
            ("commands", [each.path[-1] for each in command.commands]),
            ("arguments", [bash_value(each) for each in command.arguments]),
            ("options", [bash_option(each) for each in command.options]),
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
    )


def bash_option(option: Option) -> str:
    """Return `-q,--quiet`, `--meta+ other` or `--overlap choice allow skip wait`."""
    flags = ",".join(option.flags) + ("+" if option.repeats else "")
    return f"{flags} {bash_value(option.value)}" if option.value else flags


def bash_value(value: Value) -> str:
    """Return a kind and its choices."""
    return " ".join([value.kind + ("+" if value.many else ""), *value.choices])


def zsh(program: Command) -> str:
    """Return zsh's completion: a function for each command."""
    functions = []
    for command in program.all():
        specs = [spec for option in command.options for spec in zsh_options(option)]
        body, call = [], []
        if command.commands:
            described = [f"{each.path[-1]}:{each.said}" for each in command.commands]
            if not command.path:
                described.append("help:Show a command's help")
            body = ["  local -a below=(", *(f"    {quoted(each)}" for each in described), "  )"]
            specs += [quoted("(-)1: :->command"), quoted("(-)*:: :->words")]
            call = ["  _crontify_descend"]
        for number, argument in enumerate(command.arguments, 1):
            spec = zsh_argument(number, argument)
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
        keys=zsh_list(top_keys()),
        monitor_keys=zsh_list(monitor_keys()),
    )


def zsh_list(words: Mapping[str, str]) -> str:
    """Return an array's items, a line each."""
    return "\n".join(f"    {quoted(f'{word}:{said}')}" for word, said in words.items())


def zsh_options(option: Option) -> list[str]:
    """Return an option's specs: one for each flag, of which any excludes all."""
    takes = f":{zsh_value(option.value)}" if option.value else ""
    said = re.sub(r"([\\\]\[:])", r"\\\1", option.said)
    specs = []
    for flag in option.flags:
        excluded = "- : *" if "--help" in option.flags else " ".join(option.flags)
        front = "*" if option.repeats else f"({excluded})"
        equals = ("=" if flag.startswith("--") else "+") if option.value else ""
        specs.append(quoted(f"{front}{flag}{equals}[{said}]{takes}"))
    return specs


def zsh_argument(number: int, value: Value) -> str:
    """Return a positional's spec; of a command's words none is ours any more."""
    if value.kind == "command":
        return quoted(f"(-)*:::{value.metavar}:_crontify_command")
    return quoted(f"{'*' if value.many else number}:{zsh_value(value)}")


def zsh_value(value: Value) -> str:
    """Return a message and an action."""
    action = {"file": "_files", "other": " "}.get(value.kind, f"_crontify_{value.kind}s")
    if value.choices:
        words = (f'{word}\\:"{said}"' if said else word for word, said in value.choices.items())
        action = f"(({' '.join(words)}))"
    return f"{value.metavar}:{action}"


def fish(program: Command) -> str:
    """Return fish's completion: a case for the walk and `complete` lines for each command."""
    cases, lines = [], []
    for command in program.all():
        path = fish_quoted(" ".join(command.path))
        cases.append(f"        case {path}")
        flags = [flag for option in command.options if option.value for flag in option.flags]
        for name, words in (
            ("commands", [each.path[-1] for each in command.commands]),
            ("arguments", [fish_kind(each) for each in command.arguments]),
            ("valued", flags),
        ):
            if words:
                cases.append(f"            set __crontify_{name} {' '.join(words)}")
        lines.append(f"\n# crontify {' '.join(command.path)}".rstrip())
        for each in command.commands:
            about = f"-a {each.path[-1]} -d {fish_quoted(each.said)}"
            lines.append(f"complete -c crontify -n {fish_if('descends', path)} {about}")
        for number, argument in enumerate(command.arguments, 1):
            if argument.choices:
                where = fish_if("wants", path, str(number))
                lines.append(f"complete -c crontify -n {where} -x -a {fish_choices(argument)}")
        for option in command.options:
            lines.append(f"complete -c crontify -n {fish_option(path, option)}")
    return fill(
        "crontify.fish",
        cases="\n".join(cases),
        table="\n".join(lines),
        keys=fish_list(top_keys()),
        monitor_keys=fish_list(monitor_keys()),
    )


def fish_option(path: str, option: Option) -> str:
    """Return an option's condition, flags, value and description."""
    flags = [] if option.repeats else list(option.flags)
    parts = [fish_if("offers", path, *flags)]
    parts += [
        f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags
    ]
    if option.value:
        takes = {"file": "-r -F", "monitor": "-x -a '(__crontify_ask monitors)'"}
        parts.append(takes.get(option.value.kind, "-x"))
        if option.value.choices:
            parts.append(f"-a {fish_choices(option.value)}")
    return " ".join([*parts, f"-d {fish_quoted(option.said)}"])


def fish_if(name: str, path: str, *words: str) -> str:
    """Return a condition, quoted once more."""
    return fish_quoted(" ".join([f"__crontify_{name}", path, *words]))


def fish_kind(value: Value) -> str:
    """Return an argument's kind as the walk knows it."""
    return value.kind + ("s" if value.many and value.kind != "command" else "")


def fish_choices(value: Value) -> str:
    """Return choices with their descriptions: a tab between, a space or a line end after."""
    return fish_quoted(
        " ".join(
            f"{word}\\t{fish_quoted(said)}" if said else word
            for word, said in value.choices.items()
        )
    )


def fish_list(words: Mapping[str, str]) -> str:
    """Return a list's items, a line each: the word and what is said of it."""
    return " \\\n".join(f"        {word}\\t{fish_quoted(said)}" for word, said in words.items())


def fish_quoted(text: str) -> str:
    """Return `text` in single quotes, as fish reads them; a bare word as it is."""
    if re.fullmatch(r"[\w-]+", text):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fill(name: str, **parts: str) -> str:
    """Return a template with its `@PART@` lines replaced."""
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    for part, words in parts.items():
        text = text.replace(f"@{part.upper()}@", words)
    return text


SHELLS: Mapping[str, Callable[[Command], str]] = {
    "crontify.bash": bash,
    "_crontify": zsh,
    "crontify.fish": fish,
}


def stale(folder: Path, files: Mapping[str, str]) -> Iterable[str]:
    """Yield the names of the files in `folder` that are not as they should be."""
    for name, text in files.items():
        file = folder / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            yield name


def main() -> int:
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, say what is stale")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "completions")
    options = parser.parse_args()
    program = read(typer.main.get_command(app))
    files = {name: write(program) for name, write in SHELLS.items()}
    if options.check:
        names = list(stale(options.folder, files))
        for name in names:
            print(f"completions/{name} does not fit the commands any more: run {COMMAND}")
        return 1 if names else 0
    options.folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (options.folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
