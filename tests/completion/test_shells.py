"""TAB in the real shells: what crontify gets when the line is entered, and what is listed."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.completion.journal import write_run
from tests.completion.terminal import BASH_COMPLETION, NAMES, Terminal
from tests.programs import PROGRAM, need

NOON = 1_790_000_000.0
CONFIG = """\
[monitors.backup]
[monitors."db.example"]
[monitors."~root"]
[monitors."x~y"]
[monitors."-dashed"]
"""
TYPED = shlex.join(PROGRAM)
# A job with a completion of its own.
JOB = {
    "bash": "complete -W 'alpha beta' gizmo-one\n",
    "zsh": "compdef '_values word alpha beta' gizmo-one\n",
    "fish": "complete -c gizmo-one -x -a 'alpha beta'\n",
}
SOURCED = {
    "bash": f"""\
source <({TYPED} completion bash)
COMP_WORDBREAKS=${{COMP_WORDBREAKS//=/}}
set -u
""",
    "zsh": f'eval "$({TYPED} completion zsh)"\n',
    "fish": f"{TYPED} completion fish | source\n",
}


def furnish(terminal: Terminal) -> None:
    """Put monitors, runs, files and programs where a TAB may find them."""
    config = terminal.home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG)
    state = terminal.home / ".local/state/crontify"
    write_run(state, "aaaaaaaaaaaa", "backup", NOON, "success")
    write_run(state, "abbbbbbbbbbb", "backup", NOON + 60, "fail")
    write_run(state, "cccccccccccc", "nightly", NOON + 120, "lost")
    write_run(state, "dddddddddddd", "old-job", NOON + 180, "fail", is_queued=True)
    (terminal.cwd / "file one.txt").touch()
    (terminal.cwd / "mine.toml").write_text("[monitors.other]\n")
    for name in ("gizmo-one", "gizmo-two"):
        terminal.executable(name, "#!/bin/sh\n")
    for name in ("python", "python3"):
        terminal.executable(name, f"#!/bin/sh\ntouch {terminal.folder}/python-ran\nexit 1\n")
    (terminal.home / "crontify").symlink_to(terminal.bin / "crontify")


@pytest.fixture(scope="module", params=NAMES)
def terminal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Terminal]:
    """A shell that finds our completion where an installer puts it."""
    need("tmux", request.param, *([BASH_COMPLETION] if request.param == "bash" else []))
    shell = Terminal(request.param, tmp_path_factory.mktemp(request.param), JOB[request.param])
    furnish(shell)
    shell.start()
    yield shell
    shell.close()


STATIC = {
    "ex\tX": ["exec", "X"],
    "exec backup --over\t skip X": ["exec", "backup", "--overlap", "skip", "X"],
    "exec --overlap s\tX": ["exec", "--overlap", "skip", "X"],
    "exec --overlap=s\tX": ["exec", "--overlap=skip", "X"],
    "exec backup --overlap w\tX": ["exec", "backup", "--overlap", "wait", "X"],
    "exec --output on-\tX": ["exec", "--output", "on-failure", "X"],
    # No value that anybody could guess, and no file either.
    "exec --timeout \tX": ["exec", "--timeout", "X"],
    "exec --timeout fi\tX": ["exec", "--timeout", "fiX"],
    "exec backup --meta rows=\tX": ["exec", "backup", "--meta", "rows=X"],
    "exec --config mi\tX": ["exec", "--config", "mine.toml", "X"],
    "exec --api-key-file fi\tX": ["exec", "--api-key-file", "file one.txt", "X"],
    "--config mi\tX": ["--config", "mine.toml", "X"],
    "ping fail backup --log fi\tX": ["ping", "fail", "backup", "--log", "file one.txt", "X"],
    "ping su\tX": ["ping", "success", "X"],
    # Once is enough, but for what may be repeated.
    "exec -q backup --qui\tX": ["exec", "-q", "backup", "--quiX"],
    "exec --no-log backup --no-l\tX": ["exec", "--no-log", "backup", "--no-lX"],
    "exec --redact a backup --reda\t b X": [
        "exec",
        "--redact",
        "a",
        "backup",
        "--redact",
        "b",
        "X",
    ],
    "config se\tX": ["config", "set", "X"],
    "config set keep_r\tX": ["config", "set", "keep_runs", "X"],
    "config set monitors.a.output on-\tX": [
        *("config", "set", "monitors.a.output", "on-failure", "X"),
    ],
    "config set no_log t\tX": ["config", "set", "no_log", "true", "X"],
    "config set token_file fi\tX": ["config", "set", "token_file", "file one.txt", "X"],
    "config set keep_runs fi\tX": ["config", "set", "keep_runs", "fiX"],
    "sandbox mon\tad\tX": ["sandbox", "monitor", "add", "X"],
    "sandbox runs --status over\tX": ["sandbox", "runs", "--status", "overlapped", "X"],
    "help con\tuns\tX": ["help", "config", "unset", "X"],
    "completion fi\tX": ["completion", "fish", "X"],
    # The job's words are the shell's own affair, with a -- before them or not.
    "exec backup -- gizmo-o\tX": ["exec", "backup", "--", "gizmo-one", "X"],
    "exec backup -q gizmo-o\tX": ["exec", "backup", "-q", "gizmo-one", "X"],
    "exec -- backup -- gizmo-o\tX": ["exec", "--", "backup", "--", "gizmo-one", "X"],
    "exec backup -- gizmo-one al\tX": ["exec", "backup", "--", "gizmo-one", "alpha", "X"],
    "exec backup gizmo-one al\tX": ["exec", "backup", "gizmo-one", "alpha", "X"],
    "exec backup -- cat fi\tX": ["exec", "backup", "--", "cat", "file one.txt", "X"],
    "exec --meta a=1 backup -- cat fi\tX": [
        *("exec", "--meta", "a=1", "backup", "--", "cat", "file one.txt", "X"),
    ],
    "exec backup -- gizmo-two --overl\tX": ["exec", "backup", "--", "gizmo-two", "--overlX"],
    "exec backup gizmo-two --overl\tX": ["exec", "backup", "gizmo-two", "--overlX"],
}


def test_without_monitors_and_runs_a_tab_starts_no_python(terminal: Terminal) -> None:
    """As many lines in one test, since the last word is the same of all: nothing was started."""
    for name in ("asked", "python-ran"):
        (terminal.folder / name).unlink(missing_ok=True)
    for typed, words in STATIC.items():
        assert terminal.words(f"crontify {typed}") == words, typed
    assert not (terminal.folder / "asked").exists()
    assert not (terminal.folder / "python-ran").exists()


DYNAMIC = [
    ("exec ba\tX", "exec|backup|X", "monitors"),
    ("exec --overlap skip ba\tX", "exec|--overlap|skip|backup|X", "monitors"),
    ("runs db\tX", "runs|db.example|X", "monitors"),
    ("ping fail ba\tX", "ping|fail|backup|X", "monitors"),
    ("logs backup ab\tX", "logs|backup|abbbbbbbbbbb|X", "runs backup"),
    ("logs --raw nightly \tX", "logs|--raw|nightly|cccccccccccc|X", "runs nightly"),
    ("queue discard old\tX", "queue|discard|old-job|X", "reports"),
    ("queue retry backup dd\tX", "queue|retry|backup|dddddddddddd|X", "reports"),
    ("show ab\tX", "show|abbbbbbbbbbb|X", "runs"),
    ("runs backup db\tX", "runs|backup|db.example|X", "monitors"),
    ("config set monitors.backup.time\tX", "config|set|monitors.backup.timeout|X", "monitors"),
    ("--config mine.toml exec ot\tX", "--config|mine.toml|exec|other|X", "monitors"),
    ("exec --config=mine.toml ot\tX", "exec|--config=mine.toml|other|X", "monitors"),
    # Aliases that a shell would take for something else.
    ("exec \\~r\tX", "exec|~root|X", "monitors"),
    ("exec '~r\tX", "exec|~root|X", "monitors"),
    ("exec x\tX", "exec|x~y|X", "monitors"),
    ("exec -dash\tX", "exec|-dashX", None),
    ("exec -- -\tX", "exec|--|-dashed|X", "monitors"),
]


@pytest.mark.parametrize(("typed", "words", "asked"), DYNAMIC)
def test_monitors_and_runs_come_from_one_call(
    typed: str, words: str, asked: str | None, terminal: Terminal
) -> None:
    questions = terminal.folder / "asked"
    questions.unlink(missing_ok=True)
    assert terminal.words(f"crontify {typed}") == words.split("|")
    assert questions.exists() == bool(asked)
    if asked:
        assert questions.read_text() == f"__complete {asked}\n"


@pytest.mark.parametrize("program", ["~/crontify", "true | crontify", "./../bin/crontify"])
def test_the_program_is_known_by_any_of_its_names(program: str, terminal: Terminal) -> None:
    # bash-completion loads our completion at the first TAB, and then only by its plain name.
    assert terminal.words("crontify exec ba\tX") == ["exec", "backup", "X"]
    assert terminal.words(f"{program} exec ba\tX") == ["exec", "backup", "X"]


def test_what_is_redirected_is_a_file(terminal: Terminal) -> None:
    assert terminal.words("crontify exec backup < fi\t") == ["exec", "backup"]
    if terminal.shell != "fish":  # which does not tell a completion what is redirected
        words = terminal.words("crontify exec < fi\t backup --over\t skip X")
        assert words == ["exec", "backup", "--overlap", "skip", "X"]


def once(listed: str, *words: str) -> bool:
    """Tell whether each of `words` is listed, and only once."""
    return all(listed.split().count(word) == 1 for word in words)


def test_commands_are_listed_with_what_they_do(terminal: Terminal) -> None:
    commands = ("exec", "runs", "logs", "config", "sandbox", "completion", "help")
    listed = terminal.listed("crontify \t", *commands)
    assert once(listed, "flush", "demo", "doctor")
    if terminal.shell != "bash":
        assert "Show, check and change the settings" in listed
        assert "List the runs on this machine, the newest first" in listed


def test_options_are_listed_with_what_they_do(terminal: Terminal) -> None:
    listed = terminal.listed("crontify exec backup --\t", "--overlap", "--meta-regex", "--shell")
    assert once(listed, "--overlap", "--meta-regex", "--redact", "--no-start")
    assert "--until-stdin-closes" not in listed
    if terminal.shell != "bash":
        assert "Treat the run as failed if it ends sooner" in listed


def test_choices_are_listed_with_what_they_mean(terminal: Terminal) -> None:
    listed = terminal.listed("crontify exec backup --overlap \t", "allow", "skip", "wait")
    assert once(listed, "allow")
    if terminal.shell != "bash":
        assert "skip this run, exit 75" in listed


def test_aliases_are_listed_with_their_newest_run(terminal: Terminal) -> None:
    listed = terminal.listed("crontify exec \t", "backup", "db.example", "x~y", "nightly")
    assert once(listed, "backup", "db.example")
    assert "-dashed" not in listed
    if terminal.shell != "bash":
        assert "fail, 2026-09-21 14:14" in listed
        assert "no run yet" in listed


def test_runs_are_listed_the_newest_first(terminal: Terminal) -> None:
    listed = terminal.listed("crontify logs backup \t", "aaaaaaaaaaaa", "abbbbbbbbbbb")
    assert once(listed, "aaaaaaaaaaaa", "abbbbbbbbbbb")
    assert listed.index("abbbbbbbbbbb") < listed.index("aaaaaaaaaaaa")
    assert "cccccccccccc" not in listed
    if terminal.shell != "bash":
        assert "2026-09-21 14:14, fail" in listed


def test_programs_are_listed_for_the_job(terminal: Terminal) -> None:
    """As the shell has them at the beginning of a line, programs with a common start too."""
    alone = terminal.listed("gi\t", "gizmo-one", "gizmo-two")
    for front in ("crontify exec backup --", "crontify exec backup"):
        behind = terminal.listed(f"{front} gi\t", "gizmo-one", "gizmo-two")
        assert programs(behind) == programs(alone)


def programs(listed: str) -> set[str]:
    """Return the words that begin with gi, but for the line that is being typed."""
    return {word for word in listed.split() if word.startswith("gi")} - {"gi", "gizmo-"}


@pytest.mark.parametrize("shell", NAMES)
def test_what_completion_prints_is_enough_for_the_shell(shell: str, tmp_path: Path) -> None:
    """Read by the rc file: bash without bash-completion, and with other settings than usual."""
    need("tmux", shell)
    terminal = Terminal(shell, tmp_path / "terminal", SOURCED[shell], installed=False)
    furnish(terminal)
    (terminal.home / ".config/crontify/config.toml").write_text('[monitors."~root"]\n')
    (terminal.home / ".local/state/crontify/journal.db").unlink()
    terminal.start()
    try:
        for typed, words in {
            "ex\tX": "exec|X",
            "exec --overlap=s\tX": "exec|--overlap=skip|X",
            # The only one there is, and not root's home; fish could not quote it.
            "exec \tX": "exec|X" if shell == "fish" else "exec|~root|X",
            "exec \\~\tX": "exec|~root|X",
            "exec a -- gizmo-o\tX": "exec|a|--|gizmo-one|X",
            "exec a -- cat fi\tX": "exec|a|--|cat|file one.txt|X",
            "exec --config mi\tX": "exec|--config|mine.toml|X",
        }.items():
            assert terminal.words(f"crontify {typed}") == words.split("|"), typed
    finally:
        terminal.close()
