"""The manual pages say what the app does, and read well in mandoc and in man."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
import yaml

from crontify_cli.cli.app import make_app
from crontify_cli.config.keys import KEYS
from crontify_cli.config.sources import from_table
from crontify_cli.delivery.journal import ReportState
from crontify_cli.errors import ExitCode
from crontify_cli.job.options import OPTIONS, scan
from tests.programs import need

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(file.name for file in (ROOT / "man").iterdir())
SCREEN = 80
"""Columns."""


def generator(root: Path, *args: str) -> "subprocess.CompletedProcess[str]":
    """Run scripts/man.py of the checkout `root`."""
    return subprocess.run(
        [sys.executable, str(root / "scripts/man.py"), *args],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the pages are made from and of the pages."""
    root = tmp_path / "checkout"
    for folder in ("crontify_cli", "scripts", "man"):
        shutil.copytree(ROOT / folder, root / folder)
    return root


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Each page as mandoc shows it on a terminal of 80 columns."""
    need("mandoc")
    return {
        page: re.sub(
            ".\b",
            "",
            subprocess.run(
                ["mandoc", "-T", "utf8", "-O", "width=78", str(ROOT / "man" / page)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout,
        )
        for page in PAGES
    }


def words(text: str) -> str:
    """Return `text` as one line with single spaces."""
    return " ".join(text.split())


def section(page: str, heading: str) -> str:
    """Return a section of a rendered page: up to the next line that is not indented."""
    behind = re.split(rf"(?m)^{heading}\n", page)[1]
    return re.split(r"(?m)^(?=[A-Z])", behind)[0]


def displays(page: str) -> list[str]:
    """Return the literal displays of a page's source, as a reader would copy them."""
    found = re.findall(
        r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed$", (ROOT / "man" / page).read_text(), re.M
    )
    escapes = {r"\-": "-", r"\(aq": "'", r"\(ga": "`", r"\(ha": "^", r"\(ti": "~", r"\e": "\\"}
    return [re.sub(r"\\(?:\(..|.)", lambda at: escapes[at[0]], text) for text in found]


# Nothing drifts


def test_the_pages_are_up_to_date() -> None:
    done = generator(ROOT, "--check")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_a_changed_option_fails_until_the_pages_are_written_anew(checkout: Path) -> None:
    table = checkout / "crontify_cli/job/options.py"
    changed = table.read_text().replace('"10s"', '"12s"')
    table.write_text(changed.replace('"--no-log"', '"--without-log"'))
    behind = generator(checkout, "--check")
    assert behind.returncode == 1
    assert (
        "man/crontify-exec.1 is out of date: run .venv/bin/python scripts/man.py" in behind.stdout
    )
    still = generator(checkout)
    page = (checkout / "man/crontify-exec.1").read_text()
    assert "Default: 12s." in page
    assert r".It Fl \-without\-log" in page
    # The script cannot correct what was written by hand.
    assert still.returncode == 1
    assert "man/crontify-exec.1: an example has the unknown option --no-log" in still.stdout


GONE = {
    "crontify-exec.1": (r"^\.It 124\n.*\n\.Fl .*\n", "EXIT STATUS does not explain 124"),
    "crontify-flush.1": (r"^\.It 75\n.*\n", "EXIT STATUS does not explain 75"),
    "crontify.1": (r"^\.It Ev NO_COLOR\n.*\n", "ENVIRONMENT does not explain NO_COLOR"),
    "crontify-runs.1": (
        r'^\.\\" Generated: options runs\n',
        'no line `.\\" Generated: options runs`',
    ),
    "crontify-logs.1": (r"^\.Sh EXAMPLES\n", "no section EXAMPLES"),
    "crontify-ping.1": (r"(?<=Xr crontify-)exec", "there is no page crontify-(1)"),
}


def test_what_only_a_person_can_write_is_missed(checkout: Path) -> None:
    for page, (gone, _) in GONE.items():
        file = checkout / "man" / page
        before = file.read_text()
        file.write_text(re.sub(gone, "", before, flags=re.M))
        assert file.read_text() != before
    done = generator(checkout, "--check")
    assert done.returncode == 1
    for page, (_, message) in GONE.items():
        assert f"man/{page}: {message}" in done.stdout


