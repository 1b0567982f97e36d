"""Generate the completion scripts for the shells from the Typer app.

    .venv/bin/python scripts/completions.py            # writes completions/
    .venv/bin/python scripts/completions.py --check    # exit 1 if they are out of date

The parts that do not depend on the app, such as parsing the command line, are in
completion/templates/. The others are read from the app by completion/commands.py.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import typer
from completion import bash, fish, zsh
from completion.commands import Command, read

from crontify_cli.cli.app import make_app

ROOT = Path(__file__).resolve().parent.parent
COMMAND = ".venv/bin/python scripts/completions.py"
SHELLS: Mapping[str, Callable[[Command], str]] = {
    "crontify.bash": bash.write,
    "_crontify": zsh.write,
    "crontify.fish": fish.write,
}


def stale(folder: Path, files: Mapping[str, str]) -> Iterable[str]:
    """Yield the names of the files in `folder` that are out of date."""
    for name, text in files.items():
        file = folder / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            yield name


def main() -> int:
    """Write or check the files; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="only report files that are out of date"
    )
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "completions")
    options = parser.parse_args()
    program = read(typer.main.get_command(make_app()))
    files = {name: write(program) for name, write in SHELLS.items()}
    if options.check:
        names = list(stale(options.folder, files))
        for name in names:
            print(f"completions/{name} is out of date: run {COMMAND}")
        return 1 if names else 0
    options.folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (options.folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
