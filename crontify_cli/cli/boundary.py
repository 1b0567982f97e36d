"""The one boundary for errors: whatever a command raises becomes a line and an exit code."""

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from crontify_cli.errors import CrontifyError, ExitCode, say

if TYPE_CHECKING:
    from threading import ExceptHookArgs

    from _typeshed import ReadableBuffer

_SIGPIPE = 13  # the same on every system that we run on


def guarded(command: Callable[[], object], name: str) -> int:
    """Run a command and return the exit code; no traceback and nothing broken is seen outside.

    name: of the command, for the file with the traceback of an internal error.
    """
    out = _hold_standard_streams()
    before = threading.excepthook
    threading.excepthook = lambda failed: _thread_failed(failed, name)
    code: int = ExitCode.OK
    try:
        command()
        sys.stdout.flush()
    except BaseException as error:
        # rich answers a reader that has left by ending the process.
        if out and out.failure and isinstance(error, OSError | SystemExit):
            return _output_failed(out.failure)
        code = _explain(error, name)
        with contextlib.suppress(OSError):
            sys.stdout.flush()
    finally:
        threading.excepthook = before
    return _output_failed(out.failure) if out and out.failure else code


def _explain(error: BaseException, name: str) -> int:
    """Say on stderr what went wrong, if anything did; return the exit code."""
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
    """Keep the traceback of a fault of ours in a file, name it on stderr; return the exit code."""
    from crontify_cli.crash import keep

    kept = keep(error, name, _mask)
    say(f"internal error: {kept.words}; {kept.place}")
    return ExitCode.INTERNAL


def _mask() -> Callable[[str], str]:
    from crontify_cli.report.mask import full_mask

    return full_mask()


def _usage(error: typer.TyperException) -> str:
    """Return what is wrong with the command line, what was meant, and where to read on.

    Empty where the help has been shown already, as for `crontify` alone.
    """
    from crontify_cli.report.mask import Masker, secret_values

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
    # A key typed in the wrong place would stand in the cron mail.
    words = Masker(secret_values(os.environ))(words)
    return f"{words[0].lower()}{words[1:]}{ending} See: {path} --help"


class _Output(io.FileIO):
    """Our stdout; keeps the error that ended it, to be told from any other OSError."""

    failure: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int | None:  # type: ignore[override]  # as io has it
        """Write as FileIO does."""
        try:
            return super().write(data)
        except OSError as error:
            self.failure = error
            raise


def _hold_standard_streams() -> _Output | None:
    """Open what is closed of 0, 1 and 2: no file of ours may land there, and no print may fail.

    What a stream cannot encode is shown as `?` rather than raised. Return the stream
    that stdout writes to, None where a test has put something else in its place.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    # typeshed has them always there; Python itself sets None for what was closed.
    sys.stdin = sys.stdin or open(0)  # noqa: SIM115 - lasts as long as the process
    sys.stderr = sys.stderr or open(2, "w")  # noqa: SIM115
    if sys.stdout is not sys.__stdout__:
        return None
    encoding = sys.stdout.encoding if sys.stdout else "utf-8"
    raw = _Output(1, "wb", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors="replace", line_buffering=raw.isatty()
    )
    return raw


def _output_failed(failure: OSError) -> int:
    """Drop what cannot be written any more, so that Python's own end is quiet, too."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(failure, BrokenPipeError):
        # `crontify runs | head -1`: no fault, and the code that a SIGPIPE would have brought.
        return ExitCode.SIGNAL_BASE + _SIGPIPE
    say(f"cannot write to stdout: {failure.strerror or failure}")
    return ExitCode.FAILURE


def _thread_failed(failed: "ExceptHookArgs", name: str) -> None:
    if failed.exc_value is not None:
        tell_internal(failed.exc_value, name)
