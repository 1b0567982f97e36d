"""Arguments and options that several commands take, and values parsed by our own functions."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from crontify_cli.values import parse_monitor

Value = TypeVar("Value")


def parsed_by(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """Return `parse` with its ValueError as a usage error; Typer alone would drop the message."""

    def parser(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return parser


def parsed_option(
    parse: Callable[[str], object], metavar: str, words: str, show_default: str | bool = False
) -> Any:  # Typer's own type
    """Return an option whose value is parsed by `parse`, which may raise ValueError."""
    return typer.Option(
        parser=parsed_by(parse), metavar=metavar, help=words, show_default=show_default
    )


AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON list.")]
_MONITOR_HELP = "An alias from the config file, or a monitor id."
Monitor = Annotated[
    str,
    typer.Argument(
        help=_MONITOR_HELP,
        parser=parsed_by(parse_monitor),
        metavar="MONITOR",
        show_default=False,
    ),
]
Monitors = Annotated[
    list[str] | None,
    typer.Argument(help=_MONITOR_HELP, metavar="[MONITOR]...", show_default="every monitor"),
]
OptionalMonitor = Annotated[
    str | None,
    typer.Argument(help=_MONITOR_HELP, metavar="[MONITOR]", show_default="every monitor"),
]
