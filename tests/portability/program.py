"""`crontify` on a system that lacks something: `python program.py FEATURE,… ARGS`."""

import runpy
import sys

if __name__ == "__main__":
    from features import hide, parse  # beside this script

    hide(parse(sys.argv.pop(1)))
    sys.path[0] = ""  # the working directory, as for `python -m`
    runpy.run_module("crontify_cli", run_name="__main__", alter_sys=True)
