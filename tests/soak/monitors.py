"""The soak's monitors: which options of exec each one has, and which exit codes mean success."""

import shlex
import sys
from pathlib import Path
from typing import NamedTuple


class Monitor(NamedTuple):
    """A monitor that runs every minute.

    kind: of the job, as `job.py` names it. options: of `crontify exec`. successes: the exit
    codes that are reported as a success. gets_mail: whether cron may send its output by mail.
    """

    name: str
    kind: str
    options: str = ""
    successes: frozenset[int] = frozenset((0,))
    gets_mail: bool = False


MONITORS = (
    Monitor("success", "success"),
    Monitor("traceback", "traceback"),
    Monitor("short", "short"),
    Monitor("forty", "forty"),
    Monitor("allow", "hundred", "--overlap allow"),
    Monitor("skip", "hundred", "--overlap skip"),
    Monitor("wait", "hundred", "--overlap wait"),
    Monitor("big", "big"),
    Monitor("binary", "binary"),
    Monitor("signal", "signal"),
    Monitor("orphan", "orphan"),
    Monitor("timeout", "timeout", "--timeout 5s --kill-after 2s"),
    Monitor("mail", "mail", "--output on-failure", gets_mail=True),
    Monitor("numbers", "numbers"),
    Monitor("tolerated", "tolerated", "--tolerate 2", frozenset((0, 3))),
    Monitor("tidies", "tidies"),
    Monitor("counts", "counts", "--success-codes 0,20-25 --start never", frozenset((0, 22))),
)


def crontab(folder: Path) -> str:
    """Return the lines of a file for /etc/cron.d; everything of the soak is in `folder`."""
    program = Path(sys.executable).with_name("crontify")
    job = Path(__file__).with_name("job.py")
    lines = [
        f"CRONTIFY_CONFIG={folder}/config.toml",
        f"CRONTIFY_STATE_DIR={folder}/state",
        f"TMPDIR={folder}/tmp",
    ]
    for each in MONITORS:
        ledger = folder / "ledger" / each.name
        run = f"{sys.executable} -S {shlex.quote(str(job))} {each.kind} {ledger}"
        lines.append(f'MAILTO="{"root" if each.gets_mail else ""}"')
        lines.append(f"* * * * * root {program} exec {each.name} {each.options} -- {run}")
    return "\n".join(lines) + "\n"
