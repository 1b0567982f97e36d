"""Generate parts of the manual pages from the app, and check the parts written by hand.

    .venv/bin/python scripts/man.py          rewrites the generated parts of man/
    .venv/bin/python scripts/man.py --check  changes nothing; exit 1 if a page is out of date

Edit the pages in man/, except for the lines between `.\\" Generated: WHAT` and the next
`.\\" End.`. WHAT is one of

    synopsis COMMAND     options COMMAND     subcommands COMMAND
    commands             settings SCOPE      environment COMMAND

Write examples as they are typed, and lines of any length: the script escapes and breaks them.
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mdoc
import typer
import uses

from crontify_cli.cli.app import make_app
from crontify_cli.config import keys, kinds
from crontify_cli.job.options import OPTIONS
from crontify_cli.values import format_duration

ROOT = Path(__file__).resolve().parent.parent
MAN = ROOT / "man"
COMMAND_LINE = ".venv/bin/python scripts/man.py"
SECTIONS = ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO")
_BLOCK = re.compile(r'^\.\\" Generated: (.+)\n((?:.*\n)*?)\.\\" End\.$', re.MULTILINE)

GROUP = typer.main.get_group(make_app())


def shown_commands(group: Any) -> dict[str, Any]:
    """Return the commands in `--help`."""
    return {name: each for name, each in group.commands.items() if not each.hidden}


def find(words: list[str]) -> Any:
    """Return the command `crontify WORDS`."""
    found: Any = GROUP
    for word in words:
        found = found.commands[word]
    return found


def options_of(command: Any) -> list[Any]:
    """Return the options in `--help`, except help itself."""
    named = [each for each in command.params if each.param_type_name == "option"]
    return [each for each in named if not each.hidden]


def arguments_of(command: Any) -> list[Any]:
    """Return the arguments, in order."""
    return [each for each in command.params if each.param_type_name == "argument"]


# The generated parts. Each function yields lines of mdoc.


def synopsis(*words: str) -> Iterator[str]:
    """All options and arguments of a command."""
    command = find(list(words))
    yield " ".join((".Nm crontify", *words))
    for option in options_of(command):
        repeats = " ..." if option.multiple or option.count else ""
        yield f".Op {mdoc.option_macros(option)}{repeats}"
    for argument in arguments_of(command):
        macros = mdoc.value(mdoc.metavar(argument)) + (" ..." if argument.nargs == -1 else "")
        if words == ("exec",) and argument.nargs == -1:
            yield r".Op Fl \-"
        yield f".{macros}" if argument.required else f".Op {macros}"


def options(*words: str) -> Iterator[str]:
    """The options of a command with help and default, under the headings of its help."""
    command = find(list(words))
    panels = dict.fromkeys(option.rich_help_panel for option in options_of(command))
    for panel in panels:
        if panel:
            yield f".Ss {panel}"
        yield ".Bl -tag -width Ds"
        for option in options_of(command):
            if option.rich_help_panel == panel:
                yield from _item(mdoc.option_macros(option), option.help, mdoc.default(option))
        yield ".El"


def _item(macros: str, words: str, default: str) -> Iterator[str]:
    yield f".It {macros}"
    yield from mdoc.prose(words if words.endswith((".", ")")) else f"{words}.")
    if default:
        yield rf"Default: {mdoc.literal(default)}."


def subcommands(*words: str) -> Iterator[str]:
    """The commands of a group with their help, arguments and options."""
    for name, command in shown_commands(find(list(words))).items():
        path = (*words, name)
        if hasattr(command, "commands"):
            yield from subcommands(*path)
            continue
        yield f".Ss crontify {' '.join(path)}"
        yield ".Bd -ragged -compact"
        yield from synopsis(*path)
        yield ".Ed"
        for paragraph in command.help.split("\n\n"):
            yield ".Pp"
            yield from mdoc.prose(paragraph)
        explained = [each for each in arguments_of(command) if each.help]
        if not explained and not options_of(command):
            continue
        yield ".Bl -tag -width Ds"
        for argument in explained:
            macros = mdoc.value(mdoc.metavar(argument))
            yield from _item(macros, argument.help, mdoc.default(argument))
        for option in options_of(command):
            yield from _item(mdoc.option_macros(option), option.help, mdoc.default(option))
        yield ".El"


def commands() -> Iterator[str]:
    """The commands and their manual pages."""
    yield ".Bl -tag -width Ds"
    for name, command in sorted(shown_commands(GROUP).items()):
        yield f".It Xr crontify-{name} 1"
        yield from mdoc.prose(command.help.split("\n\n")[0])
    yield ".El"


def settings(scope: str) -> Iterator[str]:
    """The keys of a part of the config file: "top", "both", "monitor"."""
    yield ".Bl -tag -width Ds"
    for key in keys.KEYS:
        if key.scope != scope:
            continue
        yield f".It Ic {key.name} Pq {key.kind.name}"
        yield from mdoc.prose(key.help)
        if key.scope != "monitor":  # the help says it
            yield rf"Default: {mdoc.literal(_default_of(key))}."
        if key.env:
            yield "Environment:"
            yield f".Ev {key.env} ."
        flag = f"--{key.name.replace('_', '-')}"
        if any(flag in option.flags for option in OPTIONS):
            yield "Option of"
            yield ".Xr crontify-exec 1 :"
            yield f".Fl {mdoc.hyphens(flag[1:])} ."
    yield ".El"


def _default_of(key: keys.Key) -> str:
    """Return the default in the notation of the config file."""
    if key.default is None:
        same = [option.default for option in OPTIONS if option.name == key.name]
        return (same[0] if same else "") or ("false" if key.kind is kinds.SWITCH else "none")
    if isinstance(key.default, bool):
        return str(key.default).lower()
    return format_duration(key.default) if isinstance(key.default, float) else str(key.default)


def environment(command: str = "") -> Iterator[str]:
    """The environment variables for the settings of a command; all of them without one."""
    for key in keys.KEYS:
        if key.env in uses.variables(command):
            yield f".It Ev {key.env}"
            yield from mdoc.prose(key.help)
            yield "In the file:"
            yield f".Ic {key.name} ."


_KINDS: dict[str, Callable[..., Iterator[str]]] = {
    "synopsis": synopsis,
    "options": options,
    "subcommands": subcommands,
    "commands": commands,
    "settings": settings,
    "environment": environment,
}


def rewritten(page: str) -> str:
    """Return a page with its generated parts updated."""

    def block(found: re.Match[str]) -> str:
        kind, *words = found[1].split()
        lines = "".join(f"{line}\n" for line in _KINDS[kind](*words))
        return f'.\\" Generated: {found[1]}\n{lines}.\\" End.'

    return mdoc.tidy(_BLOCK.sub(block, page))


# Checks of the parts written by hand.


def problems() -> Iterator[str]:
    """Yield what is missing on which page, and what to do."""
    wanted = {"crontify.1", "crontify.toml.5"} | {
        f"crontify-{name}.1" for name in shown_commands(GROUP)
    }
    there = {file.name for file in MAN.iterdir()}
    for name in sorted(wanted - there):
        yield f"man/{name} is missing: write it like crontify-flush.1, then run {COMMAND_LINE}"
    for name in sorted(there - wanted):
        yield f"man/{name} belongs to no command: remove it"
    for name in sorted(wanted & there):
        for line in _problems_of(name, (MAN / name).read_text()):
            yield f"man/{name}: {line}"


def _problems_of(name: str, page: str) -> Iterator[str]:
    parts = sections(page)
    command = name.removeprefix("crontify-").removesuffix(".1")
    is_command = name.startswith("crontify-")
    wanted = SECTIONS if name.endswith(".1") else ("NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO")
    for section in wanted:
        if section not in parts:
            yield f"no section {section}: write it"
    blocks = {found[1].split()[0]: found[1] for found in _BLOCK.finditer(page)}
    if is_command and not blocks.keys() & {"options", "subcommands"}:
        yield f'no line `.\\" Generated: options {command}`: add it'
    subject = command if is_command else ""
    for code in sorted(uses.exit_codes(subject)):
        if name.endswith(".1") and not re.search(rf"\b{code}\b", parts.get("EXIT STATUS", "")):
            yield f"EXIT STATUS does not explain {code}: add it"
    for variable in sorted(uses.variables(subject)):
        if name.endswith(".1") and not re.search(rf"^\.It Ev .*\b{variable}\b", page, re.M):
            yield f"ENVIRONMENT does not explain {variable}: add it"
    for other, number in re.findall(r"\bXr (crontify\S*) (\d)", page):
        if not (MAN / f"{other}.{number}").exists():
            yield f"there is no page {other}({number}): remove the reference"
    for line in mdoc.typed(page):
        for flag in _unknown_flags(line):
            yield f"an example has the unknown option {flag}: correct it: {line}"
    known = {flag for each in _every_command(GROUP) for o in each.params for flag in o.opts}
    for macro in re.findall(r"\bFl (\S+)", page):
        flag = "-" + macro.replace("\\", "")
        if flag not in known | {"--help", "-h", "--"}:
            yield f"there is no option {flag}: remove it"


def _unknown_flags(line: str) -> Iterator[str]:
    """Yield the unknown options in the command line of an example."""
    for call in re.findall(r"\bcrontify ([a-z](?:(?!\$\()[^|;])*)", line):
        words = call.split(" -- ")[0].split()
        command: Any = GROUP
        known = {"--help", "-h"}
        for word in words:
            command = getattr(command, "commands", {}).get(word, command)
            known |= {flag for param in command.params for flag in param.opts}
            letters = {f"-{letter}" for letter in word[1:]}  # -vv is -v -v
            is_known = word.partition("=")[0] in known or letters <= known
            if re.match(r"--?[a-z]", word) and not is_known:
                yield word


def _every_command(group: Any) -> Iterator[Any]:
    yield group
    for each in getattr(group, "commands", {}).values():
        yield from _every_command(each)


def sections(page: str) -> dict[str, str]:
    """Return the sections of a page by heading."""
    parts = re.split(r"^\.Sh (.+)\n", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def main() -> int:
    """Rewrite the pages, or check them with --check; return the exit code."""
    check = sys.argv[1:] == ["--check"]
    found = []
    for file in sorted(MAN.iterdir()):
        before = file.read_text()
        after = rewritten(before)
        if before != after and check:
            found.append(f"man/{file.name} is out of date: run {COMMAND_LINE}")
        elif before != after:
            file.write_text(after)
            print(f"wrote man/{file.name}")
    found += problems()
    print("\n".join(found) or "the manual pages are up to date")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
