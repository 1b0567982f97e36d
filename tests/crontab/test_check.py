"""What `crontify crontab check` finds, and that a plain crontab has nothing to find."""

import json
from pathlib import Path

import pytest

from crontify_cli.crontab.check import File, Machine, check, check_file
from crontify_cli.crontab.lines import read
from crontify_cli.crontab.schedule import Dialect
from tests.conftest import Crontify

MACHINE = Machine(
    finds=lambda program, path: program in (b"job", b"/bin/job", b"/bin/sh", b"/bin/bash"),
    is_user=lambda word: word == b"backup",
)


def codes(data: bytes, dialect: Dialect = "debian") -> dict[str, str]:
    """Return the codes that are found, each with its level."""
    lines = read(data, dialect)
    return {each.code: each.level for each in check(lines, dialect, MACHINE)}


PLAIN = b"""# comment
SHELL=/bin/sh
EMPTY=""
0 3 * * 1-5 job a 'b c' 2>&1
@daily /bin/job "$(job x\\%y)" >> /srv/log
0 0 * * * cd /srv && ./job > log
"""


def test_a_plain_crontab_has_no_surprise_but_a_redirection_within_a_list() -> None:
    assert codes(PLAIN) == {"partial-redirect": "warning"}


@pytest.mark.parametrize("dialect", ["debian", "cronie", "busybox"])
def test_nothing_is_found_in_nothing(dialect: Dialect) -> None:
    assert codes(b"", dialect) == {}


FILES: dict[bytes, dict[Dialect, set[str]]] = {
    b"* * * * job\n": {"debian": {"rejected", "file-ignored"}, "cronie": {"rejected"}},
    b"* * * * * job": {"debian": {"no-final-newline"}, "cronie": {"no-final-newline"}},
    b"0 0 * * * x\0\n": {
        "debian": {"nul", "rejected", "file-ignored"},
        "cronie": {"nul", "rejected"},
    },
    b"\xef\xbb\xbf* * * * * job\n": {"debian": {"bom", "rejected", "file-ignored"}},
    b"F=\n": {"debian": {"rejected", "file-ignored"}, "cronie": set()},
    b"* * * * * job %s\n" % (b"x" * 994): {"debian": set()},
    b"* * * * * job %s\n" % (b"x" * 995): {"debian": {"rejected", "file-ignored"}, "cronie": set()},
    b"0 1 * * * job {{ x }}\n": {"debian": {"template"}},
}


@pytest.mark.parametrize("data", FILES)
def test_what_costs_the_whole_file(data: bytes) -> None:
    for dialect, wanted in FILES[data].items():
        assert set(codes(data, dialect)) == wanted, dialect


@pytest.mark.parametrize(
    ("line", "code", "level"),
    [
        (b"* * * * * job +%F", "percent", "warning"),
        (b"* * * * * job '+%F'", "unbalanced", "error"),
        (b"* * * * fri-sun job", "never", "error"),
        (b"0 0 31 2 * job", "never", "error"),
        (b"0 0 13 * fri job", "both-days", "warning"),
        (b"0 0 */2 * fri job", "both-days", "warning"),
        (b"*/5 * * * * 1 job", "six-fields", "error"),
        (b"*/5 * * * * * job", "rejected", "error"),
        (b"@every 1m job", "rejected", "error"),
        (b"5#1 * * * * job", "ignored", "warning"),
        (b"* * * * * nothing", "not-found", "error"),
        (b"* * * * * /opt/nothing", "not-found", "error"),
        (b"* * * * * ./job", "relative", "warning"),
        (b"* * * * * job > log", "relative", "warning"),
        (b"A=$HOME/x", "not-expanded", "warning"),
        (b"PATH=~/bin:/bin", "not-expanded", "warning"),
        (b"CRON_TZ=Asia/Tokyo", "cron-tz", "warning"),
        (b"* * * * * job > /srv/x\r", "carriage-return", "warning"),
        (b"* * * * * job &> /srv/x", "both-redirect", "warning"),
        (b"* * * * * job &", "background", "warning"),
        (b"* * * * * job a?b=1&c=2", "background", "warning"),
        (b"* * * * * job >/dev/null 2>&1", "dev-null", "warning"),
        (b"* * * * * job &>/dev/null", "dev-null", "warning"),
        (b"* * * * * job | job > /srv/x", "partial-redirect", "warning"),
        (b"* * * * * /bin/job \\", "continued", "warning"),
        (b"* * * * * -n -q job", "dash", "error"),
        (b"* * * * * backup job", "user-column", "error"),
        (b"* * * * * %stdin", "no-command", "error"),
    ],
)
def test_what_is_found_in_a_line(line: bytes, code: str, level: str) -> None:
    assert codes(line + b"\n").get(code) == level
    assert code not in codes(PLAIN) or code == "partial-redirect"


