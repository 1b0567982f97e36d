"""Runs `crontify` in forks of a process that has loaded everything, in a tenth of the time.

Most of what a command costs is loading Python's libraries, thousands of times in a run of the
tests. A fork is a process too, with arguments, an environment, streams and an exit code of its
own; what it does not test is loading itself. So `crontify exec`, which must not load much, and
what an environment variable tells Python remain programs of their own (`can_be_forked`), as does
everything that tests start without this module.
"""

import atexit
import contextlib
import fcntl
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from tests.portability.features import HIDDEN, hide

ROOT = Path(__file__).resolve().parent.parent
KEYWORDS = {"cwd", "input", "text", "timeout"}
"""Those of `run`."""
_LARGEST = 100_000
"""Bytes of arguments and environment that fit into one message."""
_OF_PYTHON = ("PYTHON", "LANG", "LC_", "LD_")
_LOADED_LATE = ("prometheus_client.exposition", "rich.progress", "rich.table", "tomli_w")
"""What our modules load in functions, beside what their own imports bring."""


class Forked:
    """A process that runs `crontify ARGS`, with what tests use of subprocess.Popen."""

    stdin: TextIO | None = None
    stdout: TextIO | None = None

    def __init__(
        self,
        args: Sequence[str | bytes],
        env: Mapping[str, str],
        cwd: Path | str | None,
        streams: Sequence[int],
        *,
        on_terminal: bool = False,
    ) -> None:
        """streams: descriptors for stdin, stdout and stderr, which stay the caller's.

        on_terminal: lead a session of its own, whose terminal is stdin.
        """
        status = Path("/proc/self/status").read_text()
        umask = int(status.partition("Umask:")[2].split()[0], 8)
        order = {
            "args": [*map(os.fsdecode, args)],
            "env": dict(env),
            "cwd": str(cwd or Path.cwd()),
            "umask": umask,
            "on_terminal": on_terminal,
        }
        self._reply, reply = socket.socketpair()
        with reply:
            socket.send_fds(_server(), [json.dumps(order).encode()], [*streams, reply.fileno()])
        self._answers = self._reply.makefile("r")
        self.pid = int(self._answers.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, as that of subprocess.Popen, once the process has ended."""
        if self.returncode is None:
            if not select.select([self._reply], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("crontify", timeout or 0)
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._reply.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code, None as long as the process runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            # It may have ended by now, before its exit code was told.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Close stdin, and wait for the end, however much is printed until then."""
        if self.stdin:
            self.stdin.close()
        if self.stdout and not self.stdout.closed:
            threading.Thread(target=self.stdout.read, daemon=True).start()
        self.wait(60)


def can_be_forked(args: Sequence[str | bytes], env: Mapping[str, str]) -> bool:
    """Tell whether a command does in a fork what it does as a program of its own."""
    from tests.programs import PROGRAM  # the processes that are forked do without pytest

    words = [*map(os.fsdecode, args)]
    if words[:1] in (["exec"], ["__complete"], []) or PROGRAM[1:] != ["-m", "crontify_cli"]:
        return False
    ours = {name: env.get(name) for name in {*env, *os.environ} if name.startswith(_OF_PYTHON)}
    is_small = len(json.dumps([*words, *env.items()])) < _LARGEST
    return is_small and all(_environ.get(name) == text for name, text in ours.items())


def start(args: Sequence[str | bytes], env: Mapping[str, str]) -> Forked:
    """Start `crontify ARGS` with pipes as its stdin and its stdout."""
    (theirs_in, ours_in), (ours_out, theirs_out) = os.pipe(), os.pipe()
    process = Forked(args, env, None, [theirs_in, theirs_out, 2])
    os.close(theirs_in)
    os.close(theirs_out)
    process.stdin, process.stdout = os.fdopen(ours_in, "w"), os.fdopen(ours_out)
    return process


def run(
    args: Sequence[str | bytes],
    env: Mapping[str, str],
    *,
    cwd: Path | str,
    input: str | bytes | None = None,  # noqa: A002 - as subprocess.run has it
    text: bool = True,
    timeout: float,
) -> "subprocess.CompletedProcess[Any]":
    """Run `crontify ARGS` to its end, as subprocess.run does with captured output."""
    with contextlib.ExitStack() as closing:
        streams = [closing.enter_context(open(os.memfd_create(name), "w+b")) for name in "ioe"]
        if input is not None:
            streams[0].write(input.encode() if isinstance(input, str) else input)
            streams[0].seek(0)
        process = Forked(args, env, cwd, [stream.fileno() for stream in streams])
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        printed: list[Any] = []
        for stream in streams[1:]:
            stream.seek(0)
            content = stream.read()
            printed.append(io.TextIOWrapper(io.BytesIO(content)).read() if text else content)
    return subprocess.CompletedProcess(args, process.returncode or 0, *printed)


_environ = dict(os.environ)


@functools.cache
def _server() -> socket.socket:
    """Return the socket of this process's server, which ends when the socket is closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.forks", *HIDDEN]
    with theirs:
        process = subprocess.Popen(command, cwd=ROOT, env=_environ, stdin=theirs.fileno())

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# The server


def _serve() -> None:
    """Fork for each order that arrives on stdin, until it is closed."""
    hide(sys.argv[1:])
    _load_everything()
    gc.collect()
    gc.freeze()  # the collector would copy what the forks share
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who watch
    with socket.socket(fileno=0) as channel:
        while True:
            order, descriptors, _, _ = socket.recv_fds(channel, 4 * _LARGEST, 4)
            if not order:
                return
            if not os.fork():
                _watch(json.loads(order), descriptors)
            for descriptor in descriptors:
                os.close(descriptor)


def _load_everything() -> None:
    # All of them, of which our client would load only the half that it needs.
    import anyio  # noqa: F401
    import httpcore  # noqa: F401
    import httpx  # noqa: F401

    import crontify_cli

    ours = [each.name for each in pkgutil.walk_packages(crontify_cli.__path__, "crontify_cli.")]
    for name in (*ours, *_LOADED_LATE):
        # What an extra brings need not be installed.
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)


def _watch(order: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Fork the command, and tell its pid and, at its end, its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, reply = descriptors
    pid = os.fork()
    if not pid:
        os.close(reply)
        _become(order, streams)
    for descriptor in (0, *streams):
        os.close(descriptor)
    os.write(reply, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):  # the test has ended
        os.write(reply, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(order: dict[str, Any], streams: list[int]) -> NoReturn:
    from crontify_cli import __main__ as program

    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for name, mode, old in (("stdin", "r", sys.stdin), ("stdout", "w", sys.stdout)):
        setattr(sys, name, os.fdopen(("stdin", "stdout").index(name), mode, errors=old.errors))
    sys.stderr = os.fdopen(2, "w", errors="backslashreplace", buffering=1)
    if order["on_terminal"]:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(order["cwd"])
    os.umask(order["umask"])
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    sys.argv = [program.__file__, *order["args"]]
    code = 1

    def leave() -> None:
        # By now all threads have ended; to take the modules apart would only cost time.
        with contextlib.suppress(ValueError):  # the program has closed it
            sys.stdout.flush()
        os._exit(code)

    atexit.register(leave)
    code = program.main()
    sys.exit(code)


if __name__ == "__main__":
    _serve()
