"""`crontify demo`: the whole tool against a throwaway sandbox, every step a real one."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import typer

from crontify_cli.errors import CrontifyError

MONITOR = "nightly-import"
ROWS = 1523
RULE = ("rows_processed", "eq", "0")

_IMPORT = """\
import csv, os

with open("orders.csv", newline="") as file:
    rows = sum(1 for _ in csv.DictReader(file))
print(f"imported {rows} orders")
with open(os.environ["CRONTIFY_META"], "a") as meta:
    meta.write(f"rows_processed={rows}\\n")
"""

_BROKEN = """\
import csv

with open("orders.csv", newline="") as file:
    for number, row in enumerate(csv.DictReader(file), 1):
        if number == 17:
            row["total"] = "n/a"
        float(row["total"])
"""


class Server(NamedTuple):
    """A running sandbox."""

    url: str
    api_key: str
    token: str


class Run(NamedTuple):
    """A run as the sandbox lists it."""

    id: str
    status: str
    meta: dict[str, object]
    message: str


def register(app: typer.Typer) -> None:
    """Add `demo` to the app."""
    app.command(
        "demo",
        short_help="Try it all on this machine, in a few seconds.",
        epilog="Example: crontify demo",
    )(demo)


def demo() -> None:
    """Try it all on this machine: a success, a success that is none, a failure and its log."""
    with tempfile.TemporaryDirectory(prefix="crontify-demo-") as folder:
        _demo(Path(folder))


def _demo(folder: Path) -> None:
    (folder / "import.py").write_text(_IMPORT)
    (folder / "broken.py").write_text(_BROKEN)
    header = "order,total\n"
    lines = [f"{number},{number * 3 % 97}.50\n" for number in range(1, ROWS + 1)]
    orders = folder / "orders.csv"
    orders.write_text(header + "".join(lines))
    _say("1. A sandbox: Crontify's HTTP API on this machine, with a throwaway state")
    with _sandbox(folder) as server:
        environ = _environ(folder, server)
        print(f"   listening at {server.url}\n")
        place = ("--db", "sandbox.db")
        _crontify(folder, environ, "sandbox", "monitor", "add", MONITOR, *place)
        _crontify(folder, environ, "sandbox", "rule", "add", MONITOR, *RULE, *place)

        _say("\n2. A job that succeeds, and reports a number from its work")
        _exec(folder, environ, "import.py", 0)
        _say("\n3. It succeeds again, but there was nothing to do: the rule fires")
        orders.write_text(header)
        _exec(folder, environ, "import.py", 0)
        _say("\n4. The job on a bad day")
        orders.write_text(header + "".join(lines))
        _exec(folder, environ, "broken.py", 1)

        _say("\n5. What Crontify knows of it, and whom it would have woken")
        runs = _runs(server)
        _show(runs)
        failed = _check(runs)
        _show_alerts(_alerts(folder, environ))
        _say(f"\n6. The failed run's log, fetched from the API: run {failed.id}")
        print(_indented(_log(server, failed)))
    _say("\nEvery step was answered. In a crontab it is one word in front of the job:")
    print(f"   0 3 * * *  crontify exec {MONITOR} -- python3 /srv/import.py")


def _say(text: str) -> None:
    from crontify_cli.cli.output import console

    console().print(text, style="bold", markup=False)


@contextlib.contextmanager
def _sandbox(folder: Path) -> Iterator[Server]:
    command = ("sandbox", "serve", "--port", "0", "--json", "--until-stdin-closes")
    process = subprocess.Popen(
        [*_PROGRAM, *command, "--db", "sandbox.db"],
        cwd=folder,
        env=_environ(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            _, words = process.communicate()
            problem = words.strip().removeprefix("crontify: ")
            raise CrontifyError(f"the sandbox did not start: {problem}")
        ready = json.loads(line)
        yield Server(ready["url"], ready["api_key"], ready["token"])
    finally:
        process.terminate()
        process.communicate()


_PROGRAM = (sys.executable, "-m", "crontify_cli")


def _environ(folder: Path, server: Server | None = None) -> dict[str, str]:
    """Return an environment in which nothing of the user's own settings has a say."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("CRONTIFY_")}
    config = folder / "config.toml"
    config.touch(0o600)
    environ |= {"CRONTIFY_STATE_DIR": str(folder / "state"), "CRONTIFY_CONFIG": str(config)}
    environ |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    if server:
        environ |= {"CRONTIFY_BASE_URL": server.url, "CRONTIFY_API_KEY": server.api_key}
    return environ


