"""Talks to the user at a terminal: asks questions, suggests commands, shows a wait."""

import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from crontify_cli.delivery.stage import describe
from crontify_cli.errors import CrontifyError, ExitCode, say
from crontify_cli.progress import ProgressLine


def pause(monitor: str, seconds: float, *, rate_limited: bool) -> bool:
    """Wait `seconds` before the next attempt; if rate limited, show the wait on a terminal."""
    until = time.monotonic() + seconds
    line = ProgressLine()
    try:
        while (left := until - time.monotonic()) > 0:
            if rate_limited:
                line.show(f"{monitor}: {describe(None, left, rate_limited=True)}")
            time.sleep(min(0.2, left))
    finally:
        line.clear()
    return True


def typed_program() -> str:
    """Return this program as it can be typed here: its path, unless its name finds it."""
    path = sys.argv[0]
    if os.path.basename(path) != "crontify" or "/" not in path:
        return "crontify"
    found = shutil.which("crontify")
    return "crontify" if found and os.path.samefile(found, path) else shlex.quote(path)


Answer = TypeVar("Answer")


def line(question: str) -> str:
    """Ask on stderr, since stdout is for results, and return the answer without outer spaces.

    Raises CrontifyError (usage) if stdin has no line left.
    """
    if sys.stdin.isatty():
        print(question, end=" ", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:
        raise CrontifyError(f"no answer on stdin to the question: {question}", ExitCode.USAGE)
    return answer.strip()


def secret(question: str) -> str:
    """Ask as `line` does, but do not show on the terminal what is typed."""
    if not sys.stdin.isatty():
        return line(question)
    from getpass import getpass

    try:
        return getpass(f"{question} ", sys.stderr).strip()
    except EOFError:
        raise CrontifyError(f"no answer to the question: {question}", ExitCode.USAGE) from None


def agrees(question: str, *, default: bool = False) -> bool:
    """Return whether the answer is yes; an empty answer is `default`, the end of stdin is no."""
    try:
        answer = line(f"{question} [{'Y/n' if default else 'y/N'}]")
    except CrontifyError:
        return False
    return answer.lower() in ("y", "yes") or (default and not answer)


def until_right(question: str, parse: Callable[[str], Answer], *, hidden: bool = False) -> Answer:
    """Return the parsed answer; on a terminal, ask again until it is valid.

    parse: raises ValueError with a message for the user.
    Raises CrontifyError (usage) for an invalid answer that is not from a terminal.
    """
    while True:
        try:
            return parse((secret if hidden else line)(question))
        except ValueError as error:
            if not sys.stdin.isatty():
                raise CrontifyError(f"{question} {error}", ExitCode.USAGE) from None
            say(str(error))
