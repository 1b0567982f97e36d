"""A pseudo-terminal that is always read, so that no program under test waits for a reader."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.forks import Forked, can_be_forked
from tests.programs import PROGRAM
from tests.waiting import until


class Terminal:
    """`with Terminal() as terminal:` opens one; a thread reads it until the block ends."""

    def __init__(self, columns: int = 80) -> None:
        self._master, self._slave = pty.openpty()
        self.resize(columns)
        self._shown = b""
        self._seen = 0
        self._has_ended = threading.Event()
        self._stop_read, self._stop = os.pipe()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the last program has closed the terminal
            ends = [self._master, self._stop_read]
            while self._stop_read not in select.select(ends, [], [])[0]:
                self._shown += os.read(self._master, 65536)
        self._has_ended.set()

    def start(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> "subprocess.Popen[bytes] | Forked":
        """Start the terminal's session: `command` leads it, with all streams on the terminal."""
        program, args = list(command[: len(PROGRAM)]), command[len(PROGRAM) :]
        environ = os.environ if env is None else env
        try:
            if program == PROGRAM and can_be_forked(args, environ):
                return Forked(args, environ, cwd, [self._slave] * 3, on_terminal=True)
            return subprocess.Popen(
                ["setsid", "--ctty", *command],
                stdin=self._slave,
                stdout=self._slave,
                stderr=self._slave,
                env=env,
                cwd=cwd,
            )
        finally:
            os.close(self._slave)

    def resize(self, columns: int) -> None:
        """Make the window `columns` wide and 50 lines high."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))

    def type(self, keys: str) -> None:
        """Press keys; "\\x03" is Ctrl-C."""
        os.write(self._master, keys.encode())

    def type_line(self, line: str) -> None:
        """Type `line`, and Enter."""
        self.type(f"{line}\n")

    def unseen(self) -> str:
        """Return what was shown after the text that `read_until` returned last."""
        return self._shown[self._seen :].decode(errors="replace").replace("\r\n", "\n")

    def read_until(self, wanted: str) -> str:
        """Wait until `wanted` is shown, and return what is new up to its end."""
        code = wanted.replace("\n", "\r\n").encode()
        begin = self._seen
        try:
            until(lambda: self._shown.find(code, begin) >= 0, f"the terminal shows {wanted!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows {self.unseen()!r}") from None
        self._seen = self._shown.find(code, begin) + len(code)
        return self._shown[begin : self._seen].decode(errors="replace").replace("\r\n", "\n")

    def read_to_end(self) -> str:
        """Wait until no program has the terminal open, and return everything it showed."""
        until(self._has_ended.is_set, "the terminal is closed")
        return self._shown.decode(errors="replace").replace("\r\n", "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up: what still runs on the terminal gets SIGHUP."""
        os.write(self._stop, b"\0")
        self._reader.join()
        for fd in (self._master, self._stop_read, self._stop):
            os.close(fd)
