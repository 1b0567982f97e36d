"""The doctor's check of variables that are meant for Python jobs, but reach crontify's Python.

The first line of an installed script names the interpreter, but no option: pip does not
write any. So Python reads these variables before crontify can ignore them.
"""

import os
import sys
from collections.abc import Iterator, Mapping

from crontify_cli.cli.crontab_line import quoted_program
from crontify_cli.cli.doctor.check import Check

_FATAL = ("PYTHONHOME", "PYTHONPLATLIBDIR")
_NOISY = ("PYTHONVERBOSE", "PYTHONPROFILEIMPORTTIME", "PYTHONDUMPREFS", "PYTHONMALLOCSTATS")
_CUSTOMIZE = ("sitecustomize", "usercustomize")


def check_interpreter(environ: Mapping[str, str], program: str) -> Check:
    """Check which of the variables matter under cron.

    environ: the environment of a cron job. program: the absolute path of this one.
    """
    if sys.flags.ignore_environment:
        return Check("interpreter", "ok", "ignores the job's PYTHON... variables")
    found = list(_effects(environ))
    if not found:
        return Check("interpreter", "ok", "no PYTHON... variable affects crontify under cron")
    is_fatal = any(environ.get(name) for name in _FATAL)
    advice = f"run sed -i '1s/$/ -E/' {quoted_program(program)} after each installation"
    return Check("interpreter", "failure" if is_fatal else "warning", "; ".join(found), advice)


def _effects(environ: Mapping[str, str]) -> Iterator[str]:
    for name in _FATAL:
        if environ.get(name):
            yield f"{name} keeps crontify's own Python from starting"
    for folder in filter(None, environ.get("PYTHONPATH", "").split(os.pathsep)):
        for module in _CUSTOMIZE:
            path = os.path.join(folder, module)
            if os.path.exists(f"{path}.py") or os.path.isdir(path):
                yield f"{path} from PYTHONPATH runs inside crontify, too"
    for name in _NOISY:
        if environ.get(name):
            yield f"{name} makes crontify's own Python print to the job's stderr"
