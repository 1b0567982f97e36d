"""What becomes of each line of two crontabs full of traps."""

from pathlib import Path

import pytest

from crontify_cli.crontab import edit
from crontify_cli.crontab.edit import Wrapping
from crontify_cli.crontab.lines import read

HERE = Path(__file__).parent
PROGRAM = b"/usr/bin/crontify"
USERS = (b"root", b"www-data", b"backup")

SIMPLE = {11, 12, *range(14, 21), 23, 24, 32, 34, 35, 37, 39, 41, 42, 46, 49, 50, 51, 54, 61, 62}
SIMPLE |= {63, 64, 82}
SHELL = {13, 21, 22, 25, 26, 27, 28, 29, 30, 31, 33, 38, 40, 43, 44, 45, 47, 48, 55, 56, 57, 58, 59}
SHELL |= {72, 76, 81}
LEFT = {
    36: "not closed before the %",
    52: "calls crontify already",
    53: "calls crontify already",
    60: "ends with &",
    65: "bad minute",
    66: "bad command",
    67: "bad time specifier",
    68: "bad minute",
    69: "starts with a dash",
    70: "first word is a user",
    71: "first word is a user",
    73: "ends with a backslash",
    74: "does not accept",
    75: "not closed",
    77: "no command",
    78: "no command",
    79: "998 bytes",
    80: "does not accept",
}


def planned(name: str, dialect: str = "debian") -> edit.Edit:
    data = (HERE / name).read_bytes()
    lines = read(data, dialect, system=name == "system.crontab", is_user=USERS.__contains__)  # type: ignore[arg-type]
    return edit.plan_wraps(lines, Wrapping(dialect, PROGRAM))  # type: ignore[arg-type]


def test_every_line_of_the_user_form() -> None:
    edited = planned("nasty.crontab")
    quoted = {each.line.number for each in edited.changes if b" --shell -- '" in each.after}
    assert quoted == SHELL
    assert {each.line.number for each in edited.changes} - quoted == SIMPLE
    assert {each.line.number for each in edited.left} == set(LEFT)
    for each in edited.left:
        assert LEFT[each.line.number] in each.reason


def test_the_names_are_unique_and_tell_no_secret() -> None:
    names = [each.monitor for each in planned("nasty.crontab").changes]
    assert len(names) == len(set(names))
    assert names[0] == "sweep"
    assert not [name for name in names if "hunter2" in name or "k3yk3y" in name.lower()]


def test_cronie_accepts_a_random_minute_and_a_leading_dash() -> None:
    edited = planned("nasty.crontab", "cronie")
    assert {65, 68} <= {each.line.number for each in edited.changes}


@pytest.mark.parametrize(
    ("number", "after"),
    [
        (12, b"\t 7\t4  * *\t1-5   CRONTIFY -- nightly-sync   --deep\t  \n"),
        (17, b"0 1 * * * CRONTIFY -- /opt/tools/dump>>/srv/out/dump.log 2>>/srv/out/dump.err\n"),
        (23, b"6 1 * * * >/srv/out/first.log 2>&1 CRONTIFY -- /opt/tools/dump\n"),
        (26, b"9 1 * * * CRONTIFY --shell -- 'cd '\\''/srv/my app'\\''; ./a; ./b >/dev/null'\n"),
        (37, b"20 1 * * 0 CRONTIFY -- mail -s 'weekly\\% report' root@example.invalid%Dear all,"),
        (38, b"21 1 * * * CRONTIFY --shell -- 'tr a-z A-Z | cat > /srv/in.txt'%alpha%beta \\\\ g"),
        (43, b"26 1 * * * CRONTIFY --shell -- 'echo a\\\\'%b\n"),
        (44, b"27 1 * * * CRONTIFY --shell -- 'echo done' # trailing words aren't a cron comm"),
        (56, b"39 1 * * * CRONTIFY --shell -- 'while read -r l; do echo \"$l\"; done' < /srv/l"),
        (63, b"46 1 * * * CRONTIFY -- /opt/tools/dos > /srv/dos.log\r\n"),
    ],
)
def test_what_is_inserted_and_where(number: int, after: bytes) -> None:
    (change,) = [each for each in planned("nasty.crontab").changes if each.line.number == number]
    start = PROGRAM + b" exec " + change.monitor.encode()
    assert change.after.replace(start, b"CRONTIFY").startswith(after)


def test_the_user_column_stays_in_front_and_a_line_without_it_is_left() -> None:
    edited = planned("system.crontab")
    assert {each.line.number for each in edited.changes} == {3, 4, 5, 6, 9, 10}
    assert edited.changes[3].after == (
        b"0 4 * * * backup\t /usr/bin/crontify exec dump --shell --"
        b" 'FOO=1  /opt/tools/dump --to=\"/srv/b/$(date +\\%F)\"'\n"
    )
    reasons = {each.line.number: each.reason for each in edited.left}
    assert reasons[12].endswith("bad username")
    assert reasons[16] == "it calls crontify already"


def test_notes_name_the_options_and_other_pings_without_their_addresses() -> None:
    notes = {each.line.number: " ".join(each.notes) for each in planned("nasty.crontab").changes}
    assert "--overlap skip" in notes[51]
    assert "pings another service" in notes[47]
    assert "u-1" not in notes[47]
    assert "Cronitor reports" in notes[49]
    assert "lacks the output" in notes[25]
    assert "background job" in notes[45]


