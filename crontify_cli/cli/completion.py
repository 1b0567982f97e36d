"""`crontify completion`: prints a completion script, for shells that do not find it themselves."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

import crontify_cli
from crontify_cli.errors import CrontifyError

FILES = {"bash": "crontify.bash", "zsh": "_crontify", "fish": "crontify.fish"}


def register(app: typer.Typer) -> None:
    """Add `completion` to the app."""
    epilog = "Example: crontify completion fish > ~/.config/fish/completions/crontify.fish"
    app.command("completion", epilog=epilog)(completion)


def completion(
    shell: Annotated[
        Literal["bash", "zsh", "fish"],
        typer.Argument(help="Target shell.", show_default=False),
    ],
) -> None:
    """Print the completion script for a shell.

    bash: save it as ~/.local/share/bash-completion/completions/crontify, or source
    the output in ~/.bashrc. zsh: save it as _crontify in a directory of $fpath. fish: save it
    as ~/.config/fish/completions/crontify.fish.
    """
    # The script is inside the package if that is installed, and next to it in a checkout.
    package = Path(crontify_cli.__file__).parent
    for folder in (package / "completions", package.parent / "completions"):
        if (file := folder / FILES[shell]).is_file():
            sys.stdout.buffer.write(file.read_bytes())
            return
    raise CrontifyError(f"cannot find {FILES[shell]} in this installation; reinstall crontify-cli")
