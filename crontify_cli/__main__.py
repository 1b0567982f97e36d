"""The program: `exec` by the fast path, everything else by Typer."""

import sys


def main() -> int:
    """Run the command line in `sys.argv` and return the exit code."""
    args = sys.argv[1:]
    if args and args[0] == "exec":
        from crontify_cli.job.options import scan

        options = scan(args[1:])
        if options is not None:
            from crontify_cli.job.wrapper import run

            return run(options)
    from crontify_cli.cli.app import run_app

    return run_app(args)


if __name__ == "__main__":
    sys.exit(main())
