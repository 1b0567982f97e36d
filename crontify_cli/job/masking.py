"""The mask of a run: our secrets, the environment's, and what flags and config name."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from crontify_cli.job.options import ExecOptions

if TYPE_CHECKING:
    from crontify_cli.config import MonitorSettings


def run_mask(
    options: ExecOptions, monitor: "MonitorSettings | None", secrets: tuple[str, ...]
) -> Callable[[str], str]:
    """Return what takes secrets out of a text; `secrets` are our own."""
    from crontify_cli.report.mask import Masker, known_secrets
    from crontify_cli.report.patterns import redaction

    patterns = [*(monitor.redact if monitor else ()), *options.redact]
    return redaction(Masker(known_secrets(), secrets), patterns)


class Masks:
    """A run's mask, one for all its texts as long as no more secrets become known.

    The time that its patterns take is so counted together.
    """

    def __init__(self, options: ExecOptions) -> None:
        self._options = options
        self._made: dict[tuple[str, ...], Callable[[str], str]] = {}

    def __call__(
        self, monitor: "MonitorSettings | None", secrets: tuple[str, ...]
    ) -> Callable[[str], str]:
        """Return the mask that also knows `secrets`."""
        if secrets not in self._made:
            self._made[secrets] = run_mask(self._options, monitor, secrets)
        return self._made[secrets]
