"""How what clients sent is said to a person."""

from collections.abc import Sequence

from crontify_cli.model import Meta

_OF_EXEC = (
    *("exit_code", "duration_ms", "user_cpu_ms", "system_cpu_ms", "max_rss_kb", "output_bytes"),
    "late_seconds",
)
"""What `crontify exec` adds to every report: the last that anyone looks for."""


def plain(text: str) -> str:
    """Return `text` on one line and without what would steer the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def pairs(meta: Meta) -> Sequence[str]:
    """Return `name=number` of each, the job's own numbers before those that exec adds."""
    ordered = sorted(meta.items(), key=lambda item: item[0] in _OF_EXEC)
    return [f"{plain(name)}={number}" for name, number in ordered]
