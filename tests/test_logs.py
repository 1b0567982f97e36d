"""`crontify logs`: from the API or from here, live or over, and never what a terminal acts on."""

import base64
import json
import os
import re
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from crontify_cli.report.live import HOLD, Lines
from tests.conftest import Crontify
from tests.programs import PROGRAM
from tests.sandbox_process import Sandbox
from tests.screen import screen
from tests.server import TOKEN, ApiServer, answer, settings
from tests.waiting import until, until_exists

FAILING = ["exec", "clnightly", "--", "sh", "-c", "echo what it said; exit 3"]


def own(api: ApiServer, token: str = TOKEN) -> dict[str, str]:
    return {**settings(api), "CRONTIFY_TOKEN": token}


def test_the_newest_failure_is_shown_from_the_sandbox(crontify: Crontify, sandbox: Sandbox) -> None:
    env = {
        "CRONTIFY_API_KEY": sandbox.api_key,
        "CRONTIFY_BASE_URL": sandbox.url,
        "CRONTIFY_TOKEN": sandbox.token,
    }
    assert crontify(*FAILING, env=env).returncode == 3
    assert crontify("exec", "clnightly", "--", "echo", "all well", env=env).returncode == 0
    done = crontify("logs", "clnightly", env=env)
    assert (done.returncode, done.stdout) == (0, "what it said\n")
    assert "log from the API" in done.stderr
    last = crontify("logs", "clnightly", "-1", env=env)
    assert last.stdout == "all well\n"
    assert "log from this machine (the API has no log of this run)" in last.stderr
    assert crontify("logs", "clnightly", "-2", env=env).stdout == "what it said\n"
    none = crontify("logs", "clnightly", "-1", "--remote", env=env)
    assert (none.returncode, none.stdout) == (0, "")
    assert "the API has no log of this run" in none.stderr
    missing = crontify("logs", "clnightly", "nosuchrun", env=env)
    assert missing.returncode == 1
    assert "the API has no run nosuchrun" in missing.stderr
    refused = crontify("logs", "clnightly", "--remote", env={**env, "CRONTIFY_TOKEN": "wrong"})
    assert refused.returncode == 1
    assert "not valid (401)" in refused.stderr
    assert "crontify sandbox token" in refused.stderr


def test_a_log_with_escape_sequences_from_the_sandbox_acts_on_no_terminal(
    crontify: Crontify, sandbox: Sandbox
) -> None:
    """Sent by something that does not clean it, as the seed's own script would."""
    content = "a\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J\rb\x08\nend\u202e\n"
    request = urllib.request.Request(
        f"{sandbox.url}/ping/clnightly/fail",
        json.dumps({"errorMessage": "no", "logOutput": content}).encode(),
        {"X-API-Key": sandbox.api_key, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:
        run = json.load(reply)["data"]["runId"]
    env = {"CRONTIFY_BASE_URL": sandbox.url, "CRONTIFY_TOKEN": sandbox.token}
    clean = crontify("logs", "clnightly", run, env=env)
    assert clean.returncode == 0
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", clean.stdout)
    assert "red" not in clean.stdout.splitlines()[0]  # what the carriage return left standing
    shown = screen(["logs", "clnightly", run], env={**env, "NO_COLOR": "1"})
    assert "\x1b" not in shown.replace("\x1b[?", "")
    raw = crontify("logs", "clnightly", run, "--raw", env=env, text=False)
    assert raw.stdout.decode() == content
    told = crontify("logs", "clnightly", run, "--json", env=env).stdout
    assert "\\u001b" not in told
    assert (
        json.loads(crontify("logs", "clnightly", run, "--raw", "--json", env=env).stdout)["content"]
        == content
    )


def test_an_expired_token_of_the_sandboxs_is_said(
    crontify: Crontify, sandbox: Sandbox, tmp_path: Path
) -> None:
    database = str(tmp_path / "sandbox.db")
    expired = crontify("sandbox", "token", "--expires", "1s", "--db", database).stdout.strip()
    env = {"CRONTIFY_BASE_URL": sandbox.url, "CRONTIFY_TOKEN": expired}
    until(lambda: "expired" in crontify("logs", "clnightly", "r", env=env).stderr, "it expires")
    done = crontify("logs", "clnightly", "r", env=env)
    assert done.returncode == 1
    assert "the token expired" in done.stderr
    assert "get a new one from 'crontify sandbox token'" in done.stderr


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_answer_is_read_bare_and_wrapped(
    crontify: Crontify, api: ApiServer, wrapped: bool
) -> None:
    crontify(*FAILING, env=own(api))
    body = {"hasLog": True, "content": "a\x1b[31mred\x1b[0m\x1b]0;title\x07\nb"}
    for raw in (False, True):
        api.script(answer(200, {"success": True, "data": body} if wrapped else body), kind="log")
        done = crontify("logs", *(["--raw"] if raw else []), env=own(api))
        assert done.stdout == (f"{body['content']}\n" if raw else "ared\nb\n")
    api.script(answer(200, {"hasLog": False, "content": None}), kind="log")
    found = json.loads(crontify("logs", "--remote", "--json", env=own(api)).stdout)
    document = (Path(__file__).parent.parent / "docs/output.md").read_text()
    section = document.split("crontify logs --json`\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == list(found)
    assert (found["source"], found["has_log"], found["content"]) == ("api", False, None)


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "not valid (401)"), (404, "has no run"), (429, "(429)"), (500, "(500)")],
)
def test_where_the_api_gives_nothing_the_local_copy_is_shown_and_named(
    crontify: Crontify, api: ApiServer, status: int, says: str
) -> None:
    crontify(*FAILING, env=own(api))
    api.script(answer(status, {"message": "no"}), answer(status, {"message": "no"}), kind="log")
    done = crontify("logs", "clnightly", env=own(api))
    assert (done.returncode, done.stdout) == (0, "what it said\n")
    assert "log from this machine" in done.stderr
    assert says in done.stderr
    insisted = crontify("logs", "clnightly", "--remote", env=own(api))
    assert (insisted.returncode, insisted.stdout) == (1, "")
    assert says in insisted.stderr
    assert TOKEN not in done.stderr + insisted.stderr


