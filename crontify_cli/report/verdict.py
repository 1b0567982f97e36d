"""Whether a run counts as a success, and the words for how it ended."""

import os
import signal
from collections.abc import Sequence
from typing import NamedTuple

from crontify_cli.errors import ExitCode
from crontify_cli.values import Codes, format_duration


class Rules(NamedTuple):
    """What counts as a failure. Durations are seconds; None is no rule."""

    success_codes: Codes = ((0, 0),)
    min_duration: float | None = None
    timeout: float | None = None


class Facts(NamedTuple):
    """How the job's process ended.

    status: what wait4 gave; None where the job could not be started, with the cause
        in `problem` and exec's exit code in `exit_code`.
    asked: numbers of the signals with which we were asked to stop.
    """

    status: int | None
    duration: float
    timed_out: bool = False
    asked: Sequence[int] = ()
    problem: str = ""
    exit_code: int = 0


class Verdict(NamedTuple):
    """exit_code: what `exec` returns, whatever the verdict. reason: in words, no full stop."""

    succeeded: bool
    exit_code: int
    reason: str


def judge(facts: Facts, rules: Rules) -> Verdict:
    """Return the verdict on a run: DESIGN's exit codes, and the first rule it breaks."""
    if facts.status is None:
        return Verdict(False, facts.exit_code, facts.problem)
    code = exit_code(facts.status)
    if facts.timed_out:
        limit = format_duration(rules.timeout or facts.duration)
        return Verdict(False, ExitCode.TIMEOUT, f"timed out after {limit}")
    reason = _how(facts.status)
    stops = [signal_name(number) for number in dict.fromkeys(facts.asked)]
    if stops:
        reason += f" (the wrapper was asked to stop by {', '.join(stops)})"
    if os.WIFSIGNALED(facts.status) or not _is_listed(code, rules.success_codes):
        return Verdict(False, code, reason)
    if rules.min_duration is not None and facts.duration < rules.min_duration:
        took, least = format_duration(facts.duration), format_duration(rules.min_duration)
        return Verdict(False, code, f"{reason} after {took}, sooner than the expected {least}")
    return Verdict(True, code, reason)


def exit_code(status: int) -> int:
    """Return the exit code for a wait status: the job's own, or 128 + N for signal N."""
    if os.WIFSIGNALED(status):
        return ExitCode.SIGNAL_BASE + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)


def signal_name(number: int) -> str:
    """Return `SIGTERM` for 15; realtime signals have no names of their own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        dumped = " (core dumped)" if os.WCOREDUMP(status) else ""
        return f"terminated by {signal_name(os.WTERMSIG(status))}{dumped}"
    return f"exited with code {os.WEXITSTATUS(status)}"


def _is_listed(code: int, codes: Codes) -> bool:
    return any(first <= code <= last for first, last in codes)
