"""`crontify demo`: the README's first command."""

from pathlib import Path

from tests.conftest import Crontify


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
    assert "pip install 'crontify-cli[sandbox]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
