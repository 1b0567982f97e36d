"""Variables that are meant for a Python job: the job gets them, and crontify works all the same."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from crontify_cli.cli.doctor.interpreter import check_interpreter
from tests.server import ApiServer, settings

ROOT = Path(__file__).parents[1]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The script in a folder, with the first line that pip gives it."""
    script = tmp_path / "bin" / "crontify"
    script.parent.mkdir()
    source = (ROOT / "scripts/crontify").read_text()
    script.write_text(source.replace("#!python\n", f"#!{sys.executable}\n", 1))
    script.chmod(0o755)
    return script


def run_job(program: Path, api: ApiServer, variables: Mapping[str, str]) -> None:
    """Run a job that prints the variables; it must get them, and nothing may be on stderr."""
    script = "; ".join([*(f'printf "%s\\n" "${name}"' for name in variables), "exit 3"])
    done = subprocess.run(
        [program, "exec", "backup", "--shell", "--", script],
        env={**os.environ, **settings(api), **variables},
        cwd=program.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    printed = "".join(f"{value}\n" for value in variables.values())
    assert (done.returncode, done.stdout, done.stderr) == (3, printed, "")
    assert api.kinds()[-1] == "fail"  # the start of so short a job may be left out


def plant(folder: Path, name: str, code: str = "raise SystemExit('not yours')") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(code)
    return folder


def test_our_package_wins_over_a_folder_on_the_jobs_path(
    program: Path, api: ApiServer, tmp_path: Path
) -> None:
    folder = plant(tmp_path / "jobs", "crontify_cli/__init__.py")
    run_job(program, api, {"PYTHONPATH": f"{tmp_path}/absent:{folder}"})


def test_a_module_beside_the_script_is_none_of_ours(program: Path, api: ApiServer) -> None:
    for module in ("crontify_cli", "typing", "select", "h11"):
        plant(program.parent, f"{module}.py")
    run_job(program, api, {})


VARIABLES = {
    "PYTHONSTARTUP": "/nonexistent",
    "PYTHONINSPECT": "1",
    "PYTHONWARNINGS": "error",
    "PYTHONDEVMODE": "1",
    "PYTHONTRACEMALLOC": "5",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPYCACHEPREFIX": "/nonexistent",
    "PYTHONUTF8": "0",
    "PYTHONIOENCODING": "ascii",
    "PYTHONOPTIMIZE": "2",
    "PYTHONSAFEPATH": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONMALLOC": "debug",
    "PYTHONASYNCIODEBUG": "1",
    "PYTHONINTMAXSTRDIGITS": "640",
    "PYTHONBREAKPOINT": "nowhere.at_all",
    "PYTHONNOUSERSITE": "1",
}


@pytest.mark.parametrize("names", [("PYTHONWARNINGS",), tuple(VARIABLES)], ids=len)
def test_the_job_gets_its_variables_and_nothing_else_changes(
    program: Path, api: ApiServer, names: tuple[str, ...]
) -> None:
    run_job(program, api, {name: VARIABLES[name] for name in names})


@pytest.fixture
def isolated(program: Path) -> Path:
    """The script after the command in the manual."""
    page = (ROOT / "man/crontify-exec.1").read_text()
    (line,) = re.findall(r"^sed .*", page, re.MULTILINE)
    command = line.replace("\\(aq", "'").replace("\\-", "-")
    environ = {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", command], env=environ, check=True)
    assert program.read_text().splitlines()[0].endswith(" -E")
    return program


def test_with_the_option_of_the_manual_the_rest_is_ignored_too(
    isolated: Path, api: ApiServer, tmp_path: Path
) -> None:
    folder = plant(tmp_path / "jobs", "sitecustomize.py")
    plant(folder, "encodings/__init__.py")
    variables = {"PYTHONPATH": str(folder), "PYTHONHOME": "/nonexistent", "PYTHONVERBOSE": "1"}
    run_job(isolated, api, variables)


def test_the_doctor_tells_what_cannot_be_ignored(tmp_path: Path) -> None:
    folder = plant(tmp_path / "jobs", "sitecustomize.py")
    program = "/opt/my tools/crontify"
    harmless = {"PYTHONPATH": str(tmp_path), **VARIABLES}
    assert check_interpreter(harmless, program).result == "ok"
    customized = check_interpreter({"PYTHONPATH": f"{tmp_path}:{folder}"}, program)
    assert customized.result == "warning"
    assert f"{folder}/sitecustomize" in customized.found
    assert customized.advice
    assert shlex.split(customized.advice)[4] == program
    home = check_interpreter({"PYTHONHOME": "/opt/python"}, program)
    assert (home.result, "PYTHONHOME" in home.found) == ("failure", True)
    assert "stderr" in check_interpreter({"PYTHONVERBOSE": "1"}, program).found
