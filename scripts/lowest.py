"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

    .venv/bin/python scripts/lowest.py [EXTRA...] > lowest.txt
    pip install --constraint lowest.txt '.[EXTRA...]'

The bounds of the given extras are included. Exit 1 if a dependency has no lower bound.
"""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def lowest(texts: list[str], own: str) -> Iterator[str]:
    """Yield `name==version` for each requirement, except for the project itself (`own`)."""
    for requirement in map(Requirement, texts):
        if requirement.name == own:
            continue
        bounds = [each.version for each in requirement.specifier if each.operator in (">=", "==")]
        if len(bounds) != 1:
            raise SystemExit(f"{requirement}: no lower bound: write {requirement.name}>=VERSION")
        yield f"{requirement.name}=={bounds[0]}"


def main() -> int:
    """Print the constraints; return the exit code."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    extras = project["optional-dependencies"]
    texts = [*project["dependencies"], *(text for extra in sys.argv[1:] for text in extras[extra])]
    print("\n".join(lowest(texts, project["name"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
