"""Runs whose wrapper or host died: each is reported, once, and as what it was.

`KILL_ROUNDS=300` plays more rounds of the random kills, `KILL_SEED` a certain one.
"""

import os
import random
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest

from crontify_cli import processes, record
from crontify_cli.delivery.journal import Journal
from crontify_cli.delivery.records import live_runs
from tests.conftest import Crontify
from tests.delivery.kills import MOODS, attack, flush
from tests.programs import PROGRAM
from tests.server import ApiServer
from tests.waiting import until, until_gone


def kill_wrapper(
    state: Path, env: dict[str, str], api: ApiServer, *flags: str, output: str = "seen"
) -> tuple[Path, int]:
    """Kill the wrapper of a run whose start was sent; return its record, and the job's pid."""
    wrapper = subprocess.Popen(
        [*PROGRAM, "exec", "backup", *flags, "--", "sh", "-c", f"echo '{output}'; exec sleep 1000"],
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
    )
    until(lambda: "start" in [each.kind for each in api.accepted], "the start is taken")
    (live,) = live_runs(str(state))
    path = Path(live.path)
    until(lambda: record.Record(path.read_bytes()).total, "the output is recorded")
    wrapper.send_signal(signal.SIGKILL)
    wrapper.wait()
    return path, record.Record(path.read_bytes()).job[0]


@pytest.mark.uses("proc", reason="finds the jobs, and kills them, by crontify's own look at /proc")
def test_wrappers_and_jobs_killed_at_random_moments(api: ApiServer, tmp_path: Path) -> None:
    seed = int(os.environ.get("KILL_SEED", random.randrange(10**6)))
    print(f"KILL_SEED={seed}")
    met, problems = attack(api, tmp_path, int(os.environ.get("KILL_ROUNDS", "36")), seed, MOODS)
    print(met)
    assert problems == []


