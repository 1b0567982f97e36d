"""One `exec`, from the command line to the exit code."""

from crontify_cli.job.options import ExecOptions


def run(options: ExecOptions) -> int:
    raise SystemExit(f"{options.monitor} {options.command} {options.timeout}")
