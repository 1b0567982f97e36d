"""Gets the API key and the user token from where the settings say that they are."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from crontify_cli import children
from crontify_cli.config.secret import LONGEST, Credential, Secret, parse_secret
from crontify_cli.config.settings import Settings
from crontify_cli.errors import CrontifyError

if TYPE_CHECKING:
    from subprocess import Popen

OBTAIN_SECONDS = 10.0


def api_key(settings: Settings) -> str | None:
    """Return the API key, None where none is configured.

    Reads its file or runs its command, for at most `OBTAIN_SECONDS`: not before the spawn.
    Raises CrontifyError that names the setting to mend.
    """
    return obtain(settings.api_key) if settings.api_key else None


def token(settings: Settings) -> str | None:
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
    process = children.start([os.path.expanduser(command[0]), *command[1:]])
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
        if len(head) <= LONGEST and b"\n" not in head:
            head += chunk
        if not chunk or (b"\n" in head and (ended or not drain)):
            break
        if len(head) > LONGEST and not drain:
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


def check_base_url(settings: Settings) -> None:
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