def test_a_run_is_not_given_up_as_long_as_its_job_lives(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    path, job = kill_wrapper(state, env, api)
    assert crontify("flush", env=env).returncode == 0
    assert "fail" not in api.kinds()
    assert path.exists()
    os.kill(job, signal.SIGKILL)
    until_gone(job)
    assert crontify("flush", env=env).returncode == 0
    fails = [request.json for request in api.accepted if request.kind == "fail"]
    assert [each["logOutput"] for each in fails] == ["seen\n"]
    assert "the wrapper was killed, the job's outcome is unknown" in fails[0]["errorMessage"]
    assert not path.exists()


def test_the_secrets_of_a_dead_runs_environment_are_masked_by_who_recovers_it(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    secrets = {"DB_PASSWORD": "Yt5Re8Wq1Po4Iu7A", "MAIL_URL": "smtp://me:Hj6Kl1Zx8Cv3@mail"}
    output = f"login {secrets['DB_PASSWORD']}, Hj6Kl1Zx8Cv3"
    path, job = kill_wrapper(state, {**env, **secrets}, api, output=output)
    assert path.stat().st_mode & 0o077 == 0
    os.kill(job, signal.SIGKILL)
    until_gone(job)
    assert crontify("flush", env=env).returncode == 0
    (fail,) = [request.json for request in api.accepted if request.kind == "fail"]
    assert fail["logOutput"] == "login [masked], [masked]\n"
    for file in state.rglob("*"):
        if file.is_file():
            assert b"Yt5Re8Wq1Po4" not in file.read_bytes(), file
            assert b"Hj6Kl1Zx8Cv3" not in file.read_bytes(), file


def test_output_is_withheld_if_the_wrapper_died_before_it_noted_the_secrets(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    path, job = kill_wrapper(state, {**env, "DB_PASSWORD": "Yt5Re8Wq1Po4Iu7A"}, api)
    os.truncate(path, record.SIZE)
    os.kill(job, signal.SIGKILL)
    until_gone(job)
    assert crontify("flush", env=env).returncode == 0
    (fail,) = [request.json for request in api.accepted if request.kind == "fail"]
    assert "logOutput" not in fail
    assert fail["errorMessage"].endswith("the wrapper was killed, the job's outcome is unknown")


@pytest.mark.uses("proc", reason="without a boot id a reboot cannot be told")
@pytest.mark.parametrize("journalled", [True, False])
def test_a_reboot_is_told_from_a_kill(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path, journalled: bool
) -> None:
    """In another boot a pid means nothing, be it taken again by a process that lives."""
    path, job = kill_wrapper(state, env, api)
    if not journalled:
        for file in (state).glob("journal.db*"):
            file.unlink()
    with path.open("r+b") as file:
        file.seek(record.ORIGIN_AT)
        file.write(b"0" * len(processes.boot_id()))
    assert crontify("flush", env=env).returncode == 0
    (fail,) = [request.json for request in api.accepted if request.kind == "fail"]
    assert "the host went down, the job's outcome is unknown" in fail["errorMessage"]
    assert fail["logOutput"] == "seen\n"
    os.kill(job, signal.SIGKILL)
    rows = list(Journal.open(str(state)).runs())
    assert [(row.outcome, row.report) for row in rows] == [("lost", "delivered")]


@pytest.mark.uses("proc", reason="without start times a pid that is used again cannot be told")
def test_another_process_with_the_jobs_pid_is_not_the_job(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    path, job = kill_wrapper(state, env, api)
    os.kill(job, signal.SIGKILL)
    until_gone(job)
    with path.open("r+b") as file:  # as if ours had it now
        file.seek(record.AT_JOB * 8)
        file.write(struct.pack("<QQ", os.getpid(), 1))
    assert crontify("flush", env=env).returncode == 0
    assert api.kinds().count("fail") == 1


def test_dead_runs_are_reported_once_though_many_look(
    api: ApiServer, env: dict[str, str], state: Path
) -> None:
    """Twelve records of runs that died, four monitors, four processes."""
    path, job = kill_wrapper(state, env, api)
    os.kill(job, signal.SIGKILL)
    until_gone(job)
    content = path.read_bytes()
    for at in range(12):
        run = f"{at:012x}"
        text = content.replace(path.name.encode()[:12], run.encode())
        path.with_name(record.file_name(run, f"m{at % 4}")).write_bytes(text)
    flush(state, {**os.environ, **env})
    sent = sorted(request.path.split("/")[4] for request in api.accepted if request.kind == "fail")
    assert sent == sorted(["backup", *(f"m{at % 4}" for at in range(12))])
    assert live_runs(str(state)) == []


def test_a_success_that_the_wrapper_saw_before_it_was_killed_is_one(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    path, job = kill_wrapper(state, env, api)
    os.kill(job, signal.SIGKILL)
    until_gone(job)
    with path.open("r+b") as file:
        for index, value in (
            (record.AT_STATE, record.SUCCEEDED),
            (record.AT_ENDED, time.time_ns()),
        ):
            file.seek(index * 8)
            file.write(struct.pack("<Q", value))
    assert crontify("flush", env=env).returncode == 0
    assert api.kinds() == ["start", "success"]
    assert api.requests[1].json["meta"]["exit_code"] == 0


@pytest.mark.parametrize("older", ["000000000000", "ffffffffffff"])
def test_dead_runs_are_reported_in_the_order_of_their_ends_and_not_of_their_ids(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path, older: str
) -> None:
    """The success of the newer run is the last word."""
    path, job = kill_wrapper(state, env, api)
    os.kill(job, signal.SIGKILL)
    until_gone(job)
    content = path.read_bytes()
    newer = older.translate(str.maketrans("0f", "f0"))
    for run, outcome, minutes_ago in ((older, record.FAILED, 5), (newer, record.SUCCEEDED, 1)):
        data = bytearray(content.replace(path.name.encode()[:12], run.encode()))
        ended = time.time_ns() - minutes_ago * 60 * 10**9
        for index, value in ((record.AT_STATE, outcome), (record.AT_ENDED, ended)):
            struct.pack_into("<Q", data, index * 8, value)
        path.with_name(record.file_name(run, "other")).write_bytes(data)
    assert crontify("flush", env=env).returncode == 0
    sent = [request for request in api.accepted if "/other/" in request.path]
    assert [request.kind for request in sent] == ["fail", "success"]


def test_what_is_no_record_is_in_nobodys_way(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    live = state / "live"
    live.mkdir(parents=True, mode=0o700)
    for name, content in (
        ("aaaaaaaaaaaa-backup.rec", b""),
        ("bbbbbbbbbbbb-backup.rec", os.urandom(5000)),
        ("cccccccccccc-backup.rec", record.MAGIC + os.urandom(5000)),
        ("dddddddddddd-backup.rec", record.MAGIC + os.urandom(record.SIZE)),
        ("no record", b"x"),
    ):
        (live / name).write_bytes(content)
    (live / "eeeeeeeeeeee-backup.rec").symlink_to("/etc/passwd")
    (live / "ffffffffffff-backup.rec").mkdir()
    os.mkfifo(live / "abababababab-backup.rec")
    done = crontify("exec", "backup", "--", "true", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert crontify("flush", env=env).returncode == 0
    assert api.kinds() == ["start", "success"]


@pytest.mark.parametrize(
    ("flags", "config", "log"),
    [
        (("--redact", "tok-[0-9]+"), "", "a [masked] and [masked]\n"),
        ((), '[monitors.backup]\nredact = ["tok-[0-9]+"]\n', "a [masked] and [masked]\n"),
        (("--redact", "a" * 5000), "", None),
        (("--no-log",), "", None),
        ((), "[monitors.backup]\nno_log = true\n", None),
    ],
)
def test_what_a_run_wanted_kept_out_of_its_log_stays_out_when_another_reports_it(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    state: Path,
    home: Path,
    flags: tuple[str, ...],
    config: str,
    log: str | None,
) -> None:
    file = home / ".config/crontify/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(config)
    _, job = kill_wrapper(state, env, api, *flags, output="a tok-1234 and tok-99")
    os.kill(job, signal.SIGKILL)
    until_gone(job)
    # The process that finds it is another monitor's run, with settings of its own.
    assert crontify("exec", "other", "--", "true", env=env).returncode == 0
    (fail,) = [request for request in api.accepted if request.kind == "fail"]
    assert fail.json.get("logOutput") == log
    assert b"tok-" not in fail.body


def test_a_dead_run_that_another_process_reports_at_the_moment_keeps_no_flush_waiting(
    crontify: Crontify, api: ApiServer, env: dict[str, str], state: Path
) -> None:
    path, job = kill_wrapper(state, env, api)
    os.kill(job, signal.SIGKILL)
    until_gone(job)
    with path.open("r+b") as file:
        assert record.take_over(file.fileno())
        done = crontify("flush", env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert api.kinds() == ["start"]
    assert crontify("flush", env=env).returncode == 0
    assert api.kinds() == ["start", "fail"]
