"""A run as it stands at the spawn: what the wrapper hands to whoever sees to the rest."""

import os

from crontify_cli.errors import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from crontify_cli.config import MonitorSettings
    from crontify_cli.job.options import ExecOptions
    from crontify_cli.job.process import Process
    from crontify_cli.job.recorder import Recorder


class Started:
    """What the supervisor takes over.

    streams: the read ends of the job's pipes that are still open, each with 1 for stdout
    or 2 for stderr. problem: why there is no job, with `exit_code` for it; empty if there
    is one. warnings: lines for a person.
    """

    __slots__ = (
        "command",
        "exit_code",
        "options",
        "problem",
        "process",
        "recorder",
        "streams",
        "warnings",
    )

    def __init__(self, options: "ExecOptions", process: "Process", recorder: "Recorder") -> None:
        self.options = options
        self.process = process
        self.recorder = recorder
        self.command = command_line(options)
        self.streams: dict[int, int] = {}
        self.problem = ""
        self.exit_code = 0
        self.warnings: list[str] = []


def command_line(options: "ExecOptions") -> "list[str]":
    """Return the words to execute: the command's own, or a shell's with the command in it."""
    if options.shell:
        return [os.environ.get("SHELL") or "/bin/sh", "-c", options.command[0]]
    return options.command


class Voice:
    """Says each line once, however often there is cause for it. For several threads."""

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose
        self._said: set[str] = set()

    def say(self, line: str) -> None:
        """Say a line that a person has to know."""
        if line not in self._said:
            self._said.add(line)
            say(line)

    def trace(self, line: str) -> None:
        """Say a line that only `--verbose` asks for."""
        if self._verbose:
            say(line)


def run_mask(
    options: "ExecOptions", monitor: "MonitorSettings | None", secrets: "tuple[str, ...]"
) -> "Callable[[str], str]":
    """Return what takes secrets out of a text; `secrets` are our own."""
    from crontify_cli.report.mask import Masker, known_secrets
    from crontify_cli.report.redaction import redaction

    patterns = [*(monitor.redact if monitor else ()), *options.redact]
    return redaction(Masker(known_secrets(), secrets), patterns)


class Masks:
    """A run's mask, one for all its texts as long as no more secrets become known.

    The time that its patterns take is so counted together.
    """

    def __init__(self, options: "ExecOptions") -> None:
        self._options = options
        self._made: dict[tuple[str, ...], Callable[[str], str]] = {}

    def __call__(
        self, monitor: "MonitorSettings | None", secrets: "tuple[str, ...]"
    ) -> "Callable[[str], str]":
        """Return the mask that also knows `secrets`."""
        if secrets not in self._made:
            self._made[secrets] = run_mask(self._options, monitor, secrets)
        return self._made[secrets]
