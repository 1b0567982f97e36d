"""The cause that an alert names: found among progress, summaries, advice and good manners."""

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crontify_cli.report.cause import LOOKED_AT, end_of, find_causes, joined
from crontify_cli.report.compose import Output, cause_of, compose
from crontify_cli.report.excerpt import units
from tests.conftest import Crontify
from tests.server import KEY, ApiServer


class Case(NamedTuple):
    """What a program printed when it failed, and what the message must hold of it."""

    name: str
    want: str
    output: str


CASES = [
    Case(**case)
    for case in json.loads((Path(__file__).parent / "data/causes.json").read_text("utf-8"))
]
PROGRESS = "".join(f"processed {rows * 100} of 4000 rows\n" for rows in range(40))
MANNERS = "cleaning up\nbye\n"


def as_it_is(text: str) -> str:
    return text


def message(errors: bytes, reason: str = "exited with code 1") -> str:
    composed = compose("m", False, reason, {}, Output(b"", 0, b"", errors), as_it_is)
    assert composed.ping.error_message is not None
    return composed.ping.error_message


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_cause_is_named_from_stderr_alone_and_amid_all_output(case: Case) -> None:
    assert case.want in message(case.output.encode())
    whole = PROGRESS + case.output.rstrip("\n") + "\n" + MANNERS
    assert case.want in message(whole.encode())


def cause(text: str) -> str:
    return cause_of(text.encode(), as_it_is)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            (
                'Exception in thread "main" a.JobException: job failed\n\tat a.B.c(B.java:1)\n'
                "Caused by: java.io.IOException: disk full\n\tat a.B.c(B.java:1)\n\t... 1 more\n"
            ),
            (
                "Caused by: java.io.IOException: disk full"
                ' | Exception in thread "main" a.JobException: job failed'
            ),
        ),
        (
            (
                "03:00:01  Database Error in model x (models/x.sql)\n"
                '03:00:01    relation "y" does not exist\n'
            ),
            'Database Error in model x (models/x.sql): relation "y" does not exist',
        ),
        (
            (
                'ERROR:  duplicate key violates "t_pkey"\nDETAIL:  Key (id)=(1) already exists.\n'
                "HINT:  Use another key.\n"
            ),
            'ERROR: duplicate key violates "t_pkey" DETAIL: Key (id)=(1) already exists.',
        ),
        ("upload: timed out\n" * 3 + "upload: giving up\n", "upload: timed out"),
        (
            (
                "tar: /a: Cannot open: Permission denied\ntar: /b: Cannot open: Permission denied\n"
                "tar: Exiting with failure status due to previous errors\n"
            ),
            "tar: /a: Cannot open: Permission denied",
        ),
        (
            (
                "cp: cannot stat '/a': No such file or directory\n"
                "mysql: access denied for user 'app'\nErr 12: fatal: the disk is lost\n"
            ),
            (
                "cp: cannot stat '/a': No such file or directory"
                " | mysql: access denied for user 'app' | Err 12: fatal: the disk is lost"
            ),
        ),
        ("0 errors, 0 warnings\nno errors found\nrows differ\n", "rows differ"),
        ("loading\ntable a: rows differ\nremoving the lock\n", "table a: rows differ"),
        ("make: *** [Makefile:2: all] Error 1\n", "make: *** [Makefile:2: all] Error 1"),
        (
            "error: no feed\n\nCaused by:\n    0: opening a\n    1: connection refused\n",
            "1: connection refused | error: no feed",
        ),
        (
            "error: a\n\nCaused by:\n  b failed\n\nCaused by:\n  not found\n",
            "not found | error: a | b failed",
        ),
        (
            "dump: error: query failed\ndump: detail: Query was: LOCK TABLE a\n",
            "dump: error: query failed dump: detail: Query was: LOCK TABLE a",
        ),
        ("Failed to list a: denied\nWARN: a is empty\n", "Failed to list a: denied"),
        (
            "Backup of disk 2 failed - not mounted\njob errors\n",
            "Backup of disk 2 failed - not mounted | job errors",
        ),
        ("listen on 0.0.0.0:80 failed (in use)\nclosing\n", "listen on 0.0.0.0:80 failed (in use)"),
        ("connecting to a failed\nclosing failed connections\n", "connecting to a failed"),
        ("✔ connected\n✖ the tables differ\n✔ disconnected\n", "✖ the tables differ"),
        ("[job] the disk is odd\n[job] end\n", "[job] the disk is odd"),
        ("a.exe: odd\nFiles: 12\nData scanned: 12.00 MB\n", "a.exe: odd"),
        ("│ no such file │\n", "no such file"),
        (
            "INFO sh: cp: cannot stat a\nERROR task failed with exception\n",
            "INFO sh: cp: cannot stat a",
        ),
        (
            "There are no commands like a\n\n  Did you mean one of these?\n      b\n      c\n",
            "There are no commands like a",
        ),
        ("the feed is odd\ndone\n", "the feed is odd"),
        ("the feed is odd\ncopy exited with code 0\n", "the feed is odd"),
        ("a    ok   0s\nb    lagging   12s\nc    ok   1s\n", "b lagging 12s"),
        (
            "lint.....Failed\n- exit code: 1\na.py:1:8: F401 os unused\n",
            "a.py:1:8: F401 os unused | - exit code: 1",
        ),
        ("Error: no x\nRequire stack:\n- /a.js\n    at b (c.js:1:2)\n", "Error: no x"),
        ('{"errorMessage": "odd row", "errorType": "RowError"}\n', "odd row"),
        ("WARN a not reachable\nERROR timed out\n", "ERROR timed out | WARN a not reachable"),
    ],
)
def test_what_belongs_together_is_told_together_and_once(output: str, expected: str) -> None:
    assert cause(output) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-27 03:00:05,002 ERROR upload failed: 403", "ERROR upload failed: 403"),
        ("[2026-11-27T03:00:05Z ERROR job] upload failed: 403", "ERROR upload failed: 403"),
        ("[03:00:05 ERR] upload failed: 403", "ERR upload failed: 403"),
        ("Nov 27 03:00:05 srv job[12]: upload failed: 403", "job[12]: upload failed: 403"),
        ("2026/11/27 03:00:05 [error] upload failed: 403", "error upload failed: 403"),
        ("E1127 03:00:05.000000   12 a.go:3] upload failed: 403", "upload failed: 403"),
        ("E, [2026-11-27T03:00:05 #12] ERROR -- : upload failed: 403", "upload failed: 403"),
        ('time=x level=error msg="upload failed" err="403"', "upload failed: 403"),
        ('{"level":"error","msg":"upload failed","err":"403"}', "upload failed: 403"),
        ('{"level":50,"msg":"upload failed","err":{"message":"403"}}', "upload failed: 403"),
        ('{"level":3,"short_message":"upload failed: 403"}', "upload failed: 403"),
        ("FATA[0012] upload failed: 403", "FATA[0012] upload failed: 403"),
        ("[123456.789012] upload failed: 403", "upload failed: 403"),
        ("<27>1 2026-11-27T03:00:05Z srv job 12 - - upload failed: 403", "upload failed: 403"),
        ("2026-11-27T03:00:05Z upload to a error: 403", "upload to a error: 403"),
        ('fatal: [h]: FAILED! => {"changed": false, "msg": "403"}', "fatal: [h]: FAILED!: 403"),
    ],
)
def test_a_loggers_line_is_told_by_its_level_and_without_its_stamp(
    line: str, expected: str
) -> None:
    for before, after in (("", ""), ("INFO start\n", "\nINFO stop\n")):
        assert cause(before + line + after) == expected


