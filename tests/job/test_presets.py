"""The settings `overlap` and `shell`, which must be known before the job is started."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crontify_cli.job import presets
from crontify_cli.job.options import ExecOptions, scan
from tests.conftest import Crontify
from tests.programs import PROGRAM
from tests.waiting import until_exists


@pytest.fixture
def config(home: Path) -> Path:
    """The place of the user's config file."""
    path = home / ".config/crontify/config.toml"
    path.parent.mkdir(parents=True, mode=0o700)
    return path


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def settled(*args: str) -> tuple[str | None, bool]:
    """Return both values for these words after `exec`."""
    options = scan([*args, "--", "true"])
    assert options
    presets.settle(options)
    return options.overlap, options.shell


def test_a_monitor_whose_section_says_so_skips_a_run_that_overlaps(
    crontify: Crontify, env: dict[str, str], config: Path, tmp_path: Path
) -> None:
    write(config, '[monitors.backup]\noverlap = "skip"\n')
    go, began = tmp_path / "go", tmp_path / "began"
    wait = f"touch {began}; until [ -e {go} ]; do sleep .02; done"
    command = [*PROGRAM, "exec", "backup", "--", "sh", "-c", wait]
    first = subprocess.Popen(command, env={**os.environ, **env})
    try:
        until_exists(began)
        skipped = crontify("exec", "backup", "--", "echo", "ran", env=env)
        assert (skipped.returncode, skipped.stdout) == (75, "")
        assert "is already running" in skipped.stderr
        for args in (("backup", "--overlap", "allow"), ("other",)):
            done = crontify("exec", *args, "--", "echo", "ran", env=env)
            assert (done.returncode, done.stdout) == (0, "ran\n")
    finally:
        go.touch()
        assert first.wait(60) == 0


def test_a_command_is_run_by_a_shell_if_the_config_says_so(
    crontify: Crontify, env: dict[str, str], config: Path
) -> None:
    write(config, "shell = true\n[monitors.plain]\nshell = false\n")
    done = crontify("exec", "backup", "--", "echo one | tr o O", env=env)
    assert (done.stdout, done.stderr) == ("One\n", "")
    assert crontify("exec", "plain", "--", "echo one | tr o O", env=env).returncode == 127
    words = crontify("exec", "backup", "--", "echo", "one | two", env=env)
    assert words.stdout == "one | two\n"
    assert words.stderr.count("shell = true in the config is ignored") == 1
    dry = crontify("exec", "--dry-run", "backup", "--", "echo one | tr o O", env=env)
    assert "-c 'echo one | tr o O'" in dry.stdout
    assert f"shell\ttrue\tfile:{config}" in dry.stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (None, False)),
        ('overlap = "wait"', ("wait", False)),
        ("overlap='skip' # why\nshell=true", ("skip", True)),
        ('overlap = "wait"\n[monitors.backup]\noverlap = "skip"', ("skip", False)),
        ('[monitors."backup"] # one\nshell = true', (None, True)),
        ('[monitors.other]\noverlap = "skip"', (None, False)),
        ('# overlap = "skip"\ntimeout = "1h"', (None, False)),
        # What only a parser of TOML understands:
        ('"overlap" = "skip"', ("skip", False)),
        ('"overl\\u0061p" = "skip"', ("skip", False)),
        ('[monitors]\nbackup.overlap = "skip"', ("skip", False)),
        ('monitors = { backup = { overlap = "skip" } }', ("skip", False)),
        ('redact = ["""\noverlap = "skip"\n"""]', ("allow", False)),
        ('redact = [\n"shell",\n]\noverlap = "wait"', ("wait", False)),
        ("overlap = 7\nshell = true", ("allow", True)),
    ],
)
def test_every_form_of_the_settings_counts(
    config: Path, text: str, expected: tuple[str | None, bool]
) -> None:
    write(config, f"{text}\n")
    assert settled("backup") == expected


def test_later_files_win_and_a_named_file_is_the_only_one(config: Path, tmp_path: Path) -> None:
    write(config, 'overlap = "wait"\n[monitors.backup]\nshell = true\n')
    write(config.parent / "conf.d/1.toml", 'overlap = "skip"\n')
    assert settled("backup") == ("skip", True)
    named = tmp_path / "named/config.toml"
    write(named, "shell = false\n")
    assert settled("backup", "--config", str(named)) == (None, False)
    assert settled("backup", "--config", str(tmp_path / "missing")) == (None, False)


