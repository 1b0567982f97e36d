"""`crontify ping`: one ping by the same way as those of a run."""

import os
from pathlib import Path

import pytest

from tests.conftest import Crontify
from tests.faults import rate_limited, refusing_url
from tests.programs import PROGRAM
from tests.server import KEY, ApiServer, answer, right, settings
from tests.terminal import Terminal


def test_start_and_success_as_the_document_has_them(crontify: Crontify, api: ApiServer) -> None:
    assert crontify("ping", "start", "backup", env=settings(api)).returncode == 0
    done = crontify("ping", "success", "backup", "--meta", "rows=3", env=settings(api))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    start, success = api.requests
    assert (start.path, start.body) == ("/api/v1/ping/backup/start", b"")
    assert (success.path, success.json) == (
        "/api/v1/ping/backup/success",
        {"meta": {"rows": 3}},
    )


def test_a_fail_with_message_meta_and_log_of_a_file(
    crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    (tmp_path / "job.log").write_bytes(b"line one\n\x1b[31mline two\x1b[0m\n")
    options = ("--message", f"no key {KEY}", "--meta", "code=2", "--log", "job.log")
    assert crontify("ping", "fail", "backup", *options, env=settings(api)).returncode == 0
    assert api.requests[0].json == {
        "errorMessage": "no key [masked]",
        "meta": {"code": 2},
        "logOutput": "line one\nline two\n",
    }


def test_the_log_may_come_by_standard_input_and_its_end_is_kept(
    crontify: Crontify, api: ApiServer
) -> None:
    log = "".join(f"line {n}\n" for n in range(500_000)) + "the cause\n"
    crontify("ping", "fail", "backup", "--log", "-", env=settings(api), input=log)
    sent = api.requests[0].json["logOutput"]
    assert len(sent) <= 10_000
    assert sent.startswith("line 0\n")
    assert sent.endswith("the cause\n")
    assert "bytes omitted" in sent


def test_an_outcome_is_queued_while_the_api_is_away_and_a_start_is_not(
    crontify: Crontify, api: ApiServer, home: Path
) -> None:
    config = home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("report_timeout = 1\n")
    api.default = answer(503)
    start = crontify("ping", "start", "backup", env=settings(api))
    assert start.returncode == 75
    assert "a start is not queued" in start.stderr
    fail = crontify("ping", "fail", "backup", "--message", "m", "-v", env=settings(api))
    assert fail.returncode == 0
    words = "crontify: queued: 503: Service Unavailable; the next run or"
    assert fail.stderr == f"{words} 'crontify flush' sends it\n"
    quiet = crontify("ping", "fail", "other", env=settings(api))
    assert (quiet.returncode, quiet.stderr) == (0, "")
    api.default = right
    before = len(api.requests)
    assert crontify("flush", env=settings(api)).returncode == 0
    sent = api.requests[before:]
    assert sorted(request.path for request in sent) == [
        "/api/v1/ping/backup/fail",
        "/api/v1/ping/other/fail",
    ]


def test_no_queue_is_an_error_and_leaves_nothing_behind(crontify: Crontify, api: ApiServer) -> None:
    with refusing_url() as url:
        env = {**settings(api), "CRONTIFY_BASE_URL": url}
        done = crontify("ping", "fail", "backup", "--no-queue", env=env)
    assert done.returncode == 75
    assert done.stderr.startswith("crontify: fail of backup: ")
    assert crontify("flush", env={**env, "CRONTIFY_API_KEY": KEY}).returncode == 0


def test_the_backlog_goes_out_before_it(crontify: Crontify, api: ApiServer, home: Path) -> None:
    config = home / ".config/crontify/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("report_timeout = 1\n")
    api.default = answer(503)
    crontify("ping", "fail", "backup", "--message", "first", env=settings(api))
    api.default = right
    before = len(api.requests)
    crontify("ping", "success", "backup", env=settings(api))
    late, success = api.requests[before:]
    assert (late.kind, success.kind) == ("fail", "success")
    assert late.json["errorMessage"].endswith("first")
    assert "late_seconds" in late.json["meta"]
    assert b"late_seconds" not in success.body


def test_a_refusal_is_exit_1_with_the_servers_reason(crontify: Crontify, api: ApiServer) -> None:
    env = {**settings(api), "CRONTIFY_API_KEY": "ck_live_wrong_wrong_wrong"}
    done = crontify("ping", "success", "backup", env=env)
    assert done.returncode == 1
    assert "401" in done.stderr
    assert "wrong_wrong" not in done.stderr


def test_a_rate_limit_is_waited_for(crontify: Crontify, api: ApiServer) -> None:
    api.script(rate_limited(1))
    assert crontify("ping", "success", "backup", env=settings(api)).returncode == 0
    assert api.kinds() == ["success", "success"]
    assert api.requests[1].arrived - api.requests[0].arrived >= 1


@pytest.mark.parametrize(
    "words",
    [
        ("end", "backup"),
        ("success", "a b"),
        ("success", "backup", "--meta", "rows=many"),
        ("success", "backup", "--message", "x"),
        ("start", "backup", "--meta", "n=1"),
        ("fail",),
    ],
)
def test_wrong_words_are_a_usage_error_and_nothing_is_sent(
    crontify: Crontify, api: ApiServer, words: tuple[str, ...]
) -> None:
    done = crontify("ping", *words, env=settings(api))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert api.requests == []


def test_bytes_that_are_not_utf8_are_replaced(crontify: Crontify, api: ApiServer) -> None:
    message = os.fsdecode(b"Gr\xf6\xdfe")
    done = crontify("ping", "fail", "backup", "--message", message, env=settings(api))
    assert (done.returncode, done.stderr) == (0, "")
    assert api.requests[0].json["errorMessage"] == "Gr\ufffd\ufffde"


@pytest.mark.parametrize("name", ["no-such-file", ".", os.fsdecode(b"no\xff")])
def test_a_failure_is_sent_without_a_log_that_cannot_be_read(
    crontify: Crontify, api: ApiServer, name: str
) -> None:
    options = ("--message", "why", "--log", name)
    done = crontify("ping", "fail", "backup", *options, env=settings(api))
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
    assert "reported without the log: cannot read " in done.stderr
    assert [request.json for request in api.accepted] == [{"errorMessage": "why"}]


def test_a_missing_key_is_one_line(crontify: Crontify) -> None:
    done = crontify("ping", "fail", "backup")
    assert done.returncode == 1
    assert "no API key" in done.stderr


def test_a_full_disk_sends_it_directly(crontify: Crontify, api: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    env = {**settings(api), "CRONTIFY_STATE_DIR": os.fspath(tmp_path / "file")}
    done = crontify("ping", "success", "backup", env=env)
    assert done.returncode == 0
    assert "is sent directly" in done.stderr
    assert api.kinds() == ["success"]


def test_one_ctrl_d_ends_a_log_typed_at_a_terminal(api: ApiServer, tmp_path: Path) -> None:
    with Terminal() as terminal:
        process = terminal.start(
            [*PROGRAM, "ping", "fail", "backup", "--log", "-"],
            env={**os.environ, **settings(api)},
            cwd=tmp_path,
        )
        terminal.type_line("what I saw")
        terminal.read_until("what I saw")
        terminal.type("\x04")
        assert process.wait(60) == 0
    assert api.requests[0].json["logOutput"] == "what I saw\n"
