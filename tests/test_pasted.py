"""Every example of the manual and of the README works when it is pasted into a shell.

Crontab lines are run by a real cron, and units are checked by systemd-analyze.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pasted import Example, Result, examples_of_markdown, examples_of_page
from tests.programs import need

ROOT = Path(__file__).resolve().parent.parent

ELSEWHERE = {
    r"python3 -m venv": ".ci/run installs it so",
    r"crontify demo": "tests/test_demo.py runs it",
    r"crontify sandbox serve": "the machine of these examples has one running",
    r"crontify systemd ": "tests/systemd has units to wrap",
    r"crontify_last_\w+_seconds|\$labels": "rules for Prometheus; we have no server",
    r"apiVersion:": "test_man.py checks it; we have no cluster",
    r"cat > ~/.config/crontify/api-key": "what is then typed is no example",
    r"crontab wrap(?!.*--(yes|dry-run))": "asks at a terminal",
    r"api_key_file = |\[monitors\.|api_key_command = ": "a config, which test_man.py checks",
}
"""Examples that are not pasted, by a pattern, and why."""

CODES = {
    "crontify status": (0, 1),  # the last run of a monitor has failed
    "crontify queue retry": (0, 75),  # the reports are for a server that is down
    "crontify flush --refused": (0, 75),
    "doctor": (0, 1),
    "crontify crontab check": (0, 1),  # it finds something
    "crontify crontab wrap --dry-run": (0, 1),  # as diff(1), it says that there is a difference
}
"""Exit codes, by the beginning of the example; the others have to succeed."""


def rendered(page: Path) -> str:
    """Return a page as a reader sees it on a terminal."""
    shown = subprocess.run(
        ["mandoc", "-T", "utf8", "-O", "width=78", str(page)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return re.sub(".\b", "", shown)


def is_pasted(example: Example) -> bool:
    return not any(re.search(pattern, example.text) for pattern in ELSEWHERE)


def expected(text: str) -> tuple[int, ...]:
    return next((codes for words, codes in CODES.items() if words in text), (0,))


@pytest.mark.xdist_group("cron")
def test_every_example_can_be_pasted(tmp_path: Path, home: Path) -> None:
    need("mandoc", "cron", "systemd-analyze", "jq", "zsh", "unshare", "ip")
    if os.geteuid() != 0:
        pytest.skip("needs root, for a machine of its own")
    if subprocess.run(["unshare", "--mount", "--net", "true"], check=False).returncode:
        pytest.skip("needs namespaces, which this container does not allow")
    found = examples_of_markdown((ROOT / "README.md").read_text())
    for page in sorted((ROOT / "man").glob("*.1")):
        found += examples_of_page(rendered(page))
    examples = [example for example in dict.fromkeys(found) if is_pasted(example)]
    assert {example.kind for example in examples} == {"shell", "crontab", "unit"}
    assert len(examples) > 40
    namespaces = ["--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]
    done = subprocess.run(
        ["unshare", *namespaces, sys.executable, "-m", "tests.pasted", str(tmp_path)],
        input=json.dumps(examples),
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        check=False,
    )
    print(done.stderr)  # how long each took
    assert done.returncode == 0
    results = [Result(*each) for each in json.loads((tmp_path / "results.json").read_text())]
    assert len(results) == len(examples)
    wrong = [result for result in results if result.code not in expected(result.text)]
    assert not wrong, "\n\n".join(
        f"{each.text}\n=> {each.code}\n{each.output[-700:]}" for each in wrong
    )


def test_examples_are_told_apart() -> None:
    text = """\
In a crontab:

    # Every night.
    PATH=/opt/crontify/bin:/bin
    0 3 * * *  crontify exec backup -- /srv/backup.sh

    @reboot  crontify flush

Two units:

    # /etc/systemd/system/a.service
    [Service]
    ExecStart=/bin/true

    # /etc/systemd/system/a.timer
    [Timer]
    OnCalendar=daily

In a shell:

    if true; then
        crontify runs
    fi
"""
    kinds = [(each.kind, each.text.splitlines()[0]) for each in examples_of_markdown(text)]
    assert kinds == [
        ("crontab", "# Every night."),
        ("unit", "# /etc/systemd/system/a.service"),
        ("unit", "# /etc/systemd/system/a.timer"),
        ("shell", "if true; then"),
    ]
