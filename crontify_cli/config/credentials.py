"""Reads the API key and the user token from the place that the settings name."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from crontify_cli import children, urls
from crontify_cli.config.secret import LONGEST, Credential, Secret, parse_secret
from crontify_cli.config.settings import Settings
from crontify_cli.errors import CrontifyError

if TYPE_CHECKING:
    from subprocess import Popen

OBTAIN_SECONDS = 10.0
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def api_key(settings: Settings) -> str | None:
    """Return the API key, or None if none is configured.

    Reading its file or running its command takes at most `OBTAIN_SECONDS`.
    Raises CrontifyError that names the setting to correct.
    """
    return obtain(settings.api_key) if settings.api_key else None


def token(settings: Settings) -> str | None:
    """Return the user token (a JWT), or None if none is configured; otherwise as `api_key`."""
    return obtain(settings.token) if settings.token else None


def token_at_hand(settings: Settings) -> str | None:
    """Return the user JWT unless it takes a command to get it, or it cannot be read.

    For masking: the token must not appear in a log either.
    """
    if settings.token is None or isinstance(settings.token.value, tuple):
        return None
    try:
        return obtain(settings.token)
    except CrontifyError:
        return None


def obtain(credential: Credential) -> str:
    """Return the secret; raises CrontifyError that names the setting to correct."""
    value = credential.value
    source = "" if isinstance(value, Secret) else value if isinstance(value, str) else value[0]
    try:
        if isinstance(value, Secret):
            line = value.reveal()
        elif isinstance(value, str):
            line = _first_line_of_file(value)
        else:
            line = _first_line_of_command(value)
        return parse_secret(line)
    except OSError as error:
        action = "read" if isinstance(value, str) else "run"
        problem = f"cannot {action} {source}: {error.strerror or error}"
    except ValueError as error:
        problem = f"{source}: {error}" if source else str(error)
    raise CrontifyError(f"{credential.setting}: {problem}")


def _first_line_of_file(path: str) -> str:
    # Non-blocking, so that open() does not wait for the writer of a FIFO.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _first_line(fd, time.monotonic() + OBTAIN_SECONDS, has_ended=lambda: False)
    finally:
        os.close(fd)


def _first_line_of_command(command: tuple[str, ...]) -> str:
    """Return the first line that `command` prints, if its exit code is 0.

    Its stderr is discarded: a failing command may print the secret there.
    """
    import subprocess

    # In its own session: it has no terminal to prompt on, and its process group can be killed.
    process = children.start([os.path.expanduser(command[0]), *command[1:]])
    deadline = time.monotonic() + OBTAIN_SECONDS
    assert process.stdout
    try:
        line = _first_line(
            process.stdout.fileno(),
            deadline,
            has_ended=lambda: process.poll() is not None,
            drain=True,
        )
        code = process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired):
        _kill(process)
        raise ValueError(f"killed because it did not end within {OBTAIN_SECONDS:.0f} s") from None
    except BaseException:
        _kill(process)
        raise
    finally:
        process.stdout.close()
        children.ended(process)
    if code:
        ending = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
        raise ValueError(f"the command {ending}; run it by hand to see why")
    return line


def _kill(process: "Popen[bytes]") -> None:
    import signal

    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _first_line(
    fd: int, deadline: float, *, has_ended: Callable[[], bool], drain: bool = False
) -> str:
    """Return the first line that is not empty, decoded as UTF-8, without a byte order mark.

    has_ended: tells whether the writer has ended, even if another process holds the pipe.
    drain: read until the end, so that the writer does not die of SIGPIPE.

    Raises TimeoutError at the deadline. A line without end is cut after `LONGEST` bytes.
    """
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    head = b""
    while True:
        ended = has_ended()
        # In slices of 50 ms: if a grandchild holds the pipe open, there is no end of file.
        if not poll.poll(0 if ended else 50):
            if ended:
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"no data within {OBTAIN_SECONDS:.0f} s")
            continue
        chunk = os.read(fd, 65536)
        if len(head) <= LONGEST and b"\n" not in head:
            head = (head + chunk).removeprefix(_BYTE_ORDER_MARK).lstrip()
        if not chunk or (b"\n" in head and (ended or not drain)):
            break
        if len(head) > LONGEST and not drain:
            break
        if time.monotonic() > deadline:
            raise TimeoutError(f"no end of data within {OBTAIN_SECONDS:.0f} s")
    return head.split(b"\n", 1)[0].decode("utf-8", "replace")


def check_base_url(settings: Settings) -> None:
    """Raise CrontifyError if the base URL is unknown, or would take the API key unencrypted.

    Plain http:// is allowed to loopback addresses, and elsewhere with `allow_http = true`.
    """
    if not settings.base_url:
        raise CrontifyError("base_url: unknown until the settings are corrected")
    if settings.allow_http or not settings.base_url.lower().startswith("http://"):
        return
    if not is_loopback(_host(settings.base_url)):
        raise CrontifyError(
            f"base_url: {settings.base_url} would send the API key unencrypted;"
            " use https://, or set allow_http = true"
        )


def _host(url: str) -> str:
    if simple := urls.simple(url):
        return simple.host
    from urllib.parse import urlsplit

    return urlsplit(url).hostname or ""


def is_loopback(host: str) -> bool:
    """Tell whether `host` is an address of loopback, or the name `localhost`."""
    if host.lower() == "localhost":
        return True
    if ":" in host:
        from ipaddress import ip_address

        with suppress(ValueError):
            return ip_address(host).is_loopback
        return False
    return urls.is_ipv4(host) and host.startswith("127.")
