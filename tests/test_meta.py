"""The numbers of a report, and what a job may write to `$CRONTIFY_META`."""

import math
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crontify_cli.report.meta import merge, read_meta_file, usage_meta


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "meta"


def test_a_real_jobs_usage_becomes_whole_numbers() -> None:
    code = "import time; s = 'x' * 50_000_000; t = time.process_time() + 0.05\n"
    code += "while time.process_time() < t: pass"
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", code], os.environ)
    _, status, usage = os.wait4(pid, 0)
    meta = usage_meta(os.waitstatus_to_exitcode(status), 1.2345, usage, 17)
    assert list(meta) == [
        *("exit_code", "duration_ms", "user_cpu_ms", "system_cpu_ms", "max_rss_kb", "output_bytes")
    ]
    assert meta["exit_code"] == 0
    assert meta["duration_ms"] in (1234, 1235)
    assert meta["user_cpu_ms"] + meta["system_cpu_ms"] >= 50
    assert 48_000 < meta["max_rss_kb"] < 1_000_000
    assert meta["output_bytes"] == 17
    assert all(type(value) is int for value in meta.values())


def test_what_is_unknown_of_a_dead_run_is_left_out() -> None:
    assert usage_meta(None, 2, None, 0) == {"duration_ms": 2000, "output_bytes": 0}


def test_the_lines_of_the_meta_file_are_numbers(file: Path) -> None:
    file.write_bytes(b"# a comment\n\nrows=12\r\n  rate = 0.5  \nrows=13\nbig=1e3\nlast=-7")
    assert read_meta_file(str(file)) == ({"rows": 13, "rate": 0.5, "big": 1000.0, "last": -7}, [])


def test_bad_lines_are_named_in_one_warning_and_cost_nothing_else(file: Path) -> None:
    file.write_bytes(b"rows=12\nrows=many\n=5\n\xff\0=1\na b=1\nn=nan\nok=1\n")
    meta, warnings = read_meta_file(str(file))
    assert meta == {"rows": 12, "ok": 1}
    assert len(warnings) == 1
    assert warnings[0].startswith("$CRONTIFY_META: line 2: rows: not a number: 'many'; line 3: ")
    assert warnings[0].endswith("; and 2 more")
    assert "\n" not in warnings[0]
    assert "\0" not in warnings[0]


def test_a_file_that_is_gone_or_empty_is_no_warning(file: Path) -> None:
    assert read_meta_file(str(file)) == ({}, [])
    file.touch()
    assert read_meta_file(str(file)) == ({}, [])


def test_what_the_job_put_in_the_files_place_is_a_warning(file: Path) -> None:
    os.mkfifo(file)
    expected = f"cannot read $CRONTIFY_META: {file} is not a regular file; remove it"
    assert read_meta_file(str(file))[1] == [expected]
    file.unlink()
    file.mkdir()
    assert len(read_meta_file(str(file))[1]) == 1


def test_a_huge_file_is_read_up_to_a_bound(file: Path) -> None:
    file.write_bytes(b"first=1\n" + b"#" * 2**20 + b"\nlast=1\n")
    assert read_meta_file(str(file)) == (
        {"first": 1},
        ["$CRONTIFY_META: only the first 1,048,576 bytes were read"],
    )
    file.write_bytes(b"first=1\n#" + b"x" * (2**20 - 17) + b"\nlast=1234\n")
    assert read_meta_file(str(file))[0] == {"first": 1}  # not last=12
    file.write_bytes(b"".join(b"n%d=1\n" % n for n in range(101)) + b"n5=7\n")
    meta, warnings = read_meta_file(str(file))
    assert len(meta) == 100
    assert meta["n5"] == 7
    assert warnings == ["$CRONTIFY_META: line 101: more than 100 names"]


@given(st.binary(max_size=300))
def test_no_content_of_the_file_breaks_the_report(data: bytes) -> None:
    path = Path(os.environ["HOME"]) / "meta"
    path.write_bytes(data)
    meta, warnings = read_meta_file(str(path))
    assert all(math.isfinite(value) for value in meta.values())
    assert len(warnings) <= 1


def test_the_users_numbers_win_over_ours() -> None:
    ours = {"exit_code": 1, "output_bytes": 5}
    assert merge(ours, {"exit_code": 7, "rows": 1}, {"rows": 2}) == {
        "exit_code": 7,
        "output_bytes": 5,
        "rows": 2,
    }
    assert ours["exit_code"] == 1
