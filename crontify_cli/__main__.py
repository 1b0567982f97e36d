"""The program: `exec` and a TAB's questions by the fast path, everything else by Typer."""

import os
import sys


def main() -> int:
    """Run the command line in `sys.argv` and return the exit code."""
    code = _run(sys.argv[1:])
    if sys.flags.inspect:  # PYTHONINSPECT, meant for the job: sys.exit would begin a prompt
        os._exit(code)
    return code


def _run(args: "list[str]") -> int:
    try:
        if sys.warnoptions:
            _ignore_warnings()
        if os.environ.get("PYTHONTRACEMALLOC"):  # it makes the start several times as long
            import _tracemalloc

            _tracemalloc.stop()
        _put_the_jobs_modules_last()
        if args and args[0] == "exec":
            from crontify_cli.job.options import scan

            options = scan(args[1:])
            if options is not None:
                from crontify_cli.job.wrapper import run

                return run(options)
        elif args and args[0] == "__complete":
            from crontify_cli.complete import answer

            return answer(args[1:])
        from crontify_cli.cli.app import run_app

        return run_app(args)
    except KeyboardInterrupt:
        return 130  # before anything was ready to handle it
    except Exception as error:
        from crontify_cli.cli.boundary import tell_internal

        return tell_internal(error, "exec" if args[:1] == ["exec"] else "crontify")


def _ignore_warnings() -> None:
    """Undo PYTHONWARNINGS and PYTHONDEVMODE, which are meant for the job.

    Otherwise a warning of one of our libraries appears in cron's mail, or becomes an exception.
    """
    import warnings  # loaded by the interpreter, because of the variable

    warnings.resetwarnings()
    warnings.simplefilter("ignore")


def _put_the_jobs_modules_last() -> None:
    """Let no module from PYTHONPATH, which is meant for the job, stand in for one of ours."""
    named = os.environ.get("PYTHONPATH")
    if not named:
        return
    folders = {os.path.abspath(folder) for folder in named.split(os.pathsep)}
    if os.path.dirname(os.path.dirname(os.path.abspath(__file__))) not in folders:
        sys.path.sort(key=folders.__contains__)


if __name__ == "__main__":
    sys.exit(main())
