"""Write the shells' completions from the Typer app, so that they follow every change to it.

    .venv/bin/python scripts/completions.py            # completions/
    .venv/bin/python scripts/completions.py --check    # exit 1 unless they are as they should be

What does not change with the app, the walk along a command line, is in
completion/templates/; what does is read by completion/commands.py.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import typer
from completion import bash, fish, zsh
from completion.commands import Command, read

from crontify_cli.cli.app import app

ROOT = Path(__file__).resolve().parent.parent
COMMAND = ".venv/bin/python scripts/completions.py"
SHELLS: Mapping[str, Callable[[Command], str]] = {
    "crontify.bash": bash.write,
    "_crontify": zsh.write,
    "crontify.fish": fish.write,
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