def _crontify(folder: Path, environ: dict[str, str], *args: str) -> int:
    shown = " ".join(args).replace(sys.executable, "python3")
    print(f"   $ crontify {shown}", flush=True)
    done = subprocess.run(
        [*_PROGRAM, *args],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.stdout:
        print(_indented(done.stdout), flush=True)
    return done.returncode


def _exec(folder: Path, environ: dict[str, str], script: str, expected: int) -> None:
    code = _crontify(folder, environ, "exec", MONITOR, "--", sys.executable, script)
    if code != expected:
        raise CrontifyError(f"demo: the job's exit code should have been {expected}, not {code}")
    print(f"   exit code {code}", flush=True)


def _runs(server: Server) -> list[Run]:
    from crontify_cli.delivery.api import Api

    api = Api(server.url, token=server.token)
    try:
        answer = api.get(f"/monitors/{MONITOR}/runs")
    finally:
        api.close()
    data = answer.get("data")
    if not isinstance(data, list):
        raise CrontifyError("demo: the sandbox did not list the runs")
    runs = [run for run in data if isinstance(run, dict)]
    return [
        Run(
            str(run.get("id")),
            str(run.get("status")),
            run.get("meta") or {},
            str(run.get("errorMessage") or ""),
        )
        for run in runs
    ]


def _show(runs: list[Run]) -> None:
    from rich.table import Table
    from rich.text import Text

    from crontify_cli.cli.output import console

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("   status", "rows_processed", "exit_code"):
        table.add_column(name, no_wrap=True)
    for run in runs:
        colour = {"success": "green", "failed": "red"}.get(run.status, "yellow")
        numbers = [str(run.meta.get(name, "-")) for name in ("rows_processed", "exit_code")]
        table.add_row(Text(f"   {run.status}", colour), *numbers)
    console().print(table)
    for run in runs:
        if run.message:
            print(f"   message: {run.message}")


def _check(runs: list[Run]) -> Run:
    """Return the failed run; raise CrontifyError unless the server holds just what happened."""
    statuses = [run.status for run in runs]
    if statuses != ["failed", "success", "success"]:
        raise CrontifyError(f"demo: expected two successes, then a failure; there are {statuses}")
    if [run.meta.get("rows_processed") for run in runs[1:]] != [0, ROWS]:
        raise CrontifyError("demo: the jobs' numbers did not arrive")
    return runs[0]


def _alerts(folder: Path, environ: dict[str, str]) -> list[tuple[str, str]]:
    """Return kind and message of each alert, the oldest first, or raise CrontifyError."""
    command = ("sandbox", "alerts", MONITOR, "--db", "sandbox.db")
    print(f"\n   $ crontify {' '.join(command)}", flush=True)
    done = subprocess.run(
        [*_PROGRAM, *command, "--json"],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout or "[]")
    alerts = [(str(alert["kind"]), str(alert["message"])) for alert in reversed(found)]
    if [kind for kind, _ in alerts] != ["silent_failure", "failure"]:
        raise CrontifyError(f"demo: expected a silent failure and a failure, there are {alerts}")
    return alerts


def _show_alerts(alerts: list[tuple[str, str]]) -> None:
    from crontify_cli.cli.output import console

    for kind, message in alerts:
        colour = "yellow" if kind == "silent_failure" else "red"
        console().print(f"   {kind:<14}  {message}", style=colour, markup=False, soft_wrap=True)


def _log(server: Server, run: Run) -> str:
    from crontify_cli.delivery.api import Api

    api = Api(server.url, token=server.token)
    try:
        answer = api.log(MONITOR, run.id)
    finally:
        api.close()
    if not answer.content or "ValueError" not in answer.content:
        raise CrontifyError(
            f"demo: the failed run's log did not come back: {answer.fate} {answer.message}"
        )
    return answer.content


def _indented(text: str) -> str:
    return "\n".join(f"   | {line}" for line in text.rstrip("\n").split("\n"))
