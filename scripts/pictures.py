"""Draw the pictures in the README: real commands on a terminal, with invented runs, as SVG.

    .venv/bin/python scripts/pictures.py            # those of the README, in docs/
    .venv/bin/python scripts/pictures.py FOLDER     # all pictures, with 80 and 140 columns

The clock is fixed and the runs come from a fixed random seed, so that the same code draws
the same pictures. The network is not used.
"""

import fcntl
import io
import os
import pty
import random
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

from crontify_cli.delivery import journal as journal_module
from crontify_cli.delivery.journal import Journal, ReportState
from crontify_cli.model import Ending, Outcome, Ping, Run
from crontify_cli.report.locallog import write_log

NOW = 1_794_459_600.0  # 2026-11-12 05:00 UTC
PROGRAM = (
    "import time; time.time = lambda: {now}\n"
    "import sys\nfrom crontify_cli.__main__ import main\nsys.exit(main())"
)
MONITORS = {
    "backup": (7200.0, 86400.0, 754.0, 0.02),
    "invoices": (2700.0, 3600.0, 42.0, 0.06),
    "sync-inventory": (600.0, 600.0, 3.1, 0.01),
    "newsletter": (4 * 86400.0, 7 * 86400.0, 1910.0, 0.0),
}
"""Seconds since the latest run, between two runs, and of a run; rate of failures."""
TRACEBACK = """\
importing invoices of 2026-11-12
  1 of 214 …
 17 of 214 …
Traceback (most recent call last):
  File "/srv/invoices.py", line 88, in <module>
    main()
  File "/srv/invoices.py", line 61, in main
    total = Decimal(row["total"])
decimal.InvalidOperation: [<class 'decimal.ConversionSyntax'>]
"""
CAUSE = "exited with code 1: decimal.InvalidOperation: [<class 'decimal.ConversionSyntax'>]"
PICTURES = {
    "runs": ["runs"],
    "stats": ["runs", "--stats"],
    "status": ["status"],
    "show": ["show", "invoices"],
    "queue": ["queue"],
    "logs": ["logs", "invoices", "--local"],
    "doctor": ["doctor"],
    "help": ["--help"],
}
README = (("status", 84), ("runs", 84), ("show", 84))

# Without rich's web font: pictures in a README cannot load one.
FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g></g></svg>
"""


def main() -> int:
    """Draw the pictures; return the exit code."""
    folder = Path(__file__).resolve().parent.parent / "docs"
    wanted = [(name, columns) for name, columns in README]
    named = len(sys.argv) > 1
    if named:
        folder = Path(sys.argv[1])
        wanted = [(name, columns) for name in PICTURES for columns in (80, 140)]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as state:
        _make_history(state)
        for name, columns in wanted:
            shown = _screen(PICTURES[name], columns, state)
            file = folder / (f"{name}-{columns}.svg" if named else f"{name}.svg")
            file.write_text(_svg(shown, columns, name, " ".join(PICTURES[name])))
            print(file)
    return 0


def _make_history(state: str) -> None:
    chance = random.Random(4)
    runs = [
        (NOW - newest - at * every + chance.random() * 5, monitor, at)
        for monitor, (newest, every, _, _) in MONITORS.items()
        for at in range(int(min(150, 30 * 86400 / every)))
    ]
    journal = Journal.open(state)
    clock = journal_module.time
    for began, monitor, at in sorted(runs):
        _, _, usual, failing = MONITORS[monitor]
        duration = usual * chance.lognormvariate(0, 0.25)
        outcome: Outcome = "fail" if chance.random() < failing else "success"
        report: ReportState = "delivered"
        error = ""
        settled = began + duration + 0.3
        if (monitor, at) == ("invoices", 0):
            outcome, duration = "fail", 17.2
        elif (monitor, at) == ("sync-inventory", 0):
            report = "queued"
            error = f"success of {monitor}: no answer from api.crontify.com within 10s"
        elif (monitor, at) == ("sync-inventory", 3):
            settled += 780
        elif (monitor, at) == ("sync-inventory", 5):
            duration = usual * 1.9
        elif (monitor, at) == ("invoices", 1):
            outcome, duration = "skipped", 0.0
        words = "skipped: another run was going on" if outcome == "skipped" else ""
        run_id = f"{chance.getrandbits(48):012x}"
        run = Run(
            run_id, monitor, f"cl{monitor[:4]}", "https://api.crontify.com/api/v1",
            ("python3", f"/srv/{monitor}.py"), (1, 1), (1, 1), "", began,
        )  # fmt: skip
        code = {"fail": 1, "skipped": 75}.get(outcome, 0)
        ending = Ending(
            outcome, words or f"exited with code {code}", code, began + duration, duration
        )
        ping = None
        if outcome != "skipped":
            kind = "fail" if outcome == "fail" else "success"
            ping = Ping(run.monitor_id, kind, error_message=CAUSE if kind == "fail" else None)
        report_id = journal.finish(run, ending, ping, None)
        if outcome == "fail":
            write_log(state, run_id, TRACEBACK)
        if report_id:
            real = clock.time
            clock.time = lambda settled=settled: settled  # type: ignore[assignment]
            journal.settle(report_id, report, error=error)
            clock.time = real
    journal.close()


def _screen(args: list[str], columns: int, state: str) -> str:
    """Return the output of a command on a terminal with that many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, columns, 0, 0))
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": state,
        "TERM": "xterm-256color",
        "TZ": "UTC",
        "LANG": "C.UTF-8",
        "CRONTIFY_STATE_DIR": state,
        "CRONTIFY_PAGER": "",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(now=NOW), *args],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environ,
    )
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:  # EIO: the other end of the terminal was closed
        pass
    process.wait()
    os.close(ours)
    return _as_left_standing(b"".join(parts).decode().replace("\r\n", "\n"))


def _as_left_standing(shown: str) -> str:
    """Remove live lines, which were erased again."""
    shown = re.sub(r"[^\n]*\n(?:\x1b\[\?25h)?\r?\x1b\[1A\x1b\[2K", "", shown)
    return re.sub(r"[^\n]*\r?\x1b\[2K", "", shown)


def _svg(shown: str, columns: int, name: str, command: str) -> str:
    console = Console(
        record=True, width=columns, file=io.StringIO(), force_terminal=True, legacy_windows=False
    )
    console.print(Text.assemble(("$ ", "dim"), (f"crontify {command}", "bold")))
    console.print(Text.from_ansi(shown.rstrip("\n")))
    return console.export_svg(title="", unique_id=f"crontify-{name}", code_format=FORMAT)


if __name__ == "__main__":
    sys.exit(main())
