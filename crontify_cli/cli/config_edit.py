"""`crontify config edit`: a person's editor on a copy that replaces the file once it is right."""

import os
import sys
import tempfile
from contextlib import suppress

from crontify_cli.cli import person
from crontify_cli.config.file import parse, read_bytes, replace
from crontify_cli.config.keys import KEYS
from crontify_cli.config.load import from_table
from crontify_cli.errors import CrontifyError


def edit_file(file: str) -> int:
    """Let the editor change `file` and return the exit code; its comments stay as they are.

    Raises CrontifyError where the file cannot be read, the editor cannot be run, or someone
    else has changed the file meanwhile: then the edited copy is kept and named.
    """
    old = _content(file)
    copy, name = _copy(file, _template() if old is None else old)
    keep = False
    try:
        while True:
            _run_editor(copy)
            new = _content(copy) or b""
            if new == (_template() if old is None else old):
                print("crontify: unchanged", file=sys.stderr)
                return 0
            problems = find_problems(new, name)
            if not problems:
                break
            for problem in problems:
                print(f"crontify: {problem}", file=sys.stderr)
            if not person.agrees("Edit again?", default=True):
                print(f"crontify: {file}: not changed", file=sys.stderr)
                return 1
        keep = True
        try:
            replace(file, old, new)
        except CrontifyError as error:
            raise CrontifyError(f"{error.message}; your version is {copy}") from None
        keep = False
    finally:
        if not keep:
            with suppress(FileNotFoundError):
                os.unlink(copy)
    return 0


def find_problems(content: bytes, file: str) -> list[str]:
    """Return what is wrong with a config file's content, in the words of `config check`."""
    try:
        table = parse(content)
    except ValueError as error:
        return [f"{file}: {error}"]
    problems: list[str] = []
    from_table(table, file, problems)
    return problems


def _content(file: str) -> bytes | None:
    try:
        return read_bytes(file)[0]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CrontifyError(f"{file}: {error.strerror or error}") from None
    except ValueError as error:
        raise CrontifyError(f"{file}: {error}") from None


def _copy(file: str, content: bytes) -> tuple[str, str]:
    """Write the copy to edit, readable by its owner alone, and return its and the file's name.

    In a directory of the user's own, not in /tmp; the suffix tells the editor what it is.
    """
    directory = os.path.dirname(os.path.realpath(file))
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        fd, copy = tempfile.mkstemp(".toml", ".config-edit-", directory)
        with open(fd, "wb") as stream:
            stream.write(content)
    except OSError as error:
        raise CrontifyError(f"cannot write to {directory}: {error.strerror}") from None
    return copy, file


def _run_editor(copy: str) -> None:
    import shlex
    import subprocess

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        code = subprocess.call([*shlex.split(editor), copy])
    except (OSError, ValueError) as error:
        raise CrontifyError(f"cannot run the editor {editor}: {error}; set EDITOR") from None
    if code:
        raise CrontifyError(f"the editor {editor} ended with {code}: nothing changed")


def _template() -> bytes:
    """Return a first config file: every key as a comment, with what it is for."""
    lines = ["# The settings of crontify. What is commented out is not set.", ""]
    for key in KEYS:
        if key.scope == "monitor":
            lines += ["# One monitor's own settings; what follows may stand at the top, too.", ""]
            lines += ["#[monitors.backup]"]
        lines += [f"# {key.help}", f"#{key.name} = {_example(key.default)}", ""]
    return "\n".join(lines).encode()


def _example(default: object) -> str:
    import json

    if isinstance(default, float):
        return f'"{default:g}s"'
    return '""' if default is None else json.dumps(default)
