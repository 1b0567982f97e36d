"""A real `crontify exec` that goes on while the test looks at it."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.programs import PROGRAM
from tests.server import ApiServer, settings

Launch = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def launch(tmp_path: Path, api: ApiServer) -> Iterator[Launch]:
    """Start `crontify exec backup ARGS` against `api`; keywords go to Popen."""
    started: list[subprocess.Popen[str]] = []

    def start(*args: str, env: Mapping[str, str] = {}, **more: Any) -> "subprocess.Popen[str]":
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
        process = subprocess.Popen(
            [*PROGRAM, "exec", "backup", *args],
            env={**os.environ, **settings(api), **env},
            **{"cwd": tmp_path, "text": True, "stderr": subprocess.PIPE, **streams, **more},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()