def test_an_expired_token_is_told_from_a_wrong_one(crontify: Crontify, api: ApiServer) -> None:
    crontify(*FAILING, env=own(api))
    claims = base64.urlsafe_b64encode(json.dumps({"exp": time.time() - 90000}).encode()).decode()
    done = crontify("logs", "--remote", env=own(api, f"e30.{claims.rstrip('=')}.sig"))
    assert "the token expired 1d ago" in done.stderr
    assert "crontify config set token" in done.stderr


def test_without_token_or_server_the_local_copy_is_shown(
    crontify: Crontify, api: ApiServer
) -> None:
    crontify(*FAILING, env=own(api))
    done = crontify("logs", env=own(api, ""))
    assert done.stdout == "what it said\n"
    assert "no user token" in done.stderr
    api.down()
    assert crontify("logs", env=own(api)).stdout == "what it said\n"
    before = len(api.requests)
    assert crontify("logs", "--local", env=own(api)).stdout == "what it said\n"
    assert len(api.requests) == before


def test_a_run_is_found_by_any_of_its_names(crontify: Crontify, api: ApiServer) -> None:
    for word in ("one", "two"):
        crontify("exec", "m", "--", "echo", word, env=own(api))
    listed = [line.split("\t") for line in crontify("runs").stdout.splitlines()]
    for row, word in zip(listed, ("two", "one"), strict=True):
        local, remote = row[6], row[7]
        for args in ((local,), (local[:8],), (remote,), ("m", local), ("m", remote)):
            assert crontify("logs", *args, "--local").stdout == f"{word}\n", args
    assert crontify("logs", "-2", "--local").stdout == "one\n"
    assert "no run -3: only 2 in the journal" in crontify("logs", "m", "-3").stderr
    unknown = crontify("logs", "m", "zz", "--local")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "not in this machine's journal" in unknown.stderr


def test_the_last_lines_and_the_pager(crontify: Crontify, api: ApiServer) -> None:
    crontify("exec", "m", "--", "seq", "9", env=own(api))
    assert crontify("logs", "m", "-n", "2", "--local").stdout == "8\n9\n"
    shown = screen(["logs", "m", "--local"], env={"CRONTIFY_PAGER": "sed s/^/PAGED/"})
    assert "PAGED9" in shown


