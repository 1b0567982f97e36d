"""Nothing is imported in a signal handler, which may interrupt an import of the same module."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ApiServer, settings
from tests.waiting import until_exists

# `crontify`, which complains of an import in a handler. While `resource` is imported it waits
# for the job to end, so that the job's end comes at the worst moment.
WATCHED = """
import _signal, os, sys, time
handlers, real = set(), _signal.signal

def watched(number, handler):
    if hasattr(handler, "__code__"):
        handlers.add(handler.__code__)
    return real(number, handler)

def on_import(event, arguments):
    if event != "import":
        return
    if arguments[0] == "resource":
        time.sleep(0.5)
    frame = sys._getframe()
    while frame := frame.f_back:
        if frame.f_code in handlers:
            os.write(2, f"{frame.f_code.co_name} imports {arguments[0]}\\n".encode())

_signal.signal = watched
sys.addaudithook(on_import)
from crontify_cli.__main__ import main
sys.exit(main())
"""

# A shell whose child is killed by the same signal may say so first.
QUIET = "exec 2>/dev/null"


@pytest.mark.parametrize(
    ("flags", "job", "sent", "code"),
    [
        ((), "exit 3", None, 3),
        ((), f"{QUIET}; touch began; sleep 60 & wait", signal.SIGTERM, 128 + signal.SIGTERM),
        ((), f"{QUIET}; trap 'exit 4' USR1; touch began; sleep 60 & wait", signal.SIGUSR1, 4),
        (("--timeout", "0.2s"), "sleep 60", None, 124),
        (("--timeout", "0.2s", "--kill-after", "0.2s"), "trap '' TERM; sleep 60", None, 124),
    ],
)
def test_no_handler_imports_anything(
    api: ApiServer,
    tmp_path: Path,
    flags: tuple[str, ...],
    job: str,
    sent: signal.Signals | None,
    code: int,
) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", WATCHED, "exec", "backup", *flags, "--", "sh", "-c", job],
        env={**os.environ, **settings(api), "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if sent:
        until_exists(tmp_path / "began")
        run.send_signal(sent)
    _, err = run.communicate(timeout=60)
    said = "crontify: backup: timed out after 0.2s\n" if code == 124 else ""
    assert (run.returncode, err) == (code, said)
    assert api.kinds()[-1] == "fail"
