"""Wheel and sdist: what is in them, that they come out the same each time, and work installed."""

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from crontify_cli import __version__
from tests.completion.terminal import BASH_COMPLETION, NAMES, Terminal
from tests.programs import need

# One worker builds and installs the packages, for all of them.
pytestmark = pytest.mark.xdist_group("packaging")

ROOT = Path(__file__).resolve().parent.parent
NAME = f"crontify_cli-{__version__}"
SHARED = {
    "completions/crontify.bash": "bash-completion/completions/crontify",
    "completions/_crontify": "zsh/site-functions/_crontify",
    "completions/crontify.fish": "fish/vendor_completions.d/crontify.fish",
}
SDIST = ("crontify_cli", "completions", "man", "docs", "scripts", "tests", "benchmarks")
SDIST_FILES = {
    *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "pyproject.toml"),
}


class Built(NamedTuple):
    """sdist; wheel: made from the sdist; again: a wheel made from the tree, on another day."""

    sdist: Path
    wheel: Path
    again: Path


def sources() -> set[str]:
    """Return the files that belong to the project, committed or not yet."""
    need("git")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip(f"not a git checkout: {listed.stderr.strip()}")
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both packages, built twice from copies in different places, without a network."""
    folder = tmp_path_factory.mktemp("built")
    for tree, mode in (("first", 0o644), ("second", 0o600)):
        for name in sources():
            copy = folder / tree / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy)
            copy.chmod(mode | (ROOT / name).stat().st_mode & 0o100)
            os.utime(copy, (1, 1_600_000_000 + mode))
    # What lies in a working folder and belongs to nobody else.
    (folder / "first/notes.txt").write_text("mine")
    build(folder / "first", folder / "dist")
    build(folder / "second", folder / "again", "--wheel")
    (sdist,), (wheel,), (again,) = (
        [*folder.glob(pattern)] for pattern in ("dist/*.gz", "dist/*.whl", "again/*.whl")
    )
    return Built(sdist, wheel, again)


def build(tree: Path, into: Path, *kinds: str) -> None:
    """Run build in `tree`, with what is installed here."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(into), *kinds]
    environ = {name: text for name, text in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    done = subprocess.run(
        command, cwd=tree, env=environ, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_has_the_package_the_pages_and_the_completions(built: Built) -> None:
    modules = {name for name in sources() if name.startswith("crontify_cli/")}
    assert modules >= {"crontify_cli/__main__.py", "crontify_cli/py.typed"}
    pages = {file.name for file in (ROOT / "man").iterdir()}
    assert pages >= {"crontify.1", "crontify-exec.1", "crontify.toml.5"}
    share = f"{NAME}.data/data/share"
    expected = {
        *modules,
        *(name.replace("completions/", "crontify_cli/completions/") for name in SHARED),
        *(f"{share}/{place}" for place in SHARED.values()),
        *(f"{share}/man/man{page[-1]}/{page}" for page in pages),
        f"{NAME}.data/scripts/crontify",
        *(f"{NAME}.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL")),
        f"{NAME}.dist-info/licenses/LICENSE",
    }
    with zipfile.ZipFile(built.wheel) as wheel:
        assert set(wheel.namelist()) == expected
        assert len(wheel.namelist()) == len(expected)
        for source, place in SHARED.items():
            assert wheel.read(f"{share}/{place}") == (ROOT / source).read_bytes()
        for page in pages:
            found = wheel.read(f"{share}/man/man{page[-1]}/{page}")
            assert found == (ROOT / "man" / page).read_bytes()


def test_the_sdist_has_what_it_takes_to_build_test_and_change_it(built: Built) -> None:
    belongs = {name for name in sources() if name.split("/")[0] in SDIST or name in SDIST_FILES}
    assert {name.split("/")[0] for name in belongs} == {*SDIST, *SDIST_FILES}
    with tarfile.open(built.sdist) as sdist:
        members = sdist.getmembers()
    names = {member.name.removeprefix(f"{NAME}/") for member in members if member.isfile()}
    assert names == {*belongs, "PKG-INFO", ".gitignore"}
    assert {member.name.split("/")[0] for member in members} == {NAME}


def test_two_builds_have_one_hash(built: Built) -> None:
    """Whatever the folder, its files' times and modes, and whether an sdist was in between."""
    first, second = (
        hashlib.sha256(file.read_bytes()).hexdigest() for file in (built.wheel, built.again)
    )
    assert first == second


# Installed


@pytest.fixture(scope="session")
def prefix(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment into which pip has put the wheel, without what it depends on."""
    folder = tmp_path_factory.mktemp("prefix") / "own"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install"]
    done = subprocess.run(
        [*pip, "--no-deps", "--no-index", "--quiet", str(built.wheel)],
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_the_program_can_be_executed_and_what_is_shared_can_be_read(prefix: Path) -> None:
    assert os.access(prefix / "bin/crontify", os.X_OK)
    for file in (prefix / "share").rglob("*"):
        assert file.is_dir() or stat.S_IMODE(file.stat().st_mode) == 0o644, file


@pytest.mark.parametrize(
    "setting",
    [
        {"MANPATH": "{prefix}/share/man"},
        {"PATH": "{prefix}/bin:/usr/bin:/bin"},  # man looks beside the programs
    ],
    ids=["MANPATH", "PATH"],
)
def test_man_finds_the_pages(prefix: Path, setting: dict[str, str]) -> None:
    need("man")
    environ = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MANPAGER": "cat", "MANWIDTH": "80"}
    environ |= {name: text.format(prefix=prefix) for name, text in setting.items()}

    def man(*words: str) -> str:
        done = subprocess.run(["man", *words], env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for page in (ROOT / "man").iterdir():
        place = prefix / "share/man" / f"man{page.suffix[1:]}" / page.name
        assert man("-w", page.stem).strip() == str(place)
    assert "report cron jobs to Crontify" in man("crontify")
    assert "--overlap allow|skip|wait" in man("crontify", "exec")


@pytest.fixture(params=NAMES)
def terminal(request: pytest.FixtureRequest, prefix: Path, tmp_path: Path) -> Iterator[Terminal]:
    """A shell that knows of nothing but the prefix."""
    need("tmux", request.param, *([BASH_COMPLETION] if request.param == "bash" else []))
    shell = Terminal(request.param, tmp_path / "terminal", prefix=prefix)
    config = shell.home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("[monitors.backup]\n[monitors.nightly]\n")
    shell.start()
    yield shell
    shell.close()


def test_tab_completes_from_the_prefix(terminal: Terminal) -> None:
    terminal.listed("crontify \t", "exec", "flush", "logs")
    terminal.listed("crontify exec \t", "backup", "nightly")
