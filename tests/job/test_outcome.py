"""What counts as a failure; the exit code stays the job's in each case."""

import os

import pytest

from tests.conftest import Crontify
from tests.job.conftest import Launch
from tests.server import ApiServer, settings


@pytest.mark.parametrize(
    ("codes", "code", "kind"),
    [
        ("0,24", 24, "success"),
        ("0,24", 0, "success"),
        ("0,24", 23, "fail"),
        ("0,20-25", 20, "success"),
        ("0,20-25", 25, "success"),
        ("0,20-25", 26, "fail"),
        ("3", 0, "fail"),
        ("3", 3, "success"),
    ],
)
def test_success_codes(
    crontify: Crontify, api: ApiServer, codes: str, code: int, kind: str
) -> None:
    options = ("--success-codes", codes, "--", "sh", "-c", f"exit {code}")
    done = crontify("exec", "backup", *options, env=settings(api))
    assert done.returncode == code
    assert api.kinds() == ["start", kind]
    assert api.requests[-1].json["meta"]["exit_code"] == code


def test_a_signal_is_no_success_whatever_the_codes_say(crontify: Crontify, api: ApiServer) -> None:
    options = ("--success-codes", "0-255", "--", "sh", "-c", "kill -TERM $$")
    assert crontify("exec", "backup", *options, env=settings(api)).returncode == 143
    assert api.kinds() == ["start", "fail"]


def test_faster_than_min_duration_is_a_failure(crontify: Crontify, api: ApiServer) -> None:
    options = ("--min-duration", "1m", "--", "echo", "nothing to do")
    done = crontify("exec", "backup", *options, env=settings(api))
    assert (done.returncode, done.stdout) == (0, "nothing to do\n")
    fail = api.requests[-1]
    assert fail.kind == "fail"
    assert "sooner than the expected 1m" in fail.json["errorMessage"]
    assert fail.json["logOutput"] == "nothing to do\n"


def test_min_duration_reached_is_a_success(crontify: Crontify, api: ApiServer) -> None:
    crontify("exec", "backup", "--min-duration", "0.1s", "--", "sleep", ".2", env=settings(api))
    assert api.kinds() == ["start", "success"]


def test_tolerated_failures_are_counted_and_the_next_one_fails(
    crontify: Crontify, api: ApiServer
) -> None:
    for code in (4, 4, 4, 0, 4):
        options = ("--tolerate", "2", "--", "sh", "-c", f"exit {code}")
        assert crontify("exec", "backup", *options, env=settings(api)).returncode == code
    ends = [request for request in api.requests if request.kind != "start"]
    assert [end.kind for end in ends] == ["success", "success", "fail", "success", "success"]
    counts = [end.json["meta"].get("tolerated_failures") for end in ends]
    assert counts == [1, 2, None, None, 1]
    assert [end.json["meta"]["exit_code"] for end in ends] == [4, 4, 4, 0, 4]


def test_tolerated_failures_are_counted_for_each_monitor_apart(
    crontify: Crontify, api: ApiServer
) -> None:
    for monitor in ("one", "two", "one"):
        crontify("exec", monitor, "--tolerate", "1", "--", "false", env=settings(api))
    assert api.kinds() == ["start", "success", "start", "success", "start", "fail"]


def test_what_fails_goes_on_failing_until_a_success(crontify: Crontify, api: ApiServer) -> None:
    """The count goes on beyond the limit: the fourth failure is not a first one again."""
    for _ in range(4):
        crontify("exec", "backup", "--tolerate", "1", "--", "false", env=settings(api))
    ends = [kind for kind in api.kinds() if kind != "start"]
    assert ends == ["success", "fail", "fail", "fail"]


@pytest.mark.parametrize(
    ("name", "shown", "advice"),
    [
        (b"/no\xffwhere", "/no\ufffdwhere", ""),
        (b"/no\nwhere\x1b[31m", "/no where [31m", "; to run it with a shell, add --shell"),
        (b"", "''", ""),
    ],
)
def test_a_command_that_is_not_there_is_named_in_one_line_of_text(
    launch: Launch, api: ApiServer, name: bytes, shown: str, advice: str
) -> None:
    process = launch("--", os.fsdecode(name))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 127
    assert err == f"crontify: could not be started: {shown}: command not found{advice}\n"
    assert api.kinds() == ["start", "fail"]
    message = api.requests[-1].json["errorMessage"]
    assert message == f"could not be started: {shown}: command not found{advice}"