def test_what_json_escapes_is_masked_too_and_leaves_no_control_characters() -> None:
    line = rb'{"level":"error","msg":"key s\u0033cret \u001b[31mrefused\u0000\n"}'
    assert cause_of(line, lambda text: text.replace("s3cret", "***")) == "key *** refused"


def test_an_error_far_before_the_end_gives_way_to_what_ended_the_job() -> None:
    early = 'Traceback (most recent call last):\n  File "x", line 1\nOSError: once\n'
    assert cause(early + "INFO working\n" * 30) == "OSError: once"
    assert cause(early + "INFO working\n" * 30 + "fatal: no quorum\n").startswith("fatal: no quor")


@pytest.mark.parametrize(
    "line", ["processed 100 rows of x\n", "2026-11-27 03:00:00 INFO no news, 0 errors\n"]
)
def test_the_cause_is_found_before_hundreds_of_harmless_lines(line: str) -> None:
    error = 'rsync: [sender] link_stat "/srv/missing" failed: No such file or directory (2)'
    assert cause(f"{error}\n" + line * 600) == error


def test_binary_output_is_not_told_but_its_last_readable_line_is() -> None:
    binary = bytes(range(256)) * 40
    assert message(binary) == "exited with code 1"
    assert message(binary + b"\nthe tape is odd\n" + binary) == (
        "exited with code 1: the tape is odd"
    )
    assert message(b"a\0b\0find: a: Permission denied\n").endswith(": find: a: Permission denied")


def test_a_line_torn_by_the_cut_is_dropped_before_it_can_be_told() -> None:
    rest = b"x" * (LOOKED_AT - 20) + b"\n"
    torn = b"error: the key is AAAA" + b"B" * 40 + b"\n" + rest
    assert b"B" not in end_of(torn)
    assert end_of(torn) == rest
    whole = b"A\n" + b"b" * (LOOKED_AT - 1) + b"\n"
    assert end_of(whole) == whole[2:]
    assert end_of(b"short") == b"short"
    assert 0 < len(end_of(b"one line " * LOOKED_AT)) < LOOKED_AT


