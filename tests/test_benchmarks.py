"""The figures in the README and in docs/benchmarks.md are those of one measurement."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def rows(file: str) -> dict[str, list[str]]:
    """Return the cells of the generated table by the name of the program, without ratios."""
    text = (ROOT / file).read_text()
    _, begin, rest = text.partition("<!-- Written by benchmarks/table.py: -->\n")
    written, end, _ = rest.partition("<!-- End. -->\n")
    assert begin, file
    assert end, file
    lines = [line.strip("|").split("|") for line in written.splitlines() if line[:1] == "|"]
    cells = [[re.sub(r", [0-9.]+ ×$", "", cell.strip()) for cell in line] for line in lines]
    return {name: rest for name, *rest in cells}


def test_the_readme_has_the_rows_of_the_whole_table() -> None:
    whole, short = rows("docs/benchmarks.md"), rows("README.md")
    others = {"the job alone", "chronic", "shell script with curl", "sentry-cli"}
    assert {"**crontify exec**", *others} <= set(short)
    assert short.items() <= whole.items()
    assert all(len(cells) == len(whole[""]) for cells in whole.values())
