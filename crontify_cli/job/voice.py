"""What `exec` says on stderr while a run goes on."""

from crontify_cli.errors import say


class Voice:
    """Says each line once, however often there is cause for it. For several threads."""

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose
        self._said: set[str] = set()

    def say(self, line: str) -> None:
        """Say a line that a person has to know."""
        if line not in self._said:
            self._said.add(line)
            say(line)

    def trace(self, line: str) -> None:
        """Say a line that only `--verbose` asks for."""
        if self._verbose:
            say(line)
