"""`crontify completion`: the shells' completion scripts, where no installer links them."""

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
    app.command("completion", short_help="Print a shell's completion script.", epilog=epilog)(
        completion
    )


def completion(
    shell: Annotated[
        Literal["bash", "zsh", "fish"],
        typer.Argument(help="The shell to be helped.", show_default=False),
    ],
) -> None:
    """Print the script by which a shell completes crontify's command line at TAB.

    bash: into ~/.local/share/bash-completion/completions/crontify, or read
    by ~/.bashrc. zsh: into a file _crontify in a folder of $fpath. fish:
    into ~/.config/fish/completions/crontify.fish.
    """
    sys.stdout.buffer.write(script(shell))


def script(shell: str) -> bytes:
    """Return the script for `shell`, as scripts/completions.py wrote it.

    It is beside the package's modules in what is installed, and in the top of a checkout.
    Raises CrontifyError where it is in neither.
    """
    package = Path(crontify_cli.__file__).parent
    for folder in (package / "completions", package.parent / "completions"):
        file = folder / FILES[shell]
        if file.is_file():
            return file.read_bytes()
    raise CrontifyError(f"completion: {FILES[shell]} is missing from this installation")
