"""What a ping makes of a monitor's run, and which alerts it sets off. Pure.

CONTRACT.md, "What the server makes of them", is the source of every rule here.
"""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import NamedTuple

from crontify_cli.model import Meta, Ping, PingKind
from crontify_cli.sandbox.records import AlertDraft, Millis, Operator, Rule, RunStatus
from crontify_cli.values import parse_duration, parse_meta, parse_number

MAX_RULES = 5
LOG_UNITS = 10_000
ERROR_UNITS = 500
ALERT_LOG_UNITS = 1_000
PLANS = {"free": 60_000, "pro": 0}
"""Milliseconds from one ping of a monitor to the next."""

_OPERATORS: dict[str, Operator] = {"lt": "lt", "gt": "gt", "eq": "eq", "ne": "ne"}


class Step(NamedTuple):
    """What becomes of the open run, and the status of the run that is made; None for neither."""

    open_becomes: RunStatus | None
    made: RunStatus | None


def step(kind: PingKind, *, is_open: bool) -> Step:
    """Return what a ping of `kind` does to a monitor with or without a running run."""
    if kind == "start":
        return Step("overlapped" if is_open else None, "running")
    closed: RunStatus = "success" if kind == "success" else "failed"
    return Step(closed, None) if is_open else Step(None, closed)


def matches(rule: Rule, meta: Meta) -> bool:
    """Tell whether `meta` has the rule's field, and its number stands so to the rule's."""
    number = meta.get(rule.field)
    if number is None:
        return False
    return {
        "lt": number < rule.value,
        "gt": number > rule.value,
        "eq": number == rule.value,
        "ne": number != rule.value,
    }[rule.operator]


def alerts_of(ping: Ping, rules: Iterable[Rule]) -> Sequence[AlertDraft]:
    """Return the alerts about the run that `ping` closes."""
    if ping.kind == "fail":
        head = cut(ping.log_output, ALERT_LOG_UNITS) if ping.log_output else None
        return [AlertDraft("failure", ping.error_message or "the job failed", head)]
    if ping.kind == "success":
        return [
            AlertDraft("silent_failure", _silent(rule, ping.meta))
            for rule in rules
            if matches(rule, ping.meta)
        ]
    return []


def _silent(rule: Rule, meta: Meta) -> str:
    return f"{rule.field} is {meta[rule.field]} (the rule: {say(rule)})"


OVERLAP_ALERT = AlertDraft("overlapped", "a new run started before this one had ended")


def seconds_to_wait(last: Millis | None, now: Millis, min_interval: Millis) -> int:
    """Return the whole seconds until the plan allows another ping, 0 if it does now.

    A `last` in the future means that the clock was set back: no reason to wait.
    """
    if last is None or last > now:
        return 0
    return max(0, ceil((last + min_interval - now) / 1000))


def cut(text: str, units: int) -> str:
    """Return the head of `text`, at most `units` UTF-16 units, no character cut in half."""
    if len(text) * 2 <= units:
        return text
    head = text[:units]
    surplus = len(head) + sum(char > "\uffff" for char in head) - units
    while surplus > 0:
        surplus -= utf16_units(head[-1])
        head = head[:-1]
    return head


def utf16_units(text: str) -> int:
    """Return the length of `text` as JavaScript counts it."""
    return len(text) + sum(char > "\uffff" for char in text)


def say(rule: Rule) -> str:
    """Return the rule as `crontify sandbox rule add` takes it."""
    return f"{rule.field} {rule.operator} {tidy(rule.value)}"


def tidy(number: float) -> int | float:
    """Return the number as JavaScript would write it: 1523.0 is 1523."""
    return int(number) if abs(number) <= 2**53 and number.is_integer() else number


def parse_rule(field: str, operator: str, value: str) -> Rule:
    """Return the rule that three words name; raises ValueError with a message for a person."""
    name, _ = parse_meta(f"{field}=0")
    if operator not in _OPERATORS:
        raise ValueError(f"not one of {', '.join(_OPERATORS)}: {operator!r}")
    return Rule(name, _OPERATORS[operator], float(parse_number(value)))


def parse_plan(text: str) -> Millis:
    """Return the pause between pings that `free`, `pro` or a duration names.

    Raises ValueError, with a message for a person, for anything else.
    """
    if text in PLANS:
        return PLANS[text]
    try:
        return round(parse_duration(text) * 1000)
    except ValueError:
        raise ValueError(f"not a plan: {text!r} (write free, pro, or a pause as 30s)") from None