@pytest.mark.parametrize(
    ("command", "note"),
    [
        (b"flock -xn /run/l /bin/x", "--overlap skip"),
        (b"flock -w 5 /run/n /bin/x", "--overlap wait"),
        (b"nice flock --nonblock /run/l -c 'a b'", "--overlap skip"),
        (b"timeout -k 5 1h /bin/x", "--timeout 1h"),
        (b"env A=1 timeout --signal=KILL 90 /bin/x 7", "--timeout 90"),
        (b"timeout $LIMIT /bin/x 7", ""),
        (b"grep timeout 7", ""),
        (b"rm -n flock", ""),
    ],
)
def test_the_options_that_are_suggested_do_what_the_command_does(command: bytes, note: str) -> None:
    lines = read(b"* * * * * " + command + b"\n", "debian")
    (change,) = edit.plan_wraps(lines, Wrapping("debian", PROGRAM)).changes
    assert (note in " ".join(change.notes)) if note else not change.notes


@pytest.mark.parametrize(
    "command",
    [
        b"nice -n 19 crontify exec own -- /bin/x",
        b"flock -n /run/l /opt/bin/crontify exec --timeout 5 own -- /bin/x",
        b"crontify --config /etc/x.toml exec own -- /bin/x",
        b"sudo -u me crontify --config=/etc/x.toml exec own /bin/x",
    ],
)
def test_the_monitor_is_known_wherever_the_line_calls_exec(command: bytes) -> None:
    (line,) = read(b"* * * * * " + command + b"\n", "debian")
    assert list(edit.monitors([line], "debian")) == ["own"]


def test_unwrap_tells_only_of_lines_that_call_exec() -> None:
    lines = read(
        b"* * * * * crontify flush\n* * * * * job; crontify ping success x\n"
        b"* * * * * nice crontify exec x -- job\n",
        "debian",
    )
    (left,) = edit.plan_unwraps(lines, "debian", lambda line, found: True).left
    assert left.line.number == 3
    assert "does not have the form" in left.reason


@pytest.mark.parametrize(
    "command",
    [
        b"X=$HOME /bin/x",
        b'X="$(cat /srv/x)" /bin/x',
        b"A=1 X=`id` /bin/x > /srv/log",
        b"X=$(/bin/x)",
        b"X=1 /bin/x 2>&1 a >/srv/log",
        b"echo >/srv/log a >/srv/other",
        b"`/bin/x`",
        b"$(/bin/x) a",
    ],
)
def test_what_only_a_shell_can_run_goes_to_one_completely(command: bytes) -> None:
    lines = read(b"* * * * * " + command + b"\n", "debian")
    (change,) = edit.plan_wraps(lines, Wrapping("debian", PROGRAM)).changes
    assert b" --shell -- '" + command.partition(b" > ")[0] + b"'" in change.after


def test_a_setting_counts_for_the_lines_below_it_only() -> None:
    lines = read(
        b"1 * * * * job &> /srv/a\nSHELL=/bin/bash\n2 * * * * job &> /srv/a\n"
        b"SHELL=/usr/bin/fish\n3 * * * * job\n",
        "debian",
    )
    edited = edit.plan_wraps(lines, Wrapping("debian", PROGRAM))
    assert [each.line.number for each in edited.changes] == [3]
    assert "&> starts a background job in sh" in edited.left[0].reason
    assert "quoting is not sh's" in edited.left[1].reason


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (b"# nightly dump\n* * * * * /bin/x\n", ["nightly-dump"]),
        (b"# nightly dump\n\n* * * * * /bin/x\n", ["x"]),
        (b"# 0 1 * * * /bin/old\n* * * * * /bin/x\n", ["x"]),
        (b"# m h dom mon dow command\n* * * * * /bin/x\n", ["x"]),
        (b"# the password is hunter2\n* * * * * /bin/x\n", ["x"]),
        (b"# see https://h.invalid/?k=1\n* * * * * /bin/x\n", ["x"]),
        (b"# d\xc3\xa9p\xc3\xb4t \xff\n* * * * * /bin/x\n", ["depot"]),
        (b"* * * * * /bin/x\n* * * * * /bin/x\n", ["x", "x-2"]),
        (b"* * * * * python3 -u /srv/my_job.py --key s3cret\n", ["my-job"]),
        (b"* * * * * nice -n 19 sudo -u me flock -n /run/l /srv/back.up.sh\n", ["back-up"]),
        (b"* * * * * bash -c 'mysql -phunter2'\n", ["bash"]),
        (b"* * * * * $VV hunter2\n", ["job"]),
        (b"* * * * * cd /srv && export A=hunter2 && ./tick\n", ["tick"]),
        (b"* * * * * env A=hunter2 timeout 1h /bin/x\n", ["x"]),
    ],
)
def test_names_come_from_a_comment_or_a_program_and_never_from_arguments(
    lines: bytes, names: list[str]
) -> None:
    edited = edit.plan_wraps(read(lines, "debian"), Wrapping("debian", PROGRAM))
    assert [each.monitor for each in edited.changes] == names
