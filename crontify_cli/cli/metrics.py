"""`crontify metrics`: the runs of this machine as metrics for Prometheus."""

import os
import sys
from typing import Annotated

import typer

from crontify_cli.config import load
from crontify_cli.state import state_dir


def register(app: typer.Typer) -> None:
    """Add `metrics` to the app."""
    app.command(
        "metrics",
        epilog="Example: crontify metrics --output /var/lib/textfile/crontify.prom",
    )(metrics)


def metrics(
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write to this file.", show_default="stdout"
        ),
    ] = None,
) -> None:
    """Print metrics of runs and queue in Prometheus's text format.

    The file is replaced whole, and everybody can read it. The setting metrics_file does the
    same after every run.
    """
    from crontify_cli.delivery.metrics import render, write

    settings = load().settings
    if output is None:
        sys.stdout.write(render(state_dir(), settings).decode())
    else:
        write(os.path.abspath(output), state_dir(), settings)
