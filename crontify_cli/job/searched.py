"""The output on its way, searched for the numbers of `--meta-regex`."""

from collections.abc import Mapping, Sequence

from crontify_cli.job.relay import Sink
from crontify_cli.report.patterns import MetaScan


class Searched:
    """A sink that shows what passes through to the search as well.

    Raises RuntimeError if the search's thread cannot be started.
    """

    def __init__(self, sink: Sink, patterns: Sequence[str]) -> None:
        self._sink = sink
        self._scan = MetaScan(patterns)

    def write(self, stream: int, data: memoryview) -> None:
        """Pass `data` on, then have it searched."""
        self._sink.write(stream, data)
        self._scan.feed(bytes(data), stream)

    def finish(self, seconds: float) -> tuple[Mapping[str, int | float], list[str]]:
        """End the search within `seconds`; return the numbers, and warnings for a person."""
        return self._scan.finish(seconds)
