"""Questions to a person, or to the lines of stdin where there is no terminal."""

import sys

from crontify_cli.errors import CrontifyError, ExitCode


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
