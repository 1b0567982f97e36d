"""Finds the exit codes and environment variables of each command in the source code."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from crontify_cli.config.keys import KEYS
from crontify_cli.errors import ExitCode

PACKAGE = Path(__file__).resolve().parent.parent / "crontify_cli"
_EXEC = (
    "cli/exec.py",
    "job/*.py",
    "config/*.py",
    "report/*.py",
    "delivery/*.py",
    "places.py",
    "__main__.py",
)
_NOT_A_SETTING = {"LANG", "LC_ALL", "LC_CTYPE", "LESS", "PYTHONUTF8"}  # of the pager and the job
_OF_OTHERS = {"HTTPS_PROXY", "NO_PROXY"}  # read by urllib
_NOT_OF_EXEC = {"CRONTIFY_TOKEN", "CRONTIFY_TOKEN_FILE"}  # exec reads no log


def modules(command: str) -> list[Path]:
    """Return the source files of a command; all of them for "", which means crontify(1)."""
    patterns = {"": ("**/*.py",), "exec": _EXEC}
    own = (f"cli/{command}.py", f"cli/{command}_*.py", f"cli/{command}/*.py")
    chosen = patterns.get(command, own)
    return sorted(file for pattern in chosen for file in PACKAGE.glob(pattern))


def exit_codes(command: str) -> set[int]:
    """Return the exit codes that the manual page of `command` has to explain.

    These are the ones that its modules use, 0, and the one for usage errors.
    """
    codes = {ExitCode.OK, ExitCode.USAGE}
    for node in _nodes(command):
        if isinstance(node, ast.Attribute) and _name(node.value) == "ExitCode":
            codes.add(getattr(ExitCode, node.attr))
        # exec prints it as a warning.
        is_raised = isinstance(node, ast.Call) and _name(node.func) == "CrontifyError"
        if is_raised and len(node.args) == 1 and command != "exec":
            codes.add(ExitCode.FAILURE)
    return codes


@cache
def variables(command: str) -> set[str]:
    """Return the environment variables that the manual page of `command` has to explain.

    These are the ones that its modules read, or set for a job.
    """
    found = {name for node in _nodes(command) for name in _variables(node)}
    if command in ("", "exec"):
        found |= {key.env for key in KEYS if key.env} | _OF_OTHERS
    return found - _NOT_A_SETTING - (_NOT_OF_EXEC if command == "exec" else set())


def _variables(node: ast.AST) -> set[str]:
    """Return NAME in `environ.get(NAME)` or `environ[NAME]`, or all names of a loop over them."""
    if isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):
        names = {each.value for each in node.iter.elts if isinstance(each, ast.Constant)}
        inside = (each for line in node.body for each in ast.walk(line))
        return names if any(map(_looked_up, inside)) else set()
    name = _looked_up(node)
    return {str(name.value)} if isinstance(name, ast.Constant) else set()


def _looked_up(node: ast.AST) -> ast.AST | None:
    """Return the name that this expression looks up in an environment, or None."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        is_get = node.func.attr in ("get", "pop", "setdefault")
        return node.args[0] if is_get and _is_environ(node.func.value) else None
    if isinstance(node, ast.Subscript) and _is_environ(node.value):
        return node.slice
    return None


def _is_environ(node: ast.AST) -> bool:
    return _name(node).endswith("environ")


def _name(node: ast.AST) -> str:
    """Return `name` of `a.b.name`, "" for any other expression."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _nodes(command: str) -> Iterator[ast.AST]:
    for file in modules(command):
        yield from _walk(file)


@cache
def _walk(file: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(file.read_text())))
