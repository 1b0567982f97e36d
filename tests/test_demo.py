"""`crontify demo`: the README's first command."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import Crontify
from tests.programs import PROGRAM
from tests.terminal import Terminal

ROOT = Path(__file__).parent.parent


def test_the_demo_shows_a_success_a_silent_failure_a_failure_and_its_log(
    crontify: Crontify, home: Path
) -> None:
    done = crontify("demo", env={"COLUMNS": "120"})
    assert done.returncode == 0, done.stderr
    assert "imported 1523 orders" in done.stdout
    assert "success" in done.stdout
    assert "1523" in done.stdout.partition("What Crontify has recorded")[2]
    alerts = done.stdout.partition("sandbox alerts")[2].partition("The log of the failed run")[0]
    kinds = [line.split("\t")[2:5:2] for line in alerts.splitlines() if "\t" in line]
    assert [kind for kind, _ in kinds] == ["failure", "silent_failure"]
    assert kinds[0][1].startswith("exited with code 1: ValueError")
    assert kinds[1][1] == "rows_processed is 0 (the rule: rows_processed eq 0)"
    log = done.stdout.partition("fetched from the API")[2]
    assert "ValueError: could not convert string to float: 'n/a'" in log
    assert list(home.iterdir()) == []  # nothing of it stays


def test_on_80_columns_the_cause_is_shown_and_commands_are_as_they_were_typed(
    tmp_path: Path, env: dict[str, str]
) -> None:
    program = tmp_path / "bin" / "crontify"
    program.parent.mkdir()
    imports = "import sys\nfrom crontify_cli.__main__ import main"
    program.write_text(f"#!{sys.executable}\n{imports}\nsys.exit(main())\n")
    program.chmod(0o755)
    environ = {**os.environ, **env, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    environ.pop("COLUMNS", None)

    def demo(name: str, path: str) -> str:
        with Terminal(80) as terminal:
            command = ["env", name, "demo"]
            process = terminal.start(command, env={**environ, "PATH": path}, cwd=tmp_path)
            shown = terminal.read_to_end()
            assert process.wait(60) == 0, shown
        return shown

    shown = demo("bin/crontify", "/usr/bin:/bin")
    tables = shown.partition("What Crontify has recorded")[2].partition("The log of")[0]
    assert tables.count("ValueError: could not convert string to float: 'n/a'") == 2
    assert "\n   $ bin/crontify exec nightly-import -- " in shown
    assert f"\n   0 3 * * *  {program} exec nightly-import -- " in shown
    shown = demo("crontify", f"{program.parent}:/usr/bin:/bin")
    assert "\n   $ crontify exec nightly-import -- " in shown
    assert "\n   0 3 * * *  crontify exec nightly-import -- " in shown


def test_without_the_extra_one_line_says_what_to_install(
    crontify: Crontify, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        hidden = name in ('fastapi', 'uvicorn', 'jwt')\n"
        "        return None if hidden else PathFinder.find_spec(name, path, target)\n"
        "sys.meta_path[sys.meta_path.index(PathFinder)] = Without()\n"
    )
    done = crontify("sandbox", "serve", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert f"{sys.executable} -m pip install fastapi uvicorn PyJWT" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_kept_the_demo_shows_the_failed_run_until_ctrl_c_and_then_deletes_everything(
    tmp_path: Path,
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with subprocess.Popen(
        [*PROGRAM, "demo", "--keep"],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout
            shown = ""
            while "Press Ctrl-C to stop it" not in shown:
                line = process.stdout.readline()
                assert line, shown
                shown += line
            link = re.search(
                r"^ +(http\S+)/#token=(\S+)&view=(/monitors/\S+)$", shown, re.MULTILINE
            )
            assert link, shown
            with httpx.Client(base_url=link[1], trust_env=False) as http:
                assert "<title>Crontify sandbox</title>" in http.get("/").text
                headers = {"Authorization": f"Bearer {link[2]}"}
                run = http.get(f"/api/v1{link[3]}", headers=headers).json()["data"]
            assert run["status"] == "failed"
            assert "ValueError: could not convert" in run["log"]
            assert len(list(temporary.iterdir())) == 1
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # the server has ended, too; its port may be another's by now
    assert list(temporary.iterdir()) == []
