"""`crontify demo`: shows the whole tool with a temporary sandbox; every step is real."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from crontify_cli.cli import output
from crontify_cli.cli.person import typed_program
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


_PROGRAM = (sys.executable, "-m", "crontify_cli")
_DB = ("--db", "sandbox.db")


Object = Mapping[str, Any]
"""A JSON object: a run or an alert of the sandbox."""


def register(app: typer.Typer) -> None:
    """Add `demo` to the app."""
    app.command(
        "demo",
        short_help="Try everything on this machine, in a few seconds.",
        epilog="Example:  crontify demo --keep",
    )(demo)


def demo(
    keep: Annotated[
        bool,
        typer.Option(
            "--keep", help="Keep the sandbox running until Ctrl-C, and print a link to its page."
        ),
    ] = False,
) -> None:
    """Try everything on this machine: a success, a silent failure, a failure and its log."""
    with tempfile.TemporaryDirectory(prefix="crontify-demo-") as folder:
        _demo(Path(folder), keep=keep)


def _demo(folder: Path, *, keep: bool) -> None:
    (folder / "import.py").write_text(_IMPORT)
    (folder / "broken.py").write_text(_BROKEN)
    header = "order,total\n"
    lines = [f"{number},{number * 3 % 97}.50\n" for number in range(1, ROWS + 1)]
    orders = folder / "orders.csv"
    orders.write_text(header + "".join(lines))
    _print_heading(
        "1. Start a sandbox: Crontify's HTTP API on this machine, with a temporary state"
    )
    program = _Program(folder)
    with program.sandbox() as sandbox:
        print(f"   listening on {sandbox.url}\n")
        program.show("sandbox", "monitor", "add", MONITOR, *_DB)
        program.show("sandbox", "rule", "add", MONITOR, *RULE, *_DB)

        _print_heading("\n2. A job succeeds and reports how many rows it has imported")
        program.show_job("import.py", 0)
        _print_heading("\n3. It succeeds again, but imports nothing: this triggers the rule")
        orders.write_text(header)
        program.show_job("import.py", 0)
        _print_heading("\n4. The job fails")
        orders.write_text(header + "".join(lines))
        program.show_job("broken.py", 1)

        _print_heading("\n5. What Crontify has recorded, and the alerts that it would have sent")
        runs = program.show_list("runs")
        _check_runs(runs)
        _check_alerts(program.show_list("alerts"))
        _print_heading("6. The log of the failed run, fetched from the API")
        program.show("logs", MONITOR, "--remote")
        _print_heading(
            "\nAll steps succeeded. In your crontab, put crontify exec in front of the job:"
        )
        print(f"   0 3 * * *  {program.in_crontab()} exec {MONITOR} -- python3 /srv/import.py")
        if keep:
            _keep(sandbox, runs[0]["id"], program.typed)


class _Sandbox(NamedTuple):
    """A running sandbox; `page` is the link that opens its page and signs in."""

    process: "subprocess.Popen[str]"
    url: str
    page: str
    api_key: str


def _keep(sandbox: _Sandbox, run_id: str, program: str) -> None:
    """Show where the failed run can be seen, and wait until Ctrl-C is pressed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        _print_heading("\nThe failed run, in a browser on this machine:")
        print(f"   {sandbox.page}&view=/monitors/{MONITOR}/runs/{run_id}")
        _print_heading("\nTo see a run as it happens, paste this into another terminal:")
        print(f"   export CRONTIFY_BASE_URL={sandbox.url} CRONTIFY_API_KEY={sandbox.api_key}")
        print(f"   {program} exec {MONITOR} -- sleep 5")
        _print_heading("\nThe sandbox keeps running. Press Ctrl-C to stop it and delete its data.")
        sys.stdout.flush()
        sandbox.process.wait()
    except KeyboardInterrupt:
        return
    raise CrontifyError(
        f"the demo's sandbox ended by itself, with exit code {sandbox.process.returncode}"
    )


class _Program:
    """Runs crontify in `folder`, without any of the user's settings; `typed`: its name here."""

    def __init__(self, folder: Path) -> None:
        self.typed = typed_program()
        self._folder = folder
        config = folder / "config.toml"
        config.touch(0o600)
        self._environ = {
            **{name: text for name, text in os.environ.items() if not name.startswith("CRONTIFY_")},
            "CRONTIFY_STATE_DIR": str(folder / "state"),
            "CRONTIFY_CONFIG": str(config),
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def in_crontab(self) -> str:
        """Return how to call crontify there, where no path is relative to this directory."""
        from crontify_cli.cli import crontab_line

        return self.typed if self.typed == "crontify" else crontab_line.program()

    @contextlib.contextmanager
    def sandbox(self) -> Iterator[_Sandbox]:
        """Run the sandbox, with its URL, key and token in the environment."""
        command = ("sandbox", "serve", "--port", "0", "--json", "--until-stdin-closes", *_DB)
        process = subprocess.Popen(
            [*_PROGRAM, *command],
            cwd=self._folder,
            env=self._environ,
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
            for name, key in (("BASE_URL", "url"), ("API_KEY", "api_key"), ("TOKEN", "token")):
                self._environ[f"CRONTIFY_{name}"] = ready[key]
            yield _Sandbox(process, ready["url"], ready["page"], ready["api_key"])
        finally:
            process.terminate()
            process.communicate()

    def show(self, *args: str, expected: int = 0) -> None:
        """Show a command and its output; raises CrontifyError for another exit code."""
        words = " ".join(args).replace(sys.executable, "python3")
        print(f"   $ {self.typed} {words}", flush=True)
        done = self._run(*args, stderr=subprocess.STDOUT)
        if done.stdout:
            lines = done.stdout.rstrip("\n").split("\n")
            print("\n".join(f"   | {line}" for line in lines), flush=True)
        _require(done.returncode == expected, f"exit code {expected}", done.returncode)

    def show_job(self, script: str, expected: int) -> None:
        """Show `exec` with one of the jobs, and its exit code."""
        self.show("exec", MONITOR, "--", sys.executable, script, expected=expected)
        print(f"   exit code {expected}", flush=True)

    def show_list(self, what: str) -> list[Object]:
        """Show the sandbox's runs or alerts, and return them, newest first."""
        command = ("sandbox", what, MONITOR, *_DB)
        print(f"   $ {self.typed} {' '.join(command)}", flush=True)
        self._run(*command, stdout=None)
        found: list[Object] = json.loads(self._run(*command, "--json").stdout)
        print()
        return found

    def _run(
        self, *args: str, stdout: int | None = subprocess.PIPE, stderr: int | None = None
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*_PROGRAM, *args],
            cwd=self._folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            check=False,
        )


def _require(holds: bool, expected: str, got: object) -> None:
    if not holds:
        raise CrontifyError(f"the demo failed: expected {expected}; got {got}")


def _check_runs(runs: list[Object]) -> None:
    statuses = [run["status"] for run in runs]
    expected = ["failed", "success", "success"]
    _require(statuses == expected, "two successes, then a failure", statuses)
    numbers = [(run["meta"] or {}).get("rows_processed") for run in runs[1:]]
    _require(numbers == [0, ROWS], "the numbers of the jobs", numbers)


def _check_alerts(alerts: list[Object]) -> None:
    kinds = [alert["kind"] for alert in alerts]
    expected = ["failure", "silent_failure"]
    _require(kinds == expected, "alerts for a silent failure and a failure", kinds)


def _print_heading(text: str) -> None:
    output.console().print(text, style="bold", markup=False)
