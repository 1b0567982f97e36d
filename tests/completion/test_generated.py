"""The completions follow the app: what scripts/completions.py writes, and that it is current."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from crontify_cli.cli.app import make_app
from crontify_cli.job.options import OPTIONS
from tests.completion.terminal import ROOT
from tests.conftest import Crontify

SCRIPT = ROOT / "scripts/completions.py"
FILES = ("crontify.bash", "_crontify", "crontify.fish")

_WITH_CHANGE = """\
import runpy, sys
{change}
sys.argv = ["completions.py", *sys.argv[1:]]
sys.path.insert(0, {folder!r})
runpy.run_path({script!r}, run_name="__main__")
"""
_ONE_MORE_OPTION = """\
from crontify_cli.job import options
options.PANELS["Settings"] += (options.Option("--brand-new", "A new one."),)
"""
_ONE_MORE_COMMAND = """\
from crontify_cli.cli import flush
def brand_new(): "A new one."
flush.register = lambda app: app.command()(brand_new)
"""
_OTHER_HELP = """\
from crontify_cli.job import options
options.BY_FLAG["--shell"].help = "--brand-new words."
"""


def generate(*args: str, change: str = "") -> "subprocess.CompletedProcess[str]":
    program = _WITH_CHANGE.format(change=change, script=str(SCRIPT), folder=str(SCRIPT.parent))
    return subprocess.run(
        [sys.executable, "-c", program, *args], capture_output=True, text=True, check=False
    )


def test_the_completions_fit_the_commands() -> None:
    done = generate("--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "change",
    [_ONE_MORE_OPTION, _ONE_MORE_COMMAND, _OTHER_HELP],
    ids=["option", "command", "help"],
)
def test_a_change_without_its_completions_is_named_with_the_command_to_run(change: str) -> None:
    done = generate("--check", change=change)
    assert done.returncode == 1, done.stderr
    command = ".venv/bin/python scripts/completions.py"
    for name in ("_crontify", "crontify.fish") if change == _OTHER_HELP else FILES:
        assert f"completions/{name} is out of date: run {command}" in (done.stdout)
    assert command in (ROOT / "CONTRIBUTING.md").read_text()


@pytest.mark.parametrize("change", [_ONE_MORE_OPTION, _ONE_MORE_COMMAND], ids=["option", "command"])
def test_the_command_brings_the_change_in(change: str, tmp_path: Path) -> None:
    assert generate(str(tmp_path), change=change).returncode == 0
    assert generate("--check", str(tmp_path), change=change).stdout == ""
    for name in FILES:
        assert "brand-new" in (tmp_path / name).read_text()


def test_what_is_said_of_choices_is_of_choices_that_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    commands = importlib.import_module("completion.commands")
    choices = {
        "|".join(value.choices)
        for command in commands.read(typer.main.get_command(make_app())).all()
        for value in (*command.arguments, *(option.value for option in command.options))
        if value
    }
    assert set(commands.SAID) <= choices
    for option in OPTIONS:
        assert set(commands.SAID.get("|".join(option.choices), ())) == {*option.choices}


@pytest.mark.parametrize(
    ("shell", "name"), [("bash", "crontify.bash"), ("zsh", "_crontify"), ("fish", "crontify.fish")]
)
def test_completion_prints_the_script(shell: str, name: str, crontify: Crontify) -> None:
    done = crontify("completion", shell)
    assert done.stdout == (ROOT / "completions" / name).read_text()


def test_completion_wants_a_shell_that_it_knows(crontify: Crontify) -> None:
    for words in ([], ["tcsh"]):
        done = crontify("completion", *words)
        assert done.returncode == 2
        assert "bash" in done.stderr
        assert "zsh" in done.stderr


def test_typers_own_completion_is_gone(crontify: Crontify) -> None:
    """It would start Python, and load all of the program, at every TAB."""
    assert "-completion" not in crontify("--help").stdout
    assert crontify("--show-completion").returncode == 2
    assert crontify("--install-completion").returncode == 2
