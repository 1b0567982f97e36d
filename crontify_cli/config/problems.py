"""What is wrong with the settings, and which of it means that no report must be sent."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from crontify_cli.config import keys

_REPORTING = {
    "",  # a whole file
    *keys.CREDENTIALS["api_key"],
    *("base_url", "allow_http", "proxy", "ca_bundle", "headers"),
    *("monitors", "id", "redact", "no_log"),
}
"""Without these a report may go to the wrong place, or reveal what should be masked."""


class Problem(NamedTuple):
    """One problem with a setting, which is ignored because of it.

    line: for a person; it names the file and the full path of the key.
    key: the name of the setting, or of the one that was probably meant; "" for a whole file.
    monitor: the monitor whose section has the problem, "" for the top and the environment.
    """

    line: str
    key: str
    monitor: str = ""


def obstacles(
    problems: Sequence[tuple[int, Problem]], levels: Sequence[Mapping[str, object]]
) -> dict[str, tuple[str, ...]]:
    """Return the lines of the problems that must be corrected first, by monitor ("" for all).

    problems: each with its level. levels: the settings that were accepted, the most important
        level first. A value at the problem's level or above makes the problem irrelevant, but
        not if values of all levels apply together, as those of a monitor's section do.
    """
    found: dict[str, tuple[str, ...]] = {}
    for level, problem in problems:
        wanted = next(
            (group for group in keys.CREDENTIALS.values() if problem.key in group), (problem.key,)
        )
        enough = () if problem.key in keys.ADDING else levels[: level + 1]
        is_settled = not problem.monitor and any(
            name in upper for upper in enough for name in wanted
        )
        if problem.key in _REPORTING and not is_settled:
            found[problem.monitor] = (*found.get(problem.monitor, ()), problem.line)
    return found
