"""A TAB in the real shells runs nothing, whatever the journal and the config file contain."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.completion.journal import write_run
from tests.completion.terminal import BASH_COMPLETION, NAMES, Terminal
from tests.programs import need

UNIQUE = "zz$(touch x)`touch x`"
COMMANDS = [
    *("~(touch x)", "$(touch x)", "`touch x`", "(touch x)", "<(touch x)", "{a,$(touch x)}"),
    *('";touch x;"', "';touch x;'", ";touch x", "|touch x", "&touch x", "$'\\x60touch x\\x60'"),
    *(
        "~/$(touch x)",
        "a b",
        "a\nb",
        "*",
        "?",
        "[a-z]*",
        "%s%n",
        "$HOME",
        "\\$(touch x)",
        "é(touch x)",
    ),
    UNIQUE,
    *("good(touch x)", "good$(touch x)", "good`touch x`", "good;touch x"),
]
BEGINNINGS = {
    "exec \tX": None,
    "exec \\~\tX": None,
    "exec '\tX'": None,
    "logs good \tX": None,
    "runs \tX": None,
    "config set monitors.\tX": None,
    "exec zz\tX": ["exec", "zzX"],
    "exec 'zz\tX'": ["exec", "zzX"],
    'exec "zz\tX"': ["exec", "zzX"],
    "logs good zz\tX": ["logs", "good", "zzX"],
    'logs good "zz\tX"': ["logs", "good", "zzX"],
    "config set monitors.zz\tX": ["config", "set", "monitors.zzX"],
    "exec goo\tX": ["exec", "good", "X"],
}
"""What is typed, and the words that crontify gets; None if that depends on the shell."""
STUB = """\
#!/bin/sh
[ "$1" = __complete ] && exec cat {folder}/offered
for word; do printf '%s\\0' "$word"; done > {folder}/part
mv {folder}/part {folder}/words
"""


@pytest.fixture(params=NAMES)
def terminal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Terminal]:
    need("tmux", request.param, *([BASH_COMPLETION] if request.param == "bash" else []))
    shell = Terminal(request.param, tmp_path / "terminal")
    yield shell
    shell.close()


def press_tab_everywhere(terminal: Terminal) -> None:
    """Press TAB after every beginning, then Enter, and look whether anything ran."""
    for typed, wanted in BEGINNINGS.items():
        words = terminal.words(f"crontify {typed}")
        assert wanted in (None, words), typed
        assert not any("touch" in word for word in words), typed
    assert not [path for path in terminal.folder.rglob("x") if path.is_file()]


def test_hostile_aliases_and_runs_are_not_offered(terminal: Terminal) -> None:
    config = terminal.home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    literal = [word for word in COMMANDS if "'" not in word and "\n" not in word]
    lines = [f"[monitors.'{word}']" for word in literal]
    config.write_text("\n".join(["[monitors.good]", "[monitors.gulp]", *lines]) + "\n")
    state = terminal.home / ".local/state/crontify"
    for number, word in enumerate(("good", "gulp", *COMMANDS)):
        write_run(state, f"{number:012x}", word, 1_790_000_000.0 + number, "success")
    for number in range(len(COMMANDS)):
        write_run(state, f"a{number:011x}", "good", 1_790_001_000.0 + number, "success")
    with sqlite3.connect(state / "journal.db") as journal:
        for number, word in enumerate(COMMANDS):
            journal.execute(
                "UPDATE runs SET id = ?, outcome = ? WHERE id = ?",
                (word, word, f"a{number:011x}"),
            )
    journal.close()
    terminal.start()
    press_tab_everywhere(terminal)


def test_the_shells_own_part_does_not_trust_what_it_is_told(terminal: Terminal) -> None:
    words = "".join(f"{word}\t{word}\n" for word in ("good", "gulp", *COMMANDS))
    (terminal.folder / "offered").write_text(words)
    terminal.executable("crontify", STUB.format(folder=terminal.folder))
    terminal.start()
    press_tab_everywhere(terminal)
