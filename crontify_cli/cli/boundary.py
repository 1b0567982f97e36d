"""The error boundary: turns whatever a command raises into one line and an exit code."""

import codecs
import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from crontify_cli.errors import CrontifyError, ExitCode, say
from crontify_cli.processes import open_standard_streams

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_SIGPIPE = 13  # the same on every system that we run on


def guarded(command: Callable[[], object], name: str) -> int:
    """Run a command and return the exit code; errors go to stderr, tracebacks only to a file.

    name: of the command, for the traceback file of an internal error.
    """
    open_standard_streams()
    out = _prepare_streams()
    before = threading.excepthook
    threading.excepthook = lambda failed: tell_internal(failed.exc_value or Exception(), name)
    code: int = ExitCode.OK
    try:
        command()
        sys.stdout.flush()
    except BaseException as error:
        # rich raises SystemExit when the reader of stdout has closed the pipe.
        if out and out.failure and isinstance(error, OSError | SystemExit):
            return _output_failed(out.failure)
        code = _explain(error, name)
        with contextlib.suppress(OSError):
            sys.stdout.flush()
    finally:
        threading.excepthook = before
    return _output_failed(out.failure) if out and out.failure else code


def _explain(error: BaseException, name: str) -> int:
    """Print what went wrong, unless the command ended on purpose; return the exit code."""
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else ExitCode.FAILURE
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return ExitCode.INTERRUPTED
    if isinstance(error, CrontifyError):
        say(error.message)
        return error.exit_code
    if isinstance(error, typer.TyperException):
        if words := _usage(error):
            say(words)
        return error.exit_code
    return tell_internal(error, name)


def tell_internal(error: BaseException, name: str) -> int:
    """Write the traceback of an internal error to a file, print its path; return the exit code."""
    from crontify_cli.crash import keep

    say(f"internal error: {keep(error, name, _mask)}")
    return ExitCode.INTERNAL


def _mask() -> Callable[[str], str]:
    from crontify_cli.report.secrets import full_mask

    return full_mask()


def _usage(error: typer.TyperException) -> str:
    """Return what is wrong with the command line, the nearest valid word, and where to read on.

    Empty if the help was shown instead, as for `crontify` without arguments.
    """
    from crontify_cli.report.mask import Masker
    from crontify_cli.report.secrets import secret_values

    option = getattr(error, "option_name", None)
    nearest = getattr(error, "possibilities", None)
    words = error.format_message()
    if option and nearest is not None:
        words = f"no such option: {option}"
        words += f". Did you mean '{nearest[0]}'?" if nearest else "."
    words = " ".join(words.split())
    if not words:
        return ""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "crontify"
    ending = "" if words.endswith(("?", ".")) else "."
    # An API key typed in the wrong place must not appear in cron mail.
    words = Masker(secret_values(os.environ))(words)
    return f"{words[0].lower()}{words[1:]}{ending} See: {path} --help"


class _Output(io.FileIO):
    """Writes to stdout and keeps the error of a failed write, to tell it from other OSErrors."""

    failure: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int | None:  # type: ignore[override]  # io does the same
        """Write as FileIO does."""
        try:
            return super().write(data)
        except OSError as error:
            self.failure = error
            raise


def _prepare_streams() -> _Output | None:
    """Give every standard stream a file object, and make stdout accept any character.

    Return the raw stream below stdout, None if stdout has been replaced, as in a test.
    """
    # Python sets a stream to None if its descriptor was closed, which typeshed does not know.
    sys.stdin = sys.stdin or open(0)  # noqa: SIM115 - open until the process ends
    sys.stderr = sys.stderr or open(2, "w")  # noqa: SIM115
    if sys.stdout is not sys.__stdout__:
        return None
    encoding = sys.stdout.encoding if sys.stdout else "utf-8"
    raw = _Output(1, "wb", closefd=False)
    if raw.isatty() and os.environ.get("LC_ALL") in ("C", "POSIX"):
        encoding = "ascii"  # Python would write UTF-8 (PEP 540), which the pager would not read
    codecs.register_error(_IN_ASCII, _in_ascii)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors=_IN_ASCII, line_buffering=raw.isatty()
    )
    return raw


_IN_ASCII = "crontify.in_ascii"


def _in_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
    """Show in one column that a cell was cut, and any other character by its code."""
    assert isinstance(error, UnicodeEncodeError)
    words = error.object[error.start : error.end].replace("…", "~")
    return words.encode("ascii", "backslashreplace").decode(), error.end


def _output_failed(failure: OSError) -> int:
    """Report a failed write to stdout, and return the exit code."""
    # Python flushes stdout again when it exits; that must not fail a second time.
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(failure, BrokenPipeError):
        # As in `crontify runs | head -1`: no error, and the exit code of a SIGPIPE.
        return ExitCode.SIGNAL_BASE + _SIGPIPE
    say(f"cannot write to stdout: {failure.strerror or failure}")
    return ExitCode.FAILURE
