"""The line on a terminal that says what is waited for, and what replaces it."""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crontify_cli.progress import cut, width
from tests.conftest import Crontify
from tests.faults import deaf_url, delayed, garbage, hang_after_reading, rate_limited, refusing_url
from tests.programs import PROGRAM
from tests.screen import screen
from tests.server import ApiServer, answer
from tests.terminal import Terminal

SENDS = "the next run or 'crontify flush' sends it"
EXEC = ("exec", "--no-start", "backup", "--", "echo", "out")
PING = ("ping", "success", "backup")
DONE = {EXEC: "backup: reported", PING: "success of backup: delivered (run "}


@pytest.fixture
def patient(env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Settings with which no time limit ends the test's wait, however busy the machine is."""
    config = tmp_path / "patient.toml"
    config.write_text("report_timeout = 50\nhttp_timeout = 30\nrate_limit_wait = 50\n")
    config.chmod(0o600)
    return {**env, "CRONTIFY_CONFIG": str(config)}


@pytest.fixture
def silent_url() -> Iterator[str]:
    """The URL of a server whose address does not answer at all."""
    with deaf_url() as url:
        yield url


def left_on_screen(shown: str) -> list[str]:
    """Return the lines as they stand in the end, each carriage return carried out."""
    lines = []
    for line in shown.split("\n"):
        cells: list[str] = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        lines.append("".join(cells).rstrip())
    return [line for line in lines if line]


@pytest.mark.parametrize("args", [EXEC, PING], ids=["exec", "ping"])
def test_the_wait_for_a_connection_is_shown_and_replaced_by_the_result(
    patient: dict[str, str], silent_url: str, args: tuple[str, ...]
) -> None:
    host = silent_url.split("/")[2]
    shown = screen(args, env={**patient, "CRONTIFY_BASE_URL": silent_url})
    assert f"\rbackup: connecting to {host}" in shown
    *before, result = left_on_screen(shown.replace("\n ", " "))
    assert before == (["out"] if args is EXEC else [])
    assert result.startswith(f"crontify: queued: no connection to {host}")
    assert result.endswith(SENDS)


@pytest.mark.parametrize("args", [EXEC, PING], ids=["exec", "ping"])
def test_the_wait_for_an_answer_is_shown_and_replaced_by_the_result(
    env: dict[str, str], tmp_path: Path, api: ApiServer, args: tuple[str, ...]
) -> None:
    config = tmp_path / "brief.toml"
    config.write_text("report_timeout = 4\nhttp_timeout = 3\n")
    config.chmod(0o600)
    api.default = hang_after_reading
    shown = screen(args, env={**env, "CRONTIFY_CONFIG": str(config)})
    assert f"\rbackup: waiting for an answer from 127.0.0.1:{api.port}" in shown
    result = left_on_screen(shown)[-1]
    assert result.startswith(f"crontify: queued: no answer from 127.0.0.1:{api.port}")
    assert result.endswith(SENDS)


@pytest.mark.parametrize("args", [EXEC, PING], ids=["exec", "ping"])
def test_the_wait_for_another_attempt_is_shown_with_its_reason(
    patient: dict[str, str], api: ApiServer, args: tuple[str, ...]
) -> None:
    api.script(answer(503, {"message": "down for repairs"}, {"Retry-After": "3"}))
    shown = screen(args, columns=100, env=patient)
    assert re.search(r"\rbackup: trying again in \d s: 503: down for repairs", shown)
    assert left_on_screen(shown)[-1].startswith(f"crontify: {DONE[args]}")


@pytest.mark.parametrize("args", [EXEC, PING], ids=["exec", "ping"])
def test_a_report_that_arrives_after_a_wait_is_the_result(
    patient: dict[str, str], api: ApiServer, args: tuple[str, ...]
) -> None:
    api.script(delayed(3))
    shown = screen(args, env=patient)
    assert "waiting for an answer" in shown
    assert left_on_screen(shown)[-1].startswith(f"crontify: {DONE[args]}")


@pytest.mark.parametrize(
    ("kind", "options", "hint", "result"),
    [
        ("success", (), " (Ctrl-C leaves it queued)", f"queued: no answer from HOST; {SENDS}"),
        ("success", ("--no-queue",), "", "success of backup: not delivered: no answer from HOST"),
        ("start", (), "", "start of backup: not delivered: no answer from HOST"),
    ],
    ids=["queued", "no-queue", "start"],
)
def test_ctrl_c_during_a_ping_says_what_became_of_it(
    patient: dict[str, str],
    api: ApiServer,
    kind: str,
    options: tuple[str, ...],
    hint: str,
    result: str,
) -> None:
    api.default = hang_after_reading
    host = f"127.0.0.1:{api.port}"
    environ = {**os.environ, **patient}
    with Terminal() as terminal:
        process = terminal.start([*PROGRAM, "ping", *options, kind, "backup"], env=environ)
        terminal.read_until(f"waiting for an answer from {host}{hint}")
        terminal.type("\x03")
        shown = terminal.read_to_end()
        assert process.wait(60) == 130
    line = left_on_screen(shown.replace("\n ", " "))[-1]
    assert line == f"crontify: {result.replace('HOST', host)}"
    assert f"{host} (" not in shown or hint


@pytest.mark.parametrize(("delay", "shown"), [(3600, ""), (0, f"\rwait\r{' ' * 79}\r")])
def test_a_short_wait_shows_nothing(delay: int, shown: str) -> None:
    script = (
        f"from crontify_cli import progress; progress.DELAY = {delay}\n"
        "line = progress.ProgressLine(); line.show('wait'); line.clear()"
    )
    with Terminal() as terminal:
        process = terminal.start([sys.executable, "-c", script], env={**os.environ})
        assert terminal.read_to_end() == shown
        process.wait(60)


@pytest.mark.parametrize("args", [EXEC, PING], ids=["exec", "ping"])
def test_in_a_pipe_a_wait_is_silent(
    crontify: Crontify, patient: dict[str, str], silent_url: str, args: tuple[str, ...]
) -> None:
    done = crontify(*args, env={**patient, "CRONTIFY_BASE_URL": silent_url})
    assert (done.returncode, done.stderr) == (0, "")


def test_the_line_fits_the_window_and_leaves_nothing(
    api: ApiServer, patient: dict[str, str]
) -> None:
    api.script(answer(503, {"message": "部" * 60}, {"Retry-After": "3"}))
    shown = screen(EXEC, columns=40, env=patient)
    drawn = [part for part in shown.split("\r") if "again" in part]
    assert drawn
    assert max(map(width, drawn)) < 40
    assert left_on_screen(shown) == ["out", f"crontify: {DONE[EXEC]}"]


def test_a_job_that_left_its_line_open_keeps_it(patient: dict[str, str], silent_url: str) -> None:
    env = {**patient, "CRONTIFY_BASE_URL": silent_url}
    shown = screen(("exec", "--no-start", "backup", "--", "printf", "no newline"), env=env)
    assert "connecting to" in shown
    assert left_on_screen(shown)[0] == "no newline"


def test_in_the_background_of_a_shell_nothing_is_drawn(
    patient: dict[str, str], silent_url: str
) -> None:
    env = {**os.environ, **patient, "CRONTIFY_BASE_URL": silent_url}
    command = shlex.join([*PROGRAM, *EXEC])
    with Terminal() as terminal:
        process = terminal.start(["bash", "-c", f"set -m; {command} & wait"], env=env)
        shown = terminal.read_to_end()
        process.wait(60)
    assert "connecting to" not in shown
    assert SENDS in shown


def test_a_report_that_is_refused_is_named_once_and_not_called_queued(
    env: dict[str, str], api: ApiServer
) -> None:
    api.default = answer(401, {"message": "Invalid API key"})
    with refusing_url() as url:  # something of another monitor waits in the queue
        screen(("exec", "other", "--", "true"), env={**env, "CRONTIFY_BASE_URL": url})
    lines = left_on_screen(screen(EXEC, columns=200, env=env))
    assert [line for line in lines if "Invalid API key" in line] == lines[1:2]
    assert not [line for line in lines if line.startswith("crontify: queued:")]


def test_a_report_that_was_answered_a_web_page_is_called_queued_though_the_reason_was_said(
    env: dict[str, str], api: ApiServer
) -> None:
    api.default = garbage
    lines = left_on_screen(screen(EXEC, columns=200, env=env))
    why = f"127.0.0.1:{api.port} answered a web page, not the API: check base_url"
    assert [line for line in lines if why in line] == lines[1:2]
    assert lines[-1] == f"crontify: queued; {SENDS}"


def test_a_wait_for_the_rate_limit_counts_down(patient: dict[str, str], api: ApiServer) -> None:
    api.script(rate_limited(5))
    shown = screen(EXEC, env=patient)
    left = re.findall(r"\rbackup: rate limited; sending the report in (\d) s", shown)
    assert len(left) > 1
    assert left == sorted(set(left), reverse=True)
    assert left_on_screen(shown) == ["out", "crontify: backup: reported"]


@given(st.text(st.sampled_from("ab 部é\u0301\u200d…")), st.integers(3, 30))
def test_a_text_is_cut_to_the_columns_it_has(text: str, most: int) -> None:
    assert width(cut(text, most)) <= most
    assert cut(text, width(text)) == text


def test_the_doctor_shows_each_result_as_it_arrives(
    api: ApiServer, patient: dict[str, str]
) -> None:
    api.default = hang_after_reading
    environ = {**os.environ, **patient, "TERM": "xterm-256color"}
    with Terminal() as terminal:
        process = terminal.start([*PROGRAM, "doctor"], env=environ)
        terminal.read_until("base_url")  # while the server keeps the doctor waiting
        terminal.read_until("checking")
        api.wait_for(1)
        assert process.poll() is None
        assert "cron_path" not in terminal.unseen()
        api.stopped.set()
        shown = terminal.read_to_end()
        process.wait(60)
    assert "cron_path" in shown
    last = shown.rstrip().rpartition("\n")[2]
    assert "checking" not in last
