"""`crontify demo`: shows the whole tool with a temporary sandbox; every step is real."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from crontify_cli.errors import CrontifyError

if TYPE_CHECKING:
    from crontify_cli.delivery.api import Api
    from crontify_cli.sandbox.wire import RunData

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


_PROGRAM = (sys.executable, "-m", "crontify_cli")
_DB = ("--db", "sandbox.db")


class Server(NamedTuple):
    """A running sandbox."""

    url: str
    api_key: str
    token: str


def register(app: typer.Typer) -> None:
    """Add `demo` to the app."""
    app.command(
        "demo",
        short_help="Try everything on this machine, in a few seconds.",
        epilog="Example: crontify demo",
    )(demo)


def demo() -> None:
    """Try everything on this machine: a success, a silent failure, a failure and its log."""
    with tempfile.TemporaryDirectory(prefix="crontify-demo-") as folder:
        _demo(Path(folder))


def _demo(folder: Path) -> None:
    (folder / "import.py").write_text(_IMPORT)
    (folder / "broken.py").write_text(_BROKEN)
    header = "order,total\n"
    lines = [f"{number},{number * 3 % 97}.50\n" for number in range(1, ROWS + 1)]
    orders = folder / "orders.csv"
    orders.write_text(header + "".join(lines))
    _print_heading(
        "1. Start a sandbox: Crontify's HTTP API on this machine, with a temporary state"
    )
    with _sandbox(folder) as server:
        environ = _environ(folder, server)
        print(f"   listening on {server.url}\n")
        _crontify(folder, environ, "sandbox", "monitor", "add", MONITOR, *_DB)
        _crontify(folder, environ, "sandbox", "rule", "add", MONITOR, *RULE, *_DB)

        _print_heading("\n2. A job succeeds and reports how many rows it has imported")
        _exec(folder, environ, "import.py", 0)
        _print_heading("\n3. It succeeds again, but imports nothing: this triggers the rule")
        orders.write_text(header)
        _exec(folder, environ, "import.py", 0)
        _print_heading("\n4. The job fails")
        orders.write_text(header + "".join(lines))
        _exec(folder, environ, "broken.py", 1)

        _print_heading("\n5. What Crontify has recorded, and the alerts that it would have sent")
        runs = _runs(server)
        _print_runs(runs)
        failed = _check(runs)
        _print_alerts(_alerts(folder, environ))
        _print_heading(f"\n6. The log of the failed run {failed.id}, fetched from the API")
        print(_indented(_log(server, failed)))
    _print_heading("\nAll steps succeeded. In your crontab, put crontify exec in front of the job:")
    print(f"   0 3 * * *  crontify exec {MONITOR} -- python3 /srv/import.py")


def _print_heading(text: str) -> None:
    from crontify_cli.cli.output import console

    console().print(text, style="bold", markup=False)


@contextlib.contextmanager
def _sandbox(folder: Path) -> Iterator[Server]:
    command = ("sandbox", "serve", "--port", "0", "--json", "--until-stdin-closes")
    process = subprocess.Popen(
        [*_PROGRAM, *command, *_DB],
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
            problem = process.communicate()[1].strip().removeprefix("crontify: ")
            raise CrontifyError(f"the demo's sandbox did not start: {problem}")
        ready = json.loads(line)
        yield Server(ready["url"], ready["api_key"], ready["token"])
    finally:
        process.terminate()
        process.communicate()


def _environ(folder: Path, server: Server | None = None) -> dict[str, str]:
    """Return an environment without any of the user's settings for crontify."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("CRONTIFY_")}
    config = folder / "config.toml"
    config.touch(0o600)
    environ |= {"CRONTIFY_STATE_DIR": str(folder / "state"), "CRONTIFY_CONFIG": str(config)}
    environ |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    if server:
        environ |= {"CRONTIFY_BASE_URL": server.url, "CRONTIFY_API_KEY": server.api_key}
    return environ


