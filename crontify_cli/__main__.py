"""The program: `exec` and a TAB's questions by the fast path, everything else by Typer."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> int:
    """Run the command line in `sys.argv` and return the exit code."""
    args = sys.argv[1:]
    try:
        if args and args[0] == "exec":
            from crontify_cli.job.options import scan

            options = scan(args[1:])
            if options is not None:
                from crontify_cli.job.wrapper import run

                return run(options, _show_wait)
        elif args and args[0] == "__complete":
            from crontify_cli.candidates import answer

            return answer(args[1:])
        from crontify_cli.cli.app import run_app

        return run_app(args)
    except KeyboardInterrupt:
        return 130  # before anything was ready to handle it
    except Exception as error:
        from crontify_cli.cli.boundary import tell_internal

        return tell_internal(error, "exec" if args[:1] == ["exec"] else "crontify")


def _show_wait(monitor: str, seconds_left: "Callable[[], float | None]") -> "Callable[[], None]":
    from crontify_cli.cli.waiting import show_wait

    return show_wait(monitor, seconds_left)


if __name__ == "__main__":
    sys.exit(main())