def test_three_long_causes_share_the_room() -> None:
    texts = ("aaa " * 100 + "denied", "bbb " * 100 + "expired", "ccc " * 100 + "timed out")
    output = "".join(f"error: {text}\n" for text in texts)
    text = message(output.encode())
    assert 450 < units(text) <= 500
    first, second = text.removeprefix("exited with code 1: ").split(" | ")[:2]
    assert 200 < len(first) < 300
    assert first.startswith("error: aaa aaa")
    assert first.endswith("aaa denied")
    assert second.startswith("error: bbb bbb")
    assert second.endswith("bbb expired")


PIECES = [
    *(case.output for case in CASES[:60]),
    *("}\n", "  {\n", "at x\n", "Caused by:\n", "\x00", "\r", "| ", "é" * 50, "\ufffd" * 9),
    *('{"a":' * 2000, '{"level":"error","msg":"\\ud800"}\n', "panic:", "error:\n", "\u2028"),
]


@given(
    st.one_of(
        st.binary(max_size=2000),
        st.lists(st.sampled_from(PIECES), max_size=8).map(lambda parts: "".join(parts).encode()),
        st.text(max_size=500).map(lambda text: text.encode("utf-8", "replace")),
    ),
    st.text(st.characters(codec="utf-8"), max_size=600),
)
@settings(max_examples=300, deadline=None)
def test_whatever_a_job_prints_the_message_is_one_printable_line_within_its_limit(
    output: bytes, reason: str
) -> None:
    assert units(message(output, reason)) <= 500
    text = cause_of(output, as_it_is, 500)
    assert units(text) <= 500
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text)
    text.encode()
    assert len(find_causes(output.decode("utf-8", "replace"))) <= 3


def steps(text: str) -> int:
    """Count the calls and lines of Python that finding the cause takes: no clock."""
    count = 0

    def count_one(*_: object) -> object:
        nonlocal count
        count += 1
        return count_one

    sys.settrace(count_one)  # type: ignore[arg-type]
    try:
        joined(find_causes(text), 480)
    finally:
        sys.settrace(None)
    return count


@pytest.mark.parametrize(
    "line",
    [
        "copied /srv/data/in-%d.csv to the backup volume\n",
        "ERROR upload %d failed: cannot open /srv: Permission denied\n",
        '{"level":"error","msg":"sync %d failed","err":"i/o timeout"}\n',
        'Traceback (most recent call last):\n  File "x", line 1\nOSError: %d\n',
        "%d\n",
    ],
)
def test_twice_the_output_takes_at_most_twice_the_steps(line: str) -> None:
    find_causes(line)  # compiles the patterns
    once = steps("".join(line % number for number in range(300)))
    twice = steps("".join(line % number for number in range(600)))
    assert twice < 2.5 * once


def test_a_thousand_errors_take_little_more_than_five_hundred() -> None:
    line = "ERROR upload %d failed: cannot open /srv: Permission denied\n"
    find_causes(line)
    few = steps("".join(line % number for number in range(500)))
    assert steps("".join(line % number for number in range(1000))) < 1.5 * few


HOSTILE = ["error ", "exit ", "a.", "a::", "{", '{"a":', "[a]", "| ", "- ", "1 a ", 'a="', "12:"]
HOSTILE += ["at x:1:\n", "thread '", "((", " ", "^", "A.", "failed with ", "no ", "\\", "err\n"]


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_mebibyte_of_anything_takes_time_in_proportion(unit: str) -> None:
    """No clock: what is quadratic in a line would take hours, and the test run with it."""
    cause(unit * (2**20 // len(unit)))
    cause((unit * (4000 // len(unit)) + "\n") * 256)


def test_a_real_job_with_both_streams_in_one_file_is_reported_with_its_cause(
    crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    script = tmp_path / "job.sh"
    script.write_text(
        "set -e\nexec 2>&1\ntrap 'echo Removing the lock; echo bye' EXIT\n"
        "for n in 1 2 3 4; do echo processed $n of 4 rows; done\n"
        "cp /no/such/file /tmp/x\n"
    )
    env = {"CRONTIFY_API_KEY": KEY, "CRONTIFY_BASE_URL": api.url, "LC_ALL": "C"}
    done = crontify("exec", "backup", "--", "sh", str(script), env={**os.environ, **env})
    assert done.returncode == 1
    assert done.stdout.endswith("Removing the lock\nbye\n")
    assert api.kinds() == ["start", "fail"]
    assert api.requests[1].json["errorMessage"] == (
        "exited with code 1: cp: cannot stat '/no/such/file': No such file or directory"
    )
