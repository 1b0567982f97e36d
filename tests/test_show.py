"""`crontify show`: everything that is known of one run."""

import json
import re
from pathlib import Path

import pytest

from tests.conftest import Crontify
from tests.past import Past
from tests.screen import screen
from tests.server import ApiServer, settings

JOB = """\
i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i + 1)); done
echo rows=1523 >> "$CRONTIFY_META"
echo disk full >&2
exit 3
"""


def test_a_run_is_shown_with_all_that_is_known(
    crontify: Crontify, api: ApiServer, impatient: dict[str, str]
) -> None:
    crontify("exec", "backup", "--", "sh", "-c", "sleep 0.1", env=settings(api))
    crontify("exec", "backup", "--", "sh", "-c", "sleep 0.1", env=settings(api))
    api.down()
    crontify("exec", "backup", "--", "sh", "-c", JOB, env=impatient)
    shown = crontify("show", env=impatient).stdout
    values = dict(re.findall(r"^(\w[\w ]*): +(.*)$", shown, re.MULTILINE))
    assert re.match(r"run [0-9a-f]{12}\n", shown)
    assert values["Monitor"] == "backup"
    assert values["Outcome"] == "failed, exit code 3"
    assert values["Start"] == "not sent"
    assert re.fullmatch(r"\S+  \S+  usually [\d.]+s", values["Took"])
    assert values["Command"].startswith("sh -c 'i=0; while")
    assert values["Report"] == f"queued for {api.url}, 1 attempt"
    report = shown.split("Report:")[1].split("\n\n")[0].splitlines()
    assert "cannot connect to 127.0.0.1" in report[1]
    assert report[2].strip() == "'crontify flush' sends it, or the next run"
    assert "\n    exited with code 3: disk full\n" in shown
    assert re.search(r"^    rows +1,523$", shown, re.MULTILINE)
    assert re.search(
        r"^Log: the last 20 of 31 lines; 'crontify logs [0-9a-f]+' shows all$", shown, re.M
    )
    assert shown.endswith("    line 29\n    disk full\n")
    assert "line 9\n" not in shown
    whole = crontify("show", "-n", "99").stdout
    assert "\nLog\n    line 0\n" in whole


def test_a_run_is_chosen_by_id_position_or_monitor(crontify: Crontify, past: Past) -> None:
    first, second, third = past.run("a"), past.run("b"), past.run("c")

    def chosen(*args: str) -> str:
        return crontify("show", *args).stdout.split("\n")[0].removeprefix("run ")

    assert chosen() == chosen("-1") == chosen(third) == chosen(f"clr{third}") == third
    assert chosen("-2") == chosen("b") == second
    assert chosen("-3") == first
    for wrong, says in (("zzz", "no run zzz"), ("-4", "no run -4"), ("0000", "ambiguous")):
        done = crontify("show", wrong)
        assert (done.returncode, done.stdout) == (1, "")
        assert says in done.stderr


def test_no_runs_is_an_error(crontify: Crontify, home: Path) -> None:
    done = crontify("show")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no run -1" in done.stderr


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("delivered", "delivered to http://x"),
        ("refused", "refused by the server"),
        ("superseded", "superseded: a newer run"),
        ("discarded", "discarded with 'crontify queue discard'"),
    ],
)
def test_each_state_of_a_report_is_said(
    state: str, says: str, crontify: Crontify, past: Past
) -> None:
    past.run("m", "fail", code=1, report=state, error="the reason")  # type: ignore[arg-type]
    shown = crontify("show").stdout
    assert f"Report:      {says}" in shown
    assert "\n             the reason\n" in shown


def test_a_running_job_is_shown_with_its_output_so_far(
    crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    script = f"echo so far; {crontify_line()} >{tmp_path}/shown; echo more"
    assert crontify("exec", "m", "--", "sh", "-c", script, env=settings(api)).returncode == 0
    shown = (tmp_path / "shown").read_text()
    assert "Outcome:     running\n" in shown
    assert "So far:" in shown
    assert shown.endswith("    so far\n")


def crontify_line() -> str:
    import shlex

    from tests.programs import PROGRAM

    show = shlex.join([*PROGRAM, "show", "m"])
    # At first it may find no run, and say so in the output of the job.
    return f'until {show} 2>/dev/null | grep -q "so far$"; do sleep .1; done; {show}'


def test_json_has_the_keys_of_runs_and_the_documented_ones(crontify: Crontify, past: Past) -> None:
    past.run("m", "fail", code=1, message="exited with code 1: é")
    found = json.loads(crontify("show", "--json").stdout)
    (run,) = json.loads(crontify("runs", "--json").stdout)
    document = (Path(__file__).parent.parent / "docs/output.md").read_text()
    section = document.split("crontify show --json`\n")[1].split("\n## ")[0]
    own = re.findall(r"^\| `(\w+)`", section, re.MULTILINE)
    assert list(found) == [*run, *own]
    assert {key: found[key] for key in run} == run


def test_on_a_terminal_it_is_coloured_and_never_cut(past: Past) -> None:
    past.run("m", "fail", code=1, message="exited with code 1: " + "x" * 300)
    assert "\x1b[" in screen(["show"], 60)
    plain = screen(["show"], 60, {"NO_COLOR": "1"})
    assert "\x1b[" not in plain
    assert "x" * 300 in plain