@pytest.mark.parametrize("loose", ["file", "folder"])
def test_others_cannot_have_a_command_run_by_a_shell(
    crontify: Crontify, env: dict[str, str], config: Path, loose: str
) -> None:
    write(config, "[monitors.backup]\nshell = true\n")
    (config if loose == "file" else config.parent).chmod(0o722)
    assert settled("backup") == ("allow", False)
    done = crontify("exec", "backup", "--", "echo one | tr o O", env=env)
    assert done.returncode == 127
    assert f"{config}: shell is not used: others can write to" in done.stderr


def test_others_who_can_replace_conf_d_cannot_have_a_shell_either(config: Path) -> None:
    write(config.parent / "conf.d/x.toml", "shell = true\n")
    assert settled("backup") == (None, True)
    config.parent.chmod(0o722)
    assert settled("backup") == ("allow", False)
    config.parent.chmod(0o755)
    folder = (config.parent / "conf.d").rename(config.parent / "elsewhere")
    (config.parent / "conf.d").symlink_to(folder)
    folder.chmod(0o1777)  # in which others can put links
    assert settled("backup") == ("allow", False)


def test_the_usual_forms_are_known_without_loading_the_settings(
    config: Path, tmp_path: Path
) -> None:
    """An audit hook in the real process writes down what is loaded when the job is spawned."""
    write(config, 'timeout = "1m"\n[monitors.backup]\noverlap = "skip"\nshell = true\n')
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "def hook(event, args):\n"
        "    if event == 'os.posix_spawn':\n"
        "        open('modules', 'w').write('\\n'.join(sys.modules))\n"
        "sys.addaudithook(hook)\n"
    )
    program = Path(sys.executable).with_name("crontify")
    subprocess.run(
        [program, "exec", "backup", "--", "true | cat"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        check=True,
        stderr=subprocess.DEVNULL,
    )
    loaded = (tmp_path / "modules").read_text().splitlines()
    assert "crontify_cli.job.overlap" in loaded
    assert not {"tomllib", "crontify_cli.config"} & set(loaded)


NAMES = st.sampled_from(["overlap", "shell", '"shell"', "id", "redact", "monitors", "a.shell", ""])
VALUES = st.sampled_from(
    ['"skip"', "'wait'", "true", "false", "[", "]", '"""', '"shell"', '["overlap"]', "{ a = 1 }"]
)
TABLES = st.sampled_from(
    [
        *("[monitors.backup]", '[monitors."backup"]', "[monitors.other]", "[headers]"),
        *("[monitors]", "[[monitors]]", "[monitors.backup", '["monitors".backup]', "[shell]"),
    ]
)
LINES = st.one_of(
    st.builds("{} = {}".format, NAMES, VALUES),
    TABLES,
    VALUES,
    st.sampled_from(["# overlap = 1", "overlap='skip'#x", '"""', "'''", "", "]", '"shell",']),
)


@given(st.lists(LINES, max_size=8))
def test_a_search_that_finds_an_answer_finds_that_of_a_parser(lines: list[str]) -> None:
    content = "\n".join(lines)
    try:
        table = tomllib.loads(content)
        found = list(presets._settings(content, "backup"))
    except (tomllib.TOMLDecodeError, presets._UnusualError):
        return
    monitors = table.get("monitors", {})
    section = monitors.get("backup", {}) if isinstance(monitors, dict) else {}
    top = {name: table[name] for name in ("overlap", "shell") if name in table}
    own = {f".{name}": section[name] for name in ("overlap", "shell") if name in section}
    words = {True: "true", False: ""}
    assert dict(found) == {
        name: words[value] if isinstance(value, bool) else value
        for name, value in (top | own).items()
    }


def test_flags_are_enough_where_they_give_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "search", lambda options: pytest.fail("the files are read"))
    options = ExecOptions("backup", ["true"])
    options.overlap, options.shell = "skip", True
    assert presets.settle(options) == ""