def test_follow_shows_a_line_as_soon_as_it_is_printed_and_the_outcome(
    api: ApiServer, tmp_path: Path
) -> None:
    secret = "hush-hush-0123456789"
    script = (
        'echo first "$DB_PASSWORD"; touch begun; until [ -e go ]; do sleep .01; done;'
        "printf '\\033[31mred\\033[0m\\n'; until [ -e end ]; do sleep .01; done;"
        "printf last; exit 7"
    )
    job = subprocess.Popen(
        [*PROGRAM, "exec", "m", "--", "sh", "-c", script],
        cwd=tmp_path,
        env={**os.environ, **own(api), "DB_PASSWORD": secret},
        stdout=subprocess.DEVNULL,
    )
    until_exists(tmp_path / "begun")
    reader = subprocess.Popen(
        [*PROGRAM, "logs", "m", "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **own(api)},
    )
    assert reader.stdout
    assert reader.stdout.readline() == "first [masked]\n"
    (tmp_path / "go").touch()
    assert reader.stdout.readline() == "red\n"  # while the job waits for `end`
    (tmp_path / "end").touch()
    out, err = reader.communicate(timeout=60)
    assert job.wait(60) == 7
    assert (out, reader.returncode) == ("last\n", 0)
    assert "m: failed: exited with code 7" in err


def test_the_log_of_a_running_job_is_its_output_so_far(
    crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    script = "echo first; touch begun; until [ -e end ]; do sleep .01; done; echo last"
    with subprocess.Popen(
        [*PROGRAM, "exec", "m", "--", "sh", "-c", script],
        cwd=tmp_path,
        env={**os.environ, **own(api)},
        stdout=subprocess.PIPE,
        text=True,
    ) as job:
        try:
            assert job.stdout
            assert job.stdout.readline() == "first\n"  # so it is recorded as well
            api.wait_for(1)  # the start is sent after the run is in the journal
            now = crontify("logs", "m", env=own(api))
            remote = crontify("logs", "m", "--remote", env=own(api))
        finally:
            (tmp_path / "end").touch()
    assert (now.returncode, now.stdout) == (0, "first\n")
    assert "output so far; use --follow to see the rest" in now.stderr
    assert (remote.returncode, remote.stdout) == (1, "")
    assert "the run has not ended" in remote.stderr


def test_following_nothing_shows_the_last_log_and_ends(crontify: Crontify, api: ApiServer) -> None:
    crontify(*FAILING, env=own(api))
    done = crontify("logs", "clnightly", "-f", env=own(api))
    assert (done.returncode, done.stdout) == (0, "what it said\n")
    assert "no run of clnightly is active" in done.stderr


def test_lines_are_held_until_they_are_whole_or_old() -> None:
    lines = Lines()
    assert lines.feed(b"one\ntw", 0) == "one\n"
    assert lines.feed("ö".encode()[:1], 0.5) == ""
    assert lines.feed("ö".encode()[1:] + b"\x1b[1m\nx", 0.6) == "twö\n"
    assert lines.feed(b"", 0.7) == ""
    assert lines.feed(b"", 0.6 + HOLD) == ""  # a part of a word may be a part of a secret
    assert lines.feed(b" y", 3) == "x "
    assert lines.finish() == "y"


def test_a_line_that_begins_again_is_shown_in_place_of_the_one_before() -> None:
    def shown(*pieces: bytes, overwrites: bool) -> str:
        lines = Lines(overwrites=overwrites)
        at, text = 0.0, ""
        for piece in pieces:
            text += lines.feed(piece, at)
            at += HOLD
            text += lines.feed(b"", at)
        return text + lines.finish()

    for pieces in ((b"10 %\r", b"9 %\r", b"done\n"), (b"\r10 %", b"\r9 %", b"\rdone\r\n")):
        text = shown(b"begun\n", *pieces, b"bye\n", overwrites=True)
        assert text == "begun\n10 %\r    \r9 %\r   \rdone\nbye\n"
        text = shown(b"begun\n", *pieces, b"bye\n", overwrites=False)
        assert text == "begun\n10 %\n9 %\ndone\nbye\n"
    assert shown(b"one ", b"two ", b"three\n", overwrites=True) == "one two three\n"
    assert shown(b"one \r", b"\n", b"two\n", overwrites=True) == "one \ntwo\n"


def test_the_last_lines_are_those_of_tail(crontify: Crontify, api: ApiServer) -> None:
    job = "printf 'one\\ntwo\\342\\200\\250still two\\n'"
    crontify("exec", "m", "--", "sh", "-c", job, env=own(api))
    done = crontify("logs", "--local", "-n", "1")
    assert done.stdout.startswith("two")
    assert done.stdout.endswith("still two\n")
    raw = crontify("logs", "--local", "--raw")
    assert "stored without escape sequences: --raw changes nothing" in raw.stderr


def test_a_run_by_its_position_is_followed_only_while_it_goes_on(
    crontify: Crontify, api: ApiServer, tmp_path: Path
) -> None:
    crontify(*FAILING, env=own(api))
    script = "echo begun; touch begun; until [ -e end ]; do sleep .01; done; echo over"
    job = subprocess.Popen(
        [*PROGRAM, "exec", "clnightly", "--", "sh", "-c", script],
        cwd=tmp_path,
        env={**os.environ, **own(api)},
        stdout=subprocess.DEVNULL,
    )
    until_exists(tmp_path / "begun")
    api.wait_for(3)  # the start of the second run
    ended = crontify("logs", "clnightly", "-2", "-f", "--local", env=own(api))
    reader = subprocess.Popen(
        [*PROGRAM, "logs", "-1", "-f"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **own(api)},
    )
    assert reader.stdout
    assert reader.stdout.readline() == "begun\n"
    (tmp_path / "end").touch()
    assert reader.communicate(timeout=60)[0] == "over\n"
    assert job.wait(60) == 0
    assert ended.stdout == "what it said\n"
    assert "the run has ended; showing its log" in ended.stderr


def test_nothing_ran_is_one_line(crontify: Crontify) -> None:
    done = crontify("logs", "m")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert crontify("logs", "m", "--remote", "--local").returncode == 2
