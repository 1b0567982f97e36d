"""What `crontify doctor` finds, check by check."""

from typing import Literal, NamedTuple

Result = Literal["ok", "warning", "failure", "skipped"]


class Check(NamedTuple):
    """One line of the doctor's.

    check: the same word in every version. result: "skipped" where a failure before it
        leaves nothing to look at. found: in words. advice: what to do, None for nothing.
    """

    check: str
    result: Result
    found: str
    advice: str | None = None


def as_json(check: Check) -> dict[str, object]:
    """Return the check's object: docs/output.md names the keys."""
    return check._asdict()


def as_fields(check: Check) -> tuple[object, ...]:
    """Return result, check, what was found and what to do; None for nothing."""
    return (check.result, check.check, check.found, check.advice)
