"""A command that takes a run by its position: `-1` is the last one."""

import re

import typer

from crontify_cli.cli.help import Command

FROM_THE_END = re.compile(r"-[1-9]\d{0,8}")
"""A run by its position, `-2` for the one before the last."""


def is_position(word: str | None) -> bool:
    """Whether a word is a run by its position."""
    return word is not None and FROM_THE_END.fullmatch(word) is not None


class RunCommand(Command):
    """Reads `-1` as a run, not as an option."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer's own Context
        """Parse as Typer does, after moving the positions behind a `--`."""
        runs = [
            word
            for at, word in enumerate(args)
            if FROM_THE_END.fullmatch(word) and args[at - 1 : at] not in (["-n"], ["--lines"])
        ]
        if runs and "--" not in args:
            args = [*(word for word in args if word not in runs), "--", *runs]
        return super().parse_args(ctx, args)