def test_a_command_without_a_page_and_a_page_without_a_command_are_named(checkout: Path) -> None:
    (checkout / "man/crontify-ping.1").rename(checkout / "man/crontify-pong.1")
    done = generator(checkout, "--check")
    assert done.returncode == 1
    assert "man/crontify-ping.1 is missing: write it" in done.stdout
    assert "man/crontify-pong.1 belongs to no command: remove it" in done.stdout


def test_an_example_is_escaped_and_a_long_line_broken_for_who_writes_it(checkout: Path) -> None:
    page = checkout / "man/crontify-flush.1"
    as_it_is = page.read_text()
    page.write_text(as_it_is.replace(r"\-", "-").replace(".Pp\nThe reports", ".Pp\nThe\nreports"))
    assert generator(checkout, "--check").returncode == 1
    assert generator(checkout).returncode == 0
    assert page.read_text().replace("The\nreports", "The reports") == as_it_is


# Everything stands in its page; read from what is rendered, not from what generates it


def commands(group: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        elif not command.hidden:
            yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_group(make_app())))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_with_its_help_and_default_stands_in_its_page(
    path: tuple[str, ...], rendered: dict[str, str]
) -> None:
    page = words(rendered[f"crontify-{path[0]}.1"])
    assert f"crontify {' '.join(path)}" in page
    for option in (each for each in COMMANDS[path].params if each.opts[0].startswith("-")):
        if option.hidden:
            continue
        for flag in option.opts:
            assert f" {flag}" in page
        assert words(option.help.replace("`", "")).rstrip(".") in page
        default = option.show_default if isinstance(option.show_default, str) else option.default
        if default and not option.is_flag and not callable(default):
            assert f"Default: {default}." in page


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_setting_stands_in_crontify_toml(key: Any, rendered: dict[str, str]) -> None:
    page = words(rendered["crontify.toml.5"])
    found = re.search(rf"{key.name} \({re.escape(key.kind.name)}\) {re.escape(key.help)}(.*)", page)
    assert found
    its_own = re.split(r" \w+ \([\w, -]+\) [A-Z]", found[1])[0]
    if key.env:
        assert f"Environment: {key.env}." in its_own
        assert key.env in rendered["crontify.1"]
    if key.scope != "monitor":
        assert "Default: " in its_own


def test_defaults_are_shown_as_they_would_be_written(rendered: dict[str, str]) -> None:
    page = words(rendered["crontify.toml.5"])
    for part in ("then it stays queued. Default: 20s.", "in MiB. Default: 256.", "Default: 10s."):
        assert part in page


def test_every_exit_code_stands_in_the_first_page_and_in_that_of_exec(
    rendered: dict[str, str],
) -> None:
    codes = {code for name, code in vars(ExitCode).items() if name.isupper()}
    assert len(codes) > 8
    first = section(rendered["crontify.1"], "EXIT STATUS")
    assert codes == {int(code) for code in re.findall(r"\b\d+\b", first)}
    own = section(rendered["crontify-exec.1"], "EXIT STATUS")
    its = codes - {ExitCode.FAILURE, ExitCode.INTERRUPTED}
    assert its <= {int(code) for code in re.findall(r"\b\d+\b", own)}


@pytest.mark.parametrize("state", get_args(ReportState))
def test_every_state_of_a_report_is_explained(state: str, rendered: dict[str, str]) -> None:
    assert re.search(rf"(?m)^     {state} +[A-Z]", rendered["crontify-runs.1"])
    assert f"`{state}`" in (ROOT / "docs/output.md").read_text()


# Who has only the page of exec can write the line for each feature


def exec_lines(text: str) -> list[list[str]]:
    """Return the words after `exec` of each line that calls it."""
    return [
        shlex.split(line.split("crontify exec ", 1)[1])
        for line in text.splitlines()
        if "crontify exec " in line and not line.startswith("#")
    ]


