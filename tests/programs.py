"""The program under test, and those that some tests need in addition."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "crontify_cli"]
"""`crontify`, run from this source tree."""


def hide(features: tuple[str, ...]) -> None:
    """Let `PROGRAM` run without these features of Linux; before a test module imports it."""
    program = Path(__file__).parent / "portability/program.py"
    PROGRAM[1:] = [str(program), ",".join(features)]


def cpu_seconds(*args: str) -> float:
    """Return the processor time of `crontify ARGS`, in which other programs' use hardly shows."""
    process = subprocess.Popen([*PROGRAM, *args], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def need(*names: str) -> None:
    """Skip the test, saying why, unless all programs are here; with CI=true that is a failure.

    A name with a slash is a file's.
    """
    missing = [
        name for name in names if not (os.path.exists(name) if "/" in name else shutil.which(name))
    ]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"CI has to install {', '.join(missing)}")
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