def test_bash_knows_the_redirection_of_both_streams() -> None:
    assert "both-redirect" not in codes(b"SHELL=/bin/bash\n* * * * * job &> /srv/x\n")
    assert codes(b"SHELL=/bin/fish\n* * * * * job\n") == {"shell-not-found": "error"}


def test_a_wrapped_line_is_looked_at_as_before() -> None:
    found = codes(b"0 0 * * * /bin/job exec n --shell -- 'job > /srv/a; job'\n".replace(
        b"/bin/job exec", b"/usr/bin/crontify exec"))  # fmt: skip
    assert found == {"not-found": "error", "partial-redirect": "warning"}


def test_a_wrapped_line_has_each_surprise_once() -> None:
    line = b"0 0 * * * /usr/bin/crontify exec n -- job > log\n"
    (own,) = [each for each in check(read(line), "debian", MACHINE) if each.code == "relative"]
    assert own.message == "log is relative to the home directory"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"* * * * * job a\\%b", "percent"),
        (b"* * * * * job 'a # b'", "hash"),
        (b"@daily job", "busybox-word"),
        (b"A=1", "not-set"),
        (b"60 * * * * job", "rejected"),
    ],
)
def test_busybox_has_surprises_of_its_own(line: bytes, code: str) -> None:
    assert code in codes(line + b"\n", "busybox")
    assert code not in codes(line + b"\n", "debian") or code == "rejected"


@pytest.mark.parametrize(
    ("name", "owner", "mode", "debian", "cronie"),
    [
        ("jobs", 0, 0o644, "", ""),
        ("jobs", 0, 0o755, "", "file-mode"),
        ("jobs", 0, 0o664, "file-mode", "file-mode"),
        ("jobs", 1000, 0o644, "file-owner", "file-owner"),
        ("jobs.dot", 0, 0o644, "file-name", ""),
        ("jobs~", 0, 0o644, "file-name", "file-name"),
    ],
)
def test_files_that_are_ignored(name: str, owner: int, mode: int, debian: str, cronie: str) -> None:
    wanted: dict[Dialect, str] = {"debian": debian, "cronie": cronie}
    for dialect, code in wanted.items():
        found = [each.code for each in check_file(File(name, owner, mode, True), dialect)]
        assert found == ([code] if code else [])


def test_the_exit_code_tells_whether_something_would_not_run(
    crontify: Crontify, tmp_path: Path
) -> None:
    table = tmp_path / "table"
    table.write_bytes(b"0 0 13 * fri /bin/true\n")
    fine = crontify("crontab", "check", str(table))
    assert fine.returncode == 0
    assert fine.stdout.split("\t")[1:4] == ["1", "warning", "both-days"]
    table.write_bytes(b"0 0 * * fri-sun /bin/true\n")
    never = crontify("crontab", "check", "--json", "--cron", "debian", str(table))
    assert never.returncode == 1
    assert [row["code"] for row in json.loads(never.stdout)] == ["never"]
    assert crontify("crontab", "check", "--cron", "cronie", str(table)).returncode == 0
