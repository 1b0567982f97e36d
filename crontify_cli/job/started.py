"""A run as it stands at the spawn: what the wrapper hands to whoever sees to the rest."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
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
