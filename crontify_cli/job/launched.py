"""A run right after its spawn: what the wrapper hands to the supervisor."""

import os

from crontify_cli.errors import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from crontify_cli.config import MonitorSettings
    from crontify_cli.delivery.reporter import Reporter
    from crontify_cli.job.options import ExecOptions
    from crontify_cli.job.overlap import Lock
    from crontify_cli.job.process import Process
    from crontify_cli.job.recorder import Recorder
    from crontify_cli.job.sinks import Sink
    from crontify_cli.job.steps import Steps


class LaunchedRun:
    """A run whose job has been spawned, or could not be.

    streams: the read ends of the job's pipes that are still open, each with 1 for stdout
        or 2 for stderr.
    problem: why there is no job, with `exit_code` for it; empty if there is one.
    warnings: lines for a person.
    unwritten: functions that write to a sink what was read of the output but has not been
        passed on, oldest output first; called again, they write nothing twice.
    reporter: the thread that reports the run, once it was started.
    lock: the overlap lock, None without `--overlap`.
    steps: notes the steps of the run, None without `-vv`.
    """

    def __init__(self, options: "ExecOptions", process: "Process", recorder: "Recorder") -> None:
        self.options = options
        self.process = process
        self.recorder = recorder
        self.command = command_line(options)
        self.streams: dict[int, int] = {}
        self.problem = ""
        self.exit_code = 0
        self.warnings: list[str] = []
        self.unwritten: list[Callable[[Sink], None]] = []
        self.reporter: Reporter | None = None
        self.lock: Lock | None = None
        self.steps: Steps | None = None

    def release_lock(self) -> None:
        """Let the next run of the monitor begin, once the job has ended."""
        if self.lock:
            self.lock.release()


def command_line(options: "ExecOptions") -> "list[str]":
    """Return the words to execute: the command's own, or a shell's with the command in it."""
    if options.shell:
        return [choose_shell()[0], "-c", options.command[0]]
    return options.command


def choose_shell() -> "tuple[str, str]":
    """Return the shell for `--shell`: $SHELL, or else /bin/sh, with the reason if SHELL is odd.

    The accounts of services have `nologin` or `false` as their shell, which run no command.
    """
    shell = os.environ.get("SHELL") or "/bin/sh"
    if os.path.basename(shell) in ("nologin", "false"):
        return "/bin/sh", f"SHELL is {shell}, which runs no commands: --shell uses /bin/sh"
    return shell, ""


def rules_text(options: "ExecOptions") -> str:
    """Return what the flags say of success and failure, for the record of the run."""
    said = {
        "success_codes": ",".join(f"{first}-{last}" for first, last in options.success_codes or ()),
        "min_duration": options.min_duration,
        "timeout": options.timeout,
        "tolerate": options.tolerate,
    }
    return " ".join(f"{name}={value}" for name, value in said.items() if value not in ("", None))


class Notices:
    """What `exec` says on stderr while a run goes on; each line once. For several threads.

    steps: notes the steps of the run, for `-vv`; None without it.
    """

    def __init__(self, *, verbose: bool, steps: "Steps | None") -> None:
        self._verbose = verbose
        self.steps = steps
        self._said: set[str] = set()

    def say(self, line: str) -> None:
        """Print a line that a person has to know."""
        if line not in self._said:
            self._said.add(line)
            say(line)

    def has_said(self, words: str) -> bool:
        """Tell whether a line with these words was printed."""
        return any(words in line for line in self._said)

    def trace(self, line: str) -> None:
        """Print a line that only `--verbose` asks for."""
        if self.steps:
            self.steps.note(line)
        elif self._verbose:
            say(line)


def run_mask(
    options: "ExecOptions", monitor: "MonitorSettings | None", secrets: "tuple[str, ...]"
) -> "Callable[[str], str]":
    """Return a function that masks the secrets in a text.

    They are `secrets` (our key and token), those of the environment, whatever the
    patterns of the flags and of the monitor's settings match, and, unless the monitor's
    settings turn this off, what looks like a secret.
    """
    from crontify_cli.report.mask import Masker
    from crontify_cli.report.secrets import known_secrets

    shapes = monitor is None or monitor.mask_shapes
    masker = Masker(known_secrets(), secrets, shapes=shapes)
    patterns = [*(monitor.redact if monitor else ()), *options.redact]
    if not patterns:
        return masker
    from crontify_cli.report.patterns import redaction

    return redaction(masker, patterns)
