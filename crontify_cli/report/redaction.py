"""What takes secrets out of a run's texts: the built-in masks, then the user's patterns."""

import time
from collections.abc import Callable, Sequence

SECONDS = 3.0
"""How long a user's patterns may take for all texts of a run together."""
LEAST = 0.25
"""What each text gets even when that is used up: enough for a pattern that does no harm."""
WITHHELD = "[log withheld: a --redact pattern could not be applied in time]"


def redaction(masker: Callable[[str], str], patterns: Sequence[str]) -> Callable[[str], str]:
    """Return the mask for a run's texts: `masker`, then whatever `patterns` match.

    A text that a pattern could not be applied to in time becomes WITHHELD. The mask
    may be used by several threads.
    """
    return Redaction(masker, patterns) if patterns else masker


class Redaction:
    """A mask whose patterns run in a child process, within a time for all texts together."""

    def __init__(self, masker: Callable[[str], str], patterns: Sequence[str]) -> None:
        self._masker = masker
        self._patterns = list(patterns)
        self._left = SECONDS
        self._known: dict[str, str] = {"": ""}

    def __call__(self, text: str) -> str:
        """Return `text` without what the masks match; the same text is asked for only once."""
        if text not in self._known:
            self._known[text] = self._redact(self._masker(text))
        return self._known[text]

    def _redact(self, text: str) -> str:
        from crontify_cli.report.patterns import redact

        began = time.monotonic()
        redacted = redact(text, self._patterns, max(self._left, LEAST))
        self._left -= time.monotonic() - began
        return WITHHELD if redacted is None else redacted