def _crontify(folder: Path, environ: dict[str, str], *args: str) -> int:
    """Show the command, run it, show its output, and return its exit code."""
    print(f"   $ crontify {' '.join(args).replace(sys.executable, 'python3')}", flush=True)
    done = _run(folder, environ, *args, stderr=subprocess.STDOUT)
    if done.stdout:
        print(_indented(done.stdout), flush=True)
    return done.returncode


def _run(
    folder: Path, environ: dict[str, str], *args: str, stderr: int | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*_PROGRAM, *args],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
    )


def _exec(folder: Path, environ: dict[str, str], script: str, expected: int) -> None:
    code = _crontify(folder, environ, "exec", MONITOR, "--", sys.executable, script)
    if code != expected:
        raise CrontifyError(f"the demo failed: the job's exit code is {code}, not {expected}")
    print(f"   exit code {code}", flush=True)


def _api(server: Server) -> "Api":
    from crontify_cli.delivery.api import Api

    return Api(server.url, token=server.token)


def _runs(server: Server) -> "Sequence[RunData]":
    from crontify_cli.sandbox.wire import RunsAnswer

    with _api(server) as api:
        return RunsAnswer.model_validate(api.get(f"/monitors/{MONITOR}/runs")).data


def _print_runs(runs: "Sequence[RunData]") -> None:
    from rich.table import Table
    from rich.text import Text

    from crontify_cli.cli.output import console

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("   status", "rows_processed", "exit_code"):
        table.add_column(name, no_wrap=True)
    for run in runs:
        colour = {"success": "green", "failed": "red"}.get(run.status, "yellow")
        meta = run.meta or {}
        numbers = [str(meta.get(name, "-")) for name in ("rows_processed", "exit_code")]
        table.add_row(Text(f"   {run.status}", colour), *numbers)
    console().print(table)
    for run in runs:
        if run.error_message:
            print(f"   message: {run.error_message}")


def _check(runs: "Sequence[RunData]") -> "RunData":
    """Return the failed run; raise CrontifyError unless the sandbox has recorded what happened."""
    statuses = [run.status for run in runs]
    if statuses != ["failed", "success", "success"]:
        raise CrontifyError(
            f"the demo failed: expected two successes, then a failure; got {statuses}"
        )
    if [(run.meta or {}).get("rows_processed") for run in runs[1:]] != [0, ROWS]:
        raise CrontifyError("the demo failed: the numbers of the jobs did not arrive")
    return runs[0]


def _alerts(folder: Path, environ: dict[str, str]) -> list[tuple[str, str]]:
    """Return kind and message of each alert, oldest first; raises CrontifyError."""
    command = ("sandbox", "alerts", MONITOR, *_DB)
    print(f"\n   $ crontify {' '.join(command)}", flush=True)
    done = _run(folder, environ, *command, "--json")
    if done.returncode:
        raise CrontifyError("the demo failed: the sandbox did not list the alerts")
    found = json.loads(done.stdout)
    alerts = [(str(alert["kind"]), str(alert["message"])) for alert in reversed(found)]
    if [kind for kind, _ in alerts] != ["silent_failure", "failure"]:
        raise CrontifyError(
            f"the demo failed: expected alerts for a silent failure and a failure; got {alerts}"
        )
    return alerts


def _print_alerts(alerts: list[tuple[str, str]]) -> None:
    from crontify_cli.cli.output import console

    for kind, message in alerts:
        colour = "yellow" if kind == "silent_failure" else "red"
        console().print(f"   {kind:<14}  {message}", style=colour, markup=False, soft_wrap=True)


def _log(server: Server, run: "RunData") -> str:
    with _api(server) as api:
        answer = api.log(MONITOR, run.id)
    if not answer.content or "ValueError" not in answer.content:
        raise CrontifyError(
            f"the demo failed: the API did not return the log: {answer.fate} {answer.message}"
        )
    return answer.content


def _indented(text: str) -> str:
    return "\n".join(f"   | {line}" for line in text.rstrip("\n").split("\n"))
