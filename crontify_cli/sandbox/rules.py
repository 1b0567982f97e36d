"""The rules of the API: which run a ping opens or closes, and which alerts it triggers.

Pure functions. CONTRACT.md, "What the server makes of them", is the source of every rule.
"""

from collections.abc import Callable, Iterable, Sequence
from math import ceil
from operator import eq, gt, lt, ne
from typing import NamedTuple

from crontify_cli.model import Meta, Ping, PingKind
from crontify_cli.sandbox.records import (
    AlertDraft,
    Millis,
    MonitorState,
    Operator,
    Rule,
    RunStatus,
)
from crontify_cli.values import parse_duration, parse_meta, parse_number

MAX_RULES = 5
LOG_UNITS = 10_000
ERROR_UNITS = 500
ALERT_LOG_UNITS = 1_000
PLANS = {"free": 60_000, "pro": 0}
"""The minimum interval between two pings of a monitor, in milliseconds."""
DETECT_EVERY = 60.0
"""Seconds between two runs of detection."""
OVERLAP_ALERT = AlertDraft("overlapped", "a new run started before this one ended")

_Comparison = Callable[[float, float], bool]
_COMPARISONS: dict[Operator, _Comparison] = {"lt": lt, "gt": gt, "eq": eq, "ne": ne}


class Transition(NamedTuple):
    """The new status of the open run, and the status of the run to create; None for neither."""

    open_becomes: RunStatus | None
    created: RunStatus | None


def transition(kind: PingKind, open_status: RunStatus | None) -> Transition:
    """Return what a ping of `kind` does to a monitor; `open_status`: its open run's, if any.

    A hung run is open, since it may end after all; but it is not overlapped by the next start.
    """
    if kind == "start":
        return Transition("overlapped" if open_status == "running" else open_status, "running")
    closed: RunStatus = "success" if kind == "success" else "failed"
    return Transition(closed, None) if open_status else Transition(None, closed)


def state_of(
    *, paused: bool, last_ping_at: Millis | None, last_ended: RunStatus | None
) -> MonitorState:
    """Return a monitor's state; `last_ended`: of its newest run not running or overlapped."""
    if paused:
        return "paused"
    if last_ping_at is None:
        return "waiting"
    return "failing" if last_ended in ("failed", "missed", "hung") else "active"


def alerts_for(ping: Ping, rules: Iterable[Rule]) -> Sequence[AlertDraft]:
    """Return the alerts about the run that `ping` closes."""
    if ping.kind == "fail":
        head = truncate(ping.log_output, ALERT_LOG_UNITS) if ping.log_output else None
        return [AlertDraft("failure", ping.error_message or "the job failed", head)]
    if ping.kind == "start":
        return []
    return [
        AlertDraft(
            "silent_failure",
            f"{rule.field} is {ping.meta[rule.field]} (the rule: {format_rule(rule)})",
        )
        for rule in rules
        if matches(rule, ping.meta)
    ]


def matches(rule: Rule, meta: Meta) -> bool:
    """Tell whether `meta` has the rule's field and its number satisfies the comparison."""
    number = meta.get(rule.field)
    return number is not None and _COMPARISONS[rule.operator](number, rule.value)


def seconds_to_wait(last: Millis | None, now: Millis, min_interval: Millis) -> int:
    """Return the whole seconds until the plan allows another ping, 0 if it does now.

    If `last` is in the future, the clock was set back: that is no reason to wait.
    """
    if last is None or last > now:
        return 0
    return max(0, ceil((last + min_interval - now) / 1000))


def truncate(text: str, units: int) -> str:
    """Return the beginning of `text`, at most `units` UTF-16 units, without splitting a pair."""
    if len(text) * 2 <= units:
        return text
    head = text[:units]
    surplus = utf16_units(head) - units
    while surplus > 0:
        surplus -= utf16_units(head[-1])
        head = head[:-1]
    return head


def utf16_units(text: str) -> int:
    """Return the length of `text` as JavaScript counts it."""
    return len(text) + sum(char > "\uffff" for char in text)


def simplify(number: float) -> int | float:
    """Return the number as JavaScript prints it: 1523.0 becomes 1523."""
    return int(number) if abs(number) <= 2**53 and number.is_integer() else number


def format_rule(rule: Rule) -> str:
    """Return the rule as `crontify sandbox rule add` accepts it."""
    return f"{rule.field} {rule.operator} {simplify(rule.value)}"


def parse_rule(field: str, operator: str, value: str) -> Rule:
    """Return the rule given by three words; raises ValueError with a message for the user."""
    name, _ = parse_meta(f"{field}=0")
    for known in _COMPARISONS:
        if operator == known:
            return Rule(name, known, float(parse_number(value)))
    raise ValueError(f"not one of {', '.join(_COMPARISONS)}: {operator!r}")


def parse_plan(text: str) -> Millis:
    """Return the minimum interval for `free`, `pro` or a duration.

    Raises ValueError, with a message for the user, for anything else.
    """
    if text in PLANS:
        return PLANS[text]
    try:
        return round(parse_duration(text) * 1000)
    except ValueError:
        raise ValueError(
            f"not a plan: {text!r}; use free, pro, or a duration such as 30s"
        ) from None


def parse_interval(text: str) -> float:
    """Return the seconds between two runs of detection; raises ValueError."""
    seconds = parse_duration(text)
    if not 0.1 <= seconds <= 3600:
        raise ValueError(f"the interval must be between 0.1s and 1h, not {text!r}")
    return seconds
