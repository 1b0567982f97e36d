"""The API key and the user token: how they are had, and how they stay secret."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from crontify_cli import children
from crontify_cli.errors import CrontifyError

if TYPE_CHECKING:
    from subprocess import Popen

    from crontify_cli.config.settings import Settings

OBTAIN_SECONDS = 10.0
_LONGEST = 16 * 1024  # characters; a header line of a server has at most 8 KiB as a rule


_held: dict[str, None] = {}


def held_secrets() -> tuple[str, ...]:
    """Return every secret that this process has come to know, for a mask to hide."""
    return tuple(_held)


class Secret:
    """A text that does not show itself: only `reveal()` gives it out."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        _held[text] = None

    def reveal(self) -> str:
        """Return the text, for a request and nothing else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class Credential(NamedTuple):
    """Where a key or token is to be had; `obtain` goes and gets it.

    kind: what `value` is: the text itself, a file's name, or a program with arguments.
    setting: what a person has to mend when it cannot be had.
    key: the setting's name, as `api_key_file`.
    """

    kind: Literal["text", "file", "command"]
    value: Secret | str | tuple[str, ...]
    setting: str
    key: str


def parse_secret(text: str) -> str:
    """Return `text` without the space around it if it can stand in a header.

    Raises ValueError, with a message that does not hold it.
    """
    text = text.strip()
    if not text:
        raise ValueError("empty")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("not a key or token: it has a space, a control or a non-ASCII character")
    if len(text) > _LONGEST:
        raise ValueError("not a key or token: too long")
    _held[text] = None
    return text


def mask(text: str) -> str:
    """Return what may be shown of a secret: `ck_live_…1234`, or its last four, or nothing."""
    start = text[:8] if text.startswith(("ck_live_", "ck_test_")) else ""
    end = text[-4:] if len(text) - len(start) >= 16 else ""
    return f"{start}…{end}"


def api_key(settings: "Settings") -> str | None:
    """Return the API key, None where none is configured.

    Reads its file or runs its command, for at most `OBTAIN_SECONDS`: not before the spawn.
    Raises CrontifyError that names the setting to mend.
    """
    return obtain(settings.api_key) if settings.api_key else None


def token(settings: "Settings") -> str | None:
    """Return the user JWT, None where none is configured; else as `api_key`."""
    return obtain(settings.token) if settings.token else None


def obtain(credential: Credential) -> str:
    """Return the secret; raises CrontifyError that names the setting to mend."""
    value = credential.value
    try:
        if isinstance(value, Secret):
            line = value.reveal()
        elif isinstance(value, tuple):
            line = _first_line_of_command(value)
        else:
            line = _first_line_of_file(value)
        return parse_secret(line)
    except OSError as error:
        problem = error.strerror or str(error)
        if isinstance(value, str):
            problem = f"cannot read {value}: {problem}"
        elif isinstance(value, tuple):
            problem = f"cannot run {value[0]}: {problem}"
    except ValueError as error:
        problem = str(error)
        if isinstance(value, str):
            problem = f"{value}: {problem}"
        elif isinstance(value, tuple):
            problem = f"{value[0]}: {problem}"
    raise CrontifyError(f"{credential.setting}: {problem}")


def _first_line_of_file(path: str) -> str:
    # Not blocking, so that a FIFO without a writer cannot stop us in open().
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _first_line(fd, _deadline(), over=lambda: False)
    finally:
        os.close(fd)


def _first_line_of_command(command: tuple[str, ...]) -> str:
    """Return the first line that `command` prints, if it then exits with 0.

    What it says on stderr is dropped: a failing command may print the secret there.
    """
    import subprocess

    # In a session of its own: no terminal to ask on, and one group to kill.
    process = children.start(
        [os.path.expanduser(command[0]), *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    deadline = _deadline()
    assert process.stdout
    try:
        line = _first_line(
            process.stdout.fileno(), deadline, over=lambda: process.poll() is not None, drain=True
        )
        code = process.wait(timeout=max(0.0, deadline - _now()))
    except (TimeoutError, subprocess.TimeoutExpired):
        _kill(process)
        raise ValueError(f"did not end within {OBTAIN_SECONDS:.0f} s, killed") from None
    except BaseException:
        _kill(process)
        raise
    finally:
        process.stdout.close()
        children.ended(process)
    if code:
        ending = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise ValueError(f"ended with {ending}: run it by hand to see why")
    return line


def _kill(process: "Popen[bytes]") -> None:
    import signal
    from contextlib import suppress

    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _first_line(fd: int, deadline: float, *, over: Callable[[], bool], drain: bool = False) -> str:
    """Return the first line that comes from `fd`, without its end, as UTF-8.

    over: whether nobody is left who would write, whoever else holds the other end.
    drain: read on to the end, so that the writer does not die of SIGPIPE.

    Raises TimeoutError at the deadline, ValueError for a line without end.
    """
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    head = b""
    while True:
        ended = over()
        # A slice, since an end held open by a grandchild never tells that the writer is gone.
        if not poll.poll(0 if ended else 50):
            if ended:
                break
            if _now() > deadline:
                raise TimeoutError(f"nothing within {OBTAIN_SECONDS:.0f} s")
            continue
        chunk = os.read(fd, 65536)
        if len(head) <= _LONGEST and b"\n" not in head:
            head += chunk
        if not chunk or (b"\n" in head and (ended or not drain)):
            break
        if len(head) > _LONGEST and not drain:
            break
        if _now() > deadline:
            raise TimeoutError(f"no end within {OBTAIN_SECONDS:.0f} s")
    line = head.split(b"\n", 1)[0]
    return line.decode("utf-8", "replace")


def _now() -> float:
    import time

    return time.monotonic()


def _deadline() -> float:
    return _now() + OBTAIN_SECONDS


def check_base_url(settings: "Settings") -> None:
    """Raise CrontifyError where a key would go unencrypted over a network.

    Plain http:// is for loopback only, unless `allow_http = true`.
    """
    if settings.allow_http or not settings.base_url.lower().startswith("http://"):
        return
    from urllib.parse import urlsplit

    if not _is_loopback(urlsplit(settings.base_url).hostname or ""):
        raise CrontifyError(
            f"base_url: {settings.base_url} would send the key unencrypted:"
            " use https://, or set allow_http = true"
        )


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
