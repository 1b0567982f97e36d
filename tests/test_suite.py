"""The suite itself: it passes from wherever it is started, and no test hangs for ever."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Crontify

ROOT = Path(__file__).resolve().parent.parent


def run_pytest(*args: str, before: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    """Run another pytest with the project's settings."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [*before, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=250,
    )


def test_signals_that_are_ignored_here_are_not_ignored_by_what_the_tests_start() -> None:
    """As after `nohup pytest &` in a script."""
    ignoring = ("sh", "-c", "trap '' INT QUIT HUP; exec \"$@\"", "sh")
    node = "tests/job/test_signals.py::test_each_signal_arrives_as_itself"
    done = run_pytest(
        *("-n", "1", *(f"{node}[{name}]" for name in ("INT", "QUIT", "HUP"))), before=ignoring
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_a_test_that_hangs_fails_with_the_stacks_of_all_threads(tmp_path: Path) -> None:
    file = tmp_path / "test_hang.py"
    file.write_text(
        "import os, threading\n"
        "def held():\n"
        "    threading.Event().wait()\n"
        "def test_hang():\n"
        "    threading.Thread(target=held, daemon=True).start()\n"
        "    os.read(os.pipe()[0], 1)\n"
        "def test_next():\n"
        "    pass\n"
    )
    done = run_pytest("-n", "1", "-c", str(ROOT / "pyproject.toml"), "--timeout", "2", str(file))
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert "os.read(os.pipe()[0], 1)\nE       Failed: Timeout" in done.stdout
    assert "in held" in done.stdout


@pytest.mark.parametrize(
    "words", [["--version"], ["config", "list"], ["config", "set", "api_key"], ["runs", "--odd"]]
)
def test_a_command_does_in_a_fork_what_it_does_as_a_program(
    crontify: Crontify, words: list[str]
) -> None:
    forked = crontify(*words, input="a b\n")
    program = crontify(*words, input="a b\n", preexec_fn=lambda: None)
    for each in (forked, program):
        assert each.stdout or each.stderr
    found = (forked.returncode, forked.stdout, forked.stderr)
    assert found == (program.returncode, program.stdout, program.stderr)


IMPORT_EACH = """
import os, sys
from importlib import import_module

for name in sys.argv[1:]:
    if not os.fork():
        try:
            import_module(name)
        except ModuleNotFoundError as error:  # of an extra that is not installed
            os._exit(error.name.startswith("crontify_cli"))
        except BaseException as error:
            print(name, repr(error))
            os._exit(1)
        os._exit(0)
    if os.wait()[1]:
        print("cannot be imported first:", name)
"""


def test_each_module_can_be_imported_before_all_others() -> None:
    """A circle of imports would not be noticed in forks, where everything is loaded."""
    files = sorted((ROOT / "crontify_cli").rglob("*.py"))
    files = [file for file in files if file.parts[-2] not in ("sandbox", "web")]  # slow, and apart
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    names = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    assert len(names) > 100
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH, *names], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
