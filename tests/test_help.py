"""`--help` of every command: a screenful, with an example, its options in panels."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from crontify_cli.cli import help as help_page
from crontify_cli.cli.app import COMMANDS, DESCRIPTIONS, make_app
from crontify_cli.job import options
from tests.conftest import Crontify
from tests.screen import screen

ROWS = 24
MORE_ROWS = {(): 34, ("exec",): 56, ("runs",): 28}
"""For those with more to list than fits a small screen."""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from commands(inner, (*path, name))


ALL = list(commands(typer.main.get_group(make_app())))


def shown(path: tuple[str, ...], *, framed: bool = True) -> str:
    """Return what `crontify PATH --help` prints, without a process for each."""
    command: Any = typer.main.get_group(make_app())
    context = typer.Context(command, info_name="crontify")
    for name in path:
        command = command.commands[name]
        context = typer.Context(command, parent=context, info_name=name)
    return help_page.text(command, context, framed=framed)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_it_fits_a_screen_and_has_an_example(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = shown(path).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= MORE_ROWS.get(path, ROWS)
    last_panel = max(at for at, line in enumerate(lines) if line.startswith("╰"))
    assert "crontify " in "".join(lines[last_panel + 1 :])
    assert lines[0].startswith(f"Usage: {' '.join(('crontify', *path))} [OPTIONS]")
    assert any(line.startswith("╭─ ") for line in lines)
    assert sum("-h, --help" in line for line in lines) == 1
    for odd in ("<str>", "_monitor", "RANGE", "default: ("):
        assert odd not in "\n".join(lines)


def test_the_list_of_commands_says_of_each_what_it_says_of_itself() -> None:
    group: Any = typer.main.get_group(make_app())
    found = {name: help_page.short(command) for name, command in group.commands.items()}
    assert found == DESCRIPTIONS
    assert set(COMMANDS) == set(DESCRIPTIONS)


def test_every_option_and_every_command_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = shown(("exec",))
    for panel, rows in options.PANELS.items():
        assert f"─ {panel} ─" in text
        assert all(option.flags[-1] in text for option in rows)
    root = shown(())
    assert all(f"│ {path[0]} " in root for path in ALL if len(path) == 1)


def test_the_real_program_shows_it_on_a_terminal_of_any_width_and_in_a_pipe(
    crontify: Crontify, monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns in (40, 80, 140):
        lines = screen(["exec", "--help"], columns, {"NO_COLOR": "1"}).splitlines()
        assert max(map(len, lines[:-1])) <= columns  # the example is to be copied
    assert "\x1b[" in screen(["exec", "--help"], 80)
    monkeypatch.setenv("COLUMNS", "80")
    piped = crontify("exec", "--help").stdout
    assert piped.rstrip("\n") == shown(("exec",), framed=False).rstrip("\n")
    assert piped.isascii()
    assert "\nSettings:\n  " in piped
    for env in ({"LC_ALL": "C"}, {"TERM": "dumb"}):
        assert screen(["--help"], env={"NO_COLOR": "1", **env}).isascii()


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_in_a_narrow_window_no_word_is_split(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for framed in (True, False):
        texts = []
        for columns in (100, 40):
            monkeypatch.setenv("COLUMNS", str(columns))
            texts.append(shown(path, framed=framed))
        wide, narrow = (set(text.split()) for text in texts)
        assert {word for word in wide if len(word) <= 24 and word.strip("─")} <= narrow


def modules(*command: str) -> int:
    """Return how many modules a Python process loads."""
    words = [sys.executable, "-X", "importtime", *command]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stderr.count("import time:")


def test_the_help_of_a_command_loads_little_more_than_typer() -> None:
    """A count, and no time, which a busy machine would change: benchmarks/help.py measures."""
    typer_alone = modules("-c", "import typer")
    for path in ALL:
        if len(path) < 2:
            loaded = modules("-m", "crontify_cli", *path, "--help")
            assert loaded <= (2 if path else 1.25) * typer_alone, path
