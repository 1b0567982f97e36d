"""Shows a person that we wait for the server's rate limit: one live line on stderr."""

import math
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from crontify_cli.errors import CrontifyError, ExitCode

if TYPE_CHECKING:
    from rich.status import Status


def show_wait(monitor: str, seconds_left: Callable[[], float | None]) -> Callable[[], None]:
    """Return what updates the line; it is there as long as `seconds_left` gives a number."""
    status: Status | None = None

    def update() -> None:
        nonlocal status
        left = seconds_left()
        if left is None:
            if status:
                status.stop()
            status = None
            return
        text = (
            f"{monitor}: rate limit of the plan, the report goes out in {math.ceil(left)} s"
            " (Ctrl-C leaves it queued)"
        )
        if status is None:
            status = _line(text)  # rich is loaded only where there is something to wait for
            status.start()
        status.update(text)

    return update


def _line(text: str) -> "Status":
    from rich.console import Console

    return Console(stderr=True, highlight=False).status(text)


def pause(monitor: str, seconds: float, *, rate_limited: bool) -> bool:
    """Wait `seconds` between two attempts for `monitor`; on a terminal a rate limit is shown."""
    until = time.monotonic() + seconds
    if not (rate_limited and os.isatty(2)):
        time.sleep(seconds)
        return True
    waiting = True
    update = show_wait(monitor, lambda: max(0.0, until - time.monotonic()) if waiting else None)
    try:
        while (left := until - time.monotonic()) > 0:
            update()
            time.sleep(min(0.2, left))
    finally:
        waiting = False
        update()
    return True


Answer = TypeVar("Answer")


def line(question: str) -> str:
    """Return the answer, stripped. The question goes to stderr: stdout is for results.

    Raises CrontifyError (usage) where stdin has no line left.
    """
    if sys.stdin.isatty():
        print(question, end=" ", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:
        raise CrontifyError(f"no answer on stdin to: {question}", ExitCode.USAGE)
    return answer.strip()


def secret(question: str) -> str:
    """Return the answer as `line` does; on a terminal it is not shown."""
    if not sys.stdin.isatty():
        return line(question)
    from getpass import getpass

    try:
        return getpass(f"{question} ", sys.stderr).strip()
    except EOFError:
        raise CrontifyError(f"no answer to: {question}", ExitCode.USAGE) from None


def agrees(question: str, *, default: bool = False) -> bool:
    """Whether the answer is yes; an empty one is `default`, the end of stdin is no."""
    try:
        answer = line(f"{question} [{'Y/n' if default else 'y/N'}]")
    except CrontifyError:
        return False
    return answer.lower() in ("y", "yes") or (default and not answer)


def until_right(question: str, parse: Callable[[str], Answer], *, hidden: bool = False) -> Answer:
    """Return the parsed answer; a person is asked again, a line of stdin has to be right.

    parse: raises ValueError with a message for a person.
    Raises CrontifyError (usage).
    """
    while True:
        try:
            return parse((secret if hidden else line)(question))
        except ValueError as error:
            if not sys.stdin.isatty():
                raise CrontifyError(f"{question} {error}", ExitCode.USAGE) from None
            print(f"crontify: {error}", file=sys.stderr)