def test_each_option_of_exec_has_an_example_that_exec_understands() -> None:
    crontab = displays("crontify-exec.1")[0]
    lines = exec_lines(crontab)
    for line in lines:
        assert scan(line) is not None, line
        assert "%" not in " ".join(line)
    used = {word for line in lines for word in line}
    by_hand = {"-v", "--dry-run"}
    for option in OPTIONS:
        assert used.union(by_hand) & set(option.flags), option.name
    for line in filter(None, crontab.splitlines()):
        assert re.match(r"#|[A-Z_]+=|(@reboot|(\S+ ){5}) *crontify (exec|flush) ", line), line


def test_the_systemd_units_call_exec_with_a_credential() -> None:
    service = next(text for text in displays("crontify-exec.1") if "[Service]" in text)
    assert "\nLoadCredential=crontify-api-key:/" in service
    (command,) = exec_lines(service)
    assert scan(command) is not None


def test_the_cronjob_is_yaml_whose_mounts_fit_its_environment() -> None:
    text = next(text for text in displays("crontify-exec.1") if "kind: CronJob" in text)
    pod = yaml.safe_load(text)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"][:2] == ["crontify", "exec"]
    assert scan(container["command"][2:]) is not None
    environ = {each["name"]: each["value"] for each in container["env"]}
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    assert mounts[os.path.dirname(environ["CRONTIFY_API_KEY_FILE"])] == "key"
    assert mounts[os.path.dirname(environ["CRONTIFY_STATE_DIR"])] == "state"
    assert {each["name"] for each in pod["volumes"]} == {*mounts.values()}


def test_the_config_examples_are_right() -> None:
    found = displays("crontify.toml.5")
    assert len(found) == 3
    for text in found:
        problems: list[str] = []
        from_table(tomllib.loads(text), "", problems)
        assert problems == []


# They read well


def test_mandoc_finds_nothing_to_complain_of() -> None:
    need("mandoc")
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "all", *(str(ROOT / "man" / page) for page in PAGES)],
        capture_output=True,
        text=True,
    )
    # Which pages a machine has is not ours; whether there is each of our own, the script looks.
    missing = "referenced manual not found"
    assert [line for line in done.stdout.splitlines() if missing not in line] == []
    assert "mandoc.db" in done.stderr or not done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_wider_than_the_screen(page: str, rendered: dict[str, str]) -> None:
    assert [line for line in rendered[page].splitlines() if len(line) > SCREEN] == []


def test_man_shows_examples_that_can_be_pasted() -> None:
    """Groff would make typographic quotes and hyphens of what is not escaped."""
    need("man")
    done = subprocess.run(
        ["man", "-E", "UTF-8", "-l", str(ROOT / "man/crontify-exec.1")],
        env={**os.environ, "MANWIDTH": "80", "LANG": "C.UTF-8", "MANPAGER": "cat"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "crontify exec dump --shell -- 'pg_dump shop | gzip >/b/s.gz'\n" in done.stdout
    assert r"--meta-regex '(?P<n>\d+) files' -- /srv/cp" in done.stdout
    assert [line for line in done.stdout.splitlines() if len(line) > SCREEN] == []


def test_a_command_line_keeps_its_quotes(checkout: Path) -> None:
    page = checkout / "man/crontify-doctor.1"
    page.write_text(
        page.read_text().replace(".Sh EXAMPLES\n", """.Sh EXAMPLES\n.Dl echo "a 'b'"\n""")
    )
    generator(checkout)
    need("mandoc")
    shown = subprocess.run(
        ["mandoc", "-T", "ascii", str(page)], capture_output=True, text=True, check=True
    ).stdout
    assert """echo "a 'b'"\n""" in shown
    assert """jq '.[] | select(.result == "failure")'\n""" in shown


@pytest.mark.parametrize("page", PAGES)
def test_a_heading_is_rendered_as_it_is_written(page: str, rendered: dict[str, str]) -> None:
    source = (ROOT / "man" / page).read_text()
    for heading in re.findall(r"^\.S[hs] (.+)$", source, re.M):
        assert re.search(rf"(?m)^ *{re.escape(heading)}$", rendered[page]), heading
