"""`crontify config edit`: edits a copy of the config file, which replaces it if it is valid."""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from crontify_cli.cli import person
from crontify_cli.config.change import check_folder, replace
from crontify_cli.config.file import parse, read_bytes
from crontify_cli.config.keys import KEYS
from crontify_cli.config.problems import Problem
from crontify_cli.config.sources import from_table
from crontify_cli.errors import CrontifyError, ExitCode, in_words, say


def edit_file(file: str) -> int:
    """Let the user edit `file` and return the exit code; comments are kept.

    Raises CrontifyError if the file cannot be read, the editor cannot be run, or the file
    has been changed by someone else while it was edited: the edited copy is then kept.
    """
    old = _read(file)
    before = _template() if old is None else old
    copy = _write_copy(file, before)
    with ExitStack() as cleanup:
        cleanup.callback(Path(copy).unlink, missing_ok=True)
        cleanup.enter_context(_ending_by_exception())
        new = _edit_until_valid(copy, file, before)
        if new is None:
            say(f"{file} not changed")
            return ExitCode.FAILURE
        if new == before:
            say(f"{file} is unchanged")
            return ExitCode.OK
        try:
            replace(file, old, new)
        except BaseException as error:
            cleanup.pop_all()  # keeps the copy
            if isinstance(error, CrontifyError):
                raise CrontifyError(f"{error.message}; your version was saved as {copy}") from None
            raise
    return ExitCode.OK


def _edit_until_valid(copy: str, file: str, before: bytes) -> bytes | None:
    """Return what the user makes of the copy; None if it is not valid and the user gives up."""
    while True:
        _run_editor(copy)
        new = _read(copy)
        if new is None:
            raise CrontifyError(f"{file} not changed: the editor has removed the file to edit")
        if before.strip() and not new.strip() and not person.agrees("Remove all settings?"):
            return None
        problems = [] if new == before else find_problems(new, file)
        if not problems:
            return new
        for problem in problems:
            say(problem)
        if not person.agrees("Edit again?", default=True):
            return None


def find_problems(content: bytes, file: str) -> list[str]:
    """Return the problems in a config file's content, as `config check` prints them."""
    try:
        table = parse(content)
    except ValueError as error:
        return [f"{file}: {error}"]
    problems: list[Problem] = []
    from_table(table, file, problems)
    return [problem.line for problem in problems]


def _read(file: str) -> bytes | None:
    try:
        return read_bytes(file)[0]
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CrontifyError(f"{file}: {getattr(error, 'strerror', None) or error}") from None


def _write_copy(file: str, content: bytes) -> str:
    """Write a copy to edit, readable only by its owner, and return its path.

    It is created next to the file, not in /tmp; the suffix tells the editor the syntax.
    """
    directory = os.path.dirname(os.path.realpath(file))
    try:
        check_folder(directory)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        fd, copy = tempfile.mkstemp(".toml", ".config-edit-", directory)
        with open(fd, "wb") as stream:
            stream.write(content)
    except OSError as error:
        raise CrontifyError(f"cannot write to {directory}: {error.strerror}") from None
    return copy


@contextmanager
def _ending_by_exception() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise SystemExit, so that the copy is removed."""

    def stop(signum: int, _frame: object) -> None:
        raise SystemExit(ExitCode.SIGNAL_BASE + signum)

    before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _run_editor(copy: str) -> None:
    import shlex
    import subprocess

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        with subprocess.Popen([*shlex.split(editor), copy]) as process:
            try:
                code = process.wait()
            except SystemExit:
                process.terminate()  # it restores the terminal, and `with` waits for its end
                raise
    except (OSError, ValueError) as error:
        raise CrontifyError(
            f"cannot run the editor {editor}: {in_words(error)}; set EDITOR to another one"
        ) from None
    if code:
        raise CrontifyError(f"config file not changed: the editor {editor} exited with code {code}")


def _template() -> bytes:
    """Return the initial config file: every key, with its description, as a comment."""
    lines = ["# Settings of crontify. Remove the # in front of a key to set it.", ""]
    for key in KEYS:
        if key.scope == "monitor":
            lines += ["# Settings of one monitor. These keys may also be set above, for all.", ""]
            lines += ["#[monitors.backup]"]
        lines += [f"# {key.help}", f"#{key.name} = {_example(key.default)}", ""]
    return "\n".join(lines).encode()


def _example(default: object) -> str:
    import json

    if isinstance(default, float):
        return f'"{default:g}s"'
    return '""' if default is None else json.dumps(default)
