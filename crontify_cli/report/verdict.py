"""Whether a run counts as a success, and the words for how it ended."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from crontify_cli.errors import ExitCode
from crontify_cli.values import Codes, format_duration, parse_codes

if TYPE_CHECKING:
    from crontify_cli.config import MonitorSettings


class Rules(NamedTuple):
    """What counts as a failure. Durations are seconds; None is no rule.

    tolerate: how many failures in a row are reported as success.
    """

    success_codes: Codes = ((0, 0),)
    min_duration: float | None = None
    timeout: float | None = None
    tolerate: int = 0


def read_rules(flags: str, monitor: "MonitorSettings | None") -> Rules:
    """Return the rules that flags set, or else the monitor's settings.

    flags: as `job.launched.rules_text` writes them, `success_codes=0-0,24-24 timeout=60.0`.
    """
    said = dict(word.split("=", 1) for word in flags.split())
    codes = parse_codes(said["success_codes"]) if "success_codes" in said else None
    return Rules(
        codes or (monitor and monitor.success_codes) or Rules().success_codes,
        float(said["min_duration"]) if "min_duration" in said else monitor and monitor.min_duration,
        float(said["timeout"]) if "timeout" in said else monitor and monitor.timeout,
        int(said["tolerate"]) if "tolerate" in said else (monitor and monitor.tolerate) or 0,
    )


class Facts(NamedTuple):
    """How the job's process ended.

    status: its wait status; None if the job could not be started, with the cause in
        `problem` and exec's exit code in `exit_code`.
    received_signals: the signals with which we were asked to stop.
    """

    status: int | None
    duration: float
    timed_out: bool = False
    received_signals: Sequence[int] = ()
    problem: str = ""
    exit_code: int = 0


class Verdict(NamedTuple):
    """exit_code: what `exec` returns, whatever the verdict. reason: in words, no full stop."""

    succeeded: bool
    exit_code: int
    reason: str


def judge(facts: Facts, rules: Rules) -> Verdict:
    """Return the verdict on a run: its exit code, and the first rule that it breaks."""
    if facts.status is None:
        return Verdict(False, facts.exit_code, facts.problem)
    code = exit_code(facts.status)
    if facts.timed_out:
        limit = format_duration(rules.timeout or facts.duration)
        return Verdict(False, ExitCode.TIMEOUT, f"timed out after {limit}")
    reason = _how(facts.status)
    stops = [signal_name(number) for number in dict.fromkeys(facts.received_signals)]
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
    import signal

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
