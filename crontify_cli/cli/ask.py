"""Questions to a person, or to the lines of stdin where there is no terminal."""

import sys
from collections.abc import Callable
from typing import TypeVar

from crontify_cli.errors import CrontifyError, ExitCode

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
