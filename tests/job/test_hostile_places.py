"""No home, no room, no rights, hardly any descriptors: the job runs all the same."""

import os
import resource
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from crontify_cli.delivery.journal import Journal
from tests.conftest import Crontify
from tests.faults import right
from tests.job.conftest import Launch
from tests.programs import PROGRAM, need
from tests.server import ApiServer, Behaviour, Exchange, settings
from tests.waiting import until, until_exists

JOB = ("--", "sh", "-c", "echo out; exit 7")
NOBODY = 65534


def check(done: "subprocess.CompletedProcess[str]", api: ApiServer, *warnings: str) -> None:
    """The job ran, its code came back, the report arrived, a warning says what was lost."""
    assert (done.returncode, done.stdout) == (7, "out\n"), done.stderr
    assert "Traceback" not in done.stderr
    for warning in warnings:
        assert warning in done.stderr
    assert api.kinds() == ["start", "fail"]
    assert api.requests[-1].json["logOutput"] == "out\n"


def test_no_home_in_the_environment(
    crontify: Crontify, api: ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HOME")
    # The account's own home is the tester's: keep out of it.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    check(crontify("exec", "backup", *JOB, env=settings(api)), api)


@pytest.mark.parametrize("home", ["/dev/null", "/proc/nowhere", ""])
def test_a_home_that_cannot_be_written(crontify: Crontify, api: ApiServer, home: str) -> None:
    env = {**settings(api), "HOME": home} if home else {**settings(api), "HOME": "/proc/1/none"}
    done = crontify("exec", "backup", *JOB, env=env)
    check(done, api, "no record on disk of this run", "the run is not in the journal")


def test_a_state_dir_that_is_a_file(crontify: Crontify, api: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(tmp_path / "file")}
    check(crontify("exec", "backup", *JOB, env=env), api, "no record on disk of this run")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A mounted file system of 128 KiB; needs the right to mount."""
    need("mount", "umount")
    folder = tmp_path / "small"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=128k,mode=0700", "tmpfs", str(folder)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"may not mount here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_state_dir_on_a_full_disk(crontify: Crontify, api: ApiServer, small_disk: Path) -> None:
    filler = ["dd", "if=/dev/zero", f"of={small_disk}/filler", "bs=4k"]
    assert b"No space left" in subprocess.run(filler, capture_output=True).stderr
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(small_disk / "state")}
    done = crontify("exec", "backup", "--overlap", "skip", *JOB, env=env)
    check(done, api, "the record on disk of this run is incomplete: No space left")
    assert list((small_disk / "state/live").glob("*.rec")) == [], "it would be reported again"


def fill(disk: Path, but: int) -> None:
    """Leave room for so many bytes on the disk."""
    (disk / "state").mkdir(mode=0o700)
    filler = disk / "filler"
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], capture_output=True)
    os.truncate(filler, filler.stat().st_size - but)


def enlarge(disk: Path) -> None:
    """Make room for everything."""
    subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)


@pytest.mark.uses("proc", reason="finds the job by its environment")
def test_a_wrapper_that_is_killed_while_the_disk_is_full_is_reported(
    crontify: Crontify, api: ApiServer, small_disk: Path, tmp_path: Path
) -> None:
    fill(small_disk, but=0)
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(small_disk / "state")}
    script = "kill -9 $PPID; until [ -e go ]; do sleep .02; done; touch over"
    assert crontify("exec", "backup", "--", "sh", "-c", script, env=env).returncode == -9
    enlarge(small_disk)
    (record,) = (small_disk / "state/live").glob("*.rec")
    assert record.stat().st_size == 0
    os.utime(record, (0, 0))  # as a minute later: it is not just being made
    assert crontify("flush", env=env).returncode == 0
    assert "fail" not in api.kinds(), "the job goes on"
    (tmp_path / "go").touch()
    until_exists(tmp_path / "over")
    until(lambda: crontify("flush", env=env).returncode == 0 and "fail" in api.kinds(), "reported")
    assert "the job's outcome is unknown" in api.requests[-1].json["errorMessage"]
    assert list((small_disk / "state/live").iterdir()) == []


@pytest.mark.parametrize("code", [0, 7])
def test_how_a_run_ended_is_kept_on_a_disk_that_has_room_for_nothing_else(
    crontify: Crontify, api: ApiServer, small_disk: Path, code: int
) -> None:
    fill(small_disk, but=4096)
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(small_disk / "state")}
    api.down()
    done = crontify("exec", "backup", "--", "sh", "-c", f"echo out; exit {code}", env=env)
    assert (done.returncode, done.stdout) == (code, "out\n")
    assert "'crontify flush' reports the run from its record" in done.stderr
    enlarge(small_disk)
    api.up()
    for _ in range(2):
        assert crontify("flush", env=env).returncode == 0
    (end,) = api.requests
    assert end.json["meta"]["exit_code"] == code
    assert "logOutput" not in end.json


def test_a_disk_too_small_for_the_record(
    crontify: Crontify, api: ApiServer, small_disk: Path
) -> None:
    """It is preallocated, so that no hole of it can be met later as SIGBUS."""
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(small_disk / "state")}
    script = "yes | head -c 5000000 >&2; echo out; exit 7"
    done = crontify("exec", "backup", "--", "sh", "-c", script, env=env)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert "the record on disk of this run is incomplete: " in done.stderr
    enlarge(small_disk)
    assert crontify("flush", env=env).returncode == 0
    assert api.kinds() == ["start", "fail"]
    assert list((small_disk / "state/live").glob("*.rec")) == []


def test_a_read_only_state_dir(crontify: Crontify, api: ApiServer, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(small_disk)}
    done = crontify("exec", "backup", "--overlap=wait", *JOB, env=env)
    check(done, api, "Read-only file system")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_state_dir_of_another_user(crontify: Crontify, api: ApiServer, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o777)
    os.chown(state, NOBODY, NOBODY)
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(state)}
    done = crontify("exec", "backup", *JOB, env=env)
    check(done, api, f"{state} belongs to another user (uid {NOBODY})")


@pytest.mark.parametrize("answer_comes", ["at once", "after that"])
def test_a_job_that_empties_every_file_of_ours(
    launch: Launch, api: ApiServer, state: Path, tmp_path: Path, answer_comes: str
) -> None:
    """SQLite maps a file of the journal, which is therefore closed while the job runs."""
    emptied = threading.Event()
    go, done = tmp_path / "go", tmp_path / "done"
    os.mkfifo(go)
    if answer_comes == "after that":

        def wait(exchange: Exchange) -> None:
            emptied.wait(60)
            right.act(exchange)

        api.script(Behaviour(wait), kind="start")
    script = f"read go < go; find {state} -type f -exec truncate -s 0 {{}} +; : > done; exit 7"
    process = launch("--", "sh", "-c", f"echo out; {script}")
    api.wait_for(1)
    if answer_comes == "at once":
        until(lambda: _start_state(state) == "acknowledged", "the start is noted")
    until(lambda: not (state / "journal.db-shm").exists(), "the journal is closed")
    go.write_text("\n")
    until_exists(done)
    emptied.set()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (7, "out\n"), err
    assert err.count("set aside as") == 1
    assert api.kinds() == ["start", "fail"]
    assert api.requests[-1].json["logOutput"] == "out\n"


def _start_state(state: Path) -> str | None:
    journal = Journal.open(str(state))
    try:
        ((start_state,),) = journal.query("SELECT start_state FROM runs")
    finally:
        journal.close()
    assert start_state is None or isinstance(start_state, str)
    return start_state


def test_hardly_any_descriptors(launch: Launch, api: ApiServer) -> None:
    limit = (16, 16)
    process = launch(*JOB, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (7, "out\n"), err
    assert "Traceback" not in err
    assert api.kinds() == ["start", "fail"]


def test_no_file_may_grow(launch: Launch, api: ApiServer) -> None:
    process = launch(
        *("--overlap", "skip", *JOB),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (7, "out\n"), err
    assert "the record on disk of this run is incomplete" in err
    assert "Traceback" not in err
    assert api.kinds() == ["start", "fail"]


def test_a_working_folder_that_was_removed(api: ApiServer, tmp_path: Path) -> None:
    command = [*PROGRAM, "exec", "backup", "--", "env", "printf", "out\\n"]
    shell = ["sh", "-c", 'mkdir gone; cd gone; rmdir ../gone; exec "$@"', "sh", *command]
    environ = {**os.environ, **settings(api), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        shell, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "")
    assert api.kinds() == ["start", "success"]


def test_a_careless_umask_opens_nothing_of_ours(launch: Launch, home: Path) -> None:
    process = launch(*JOB[:3], "umask; exit 7", preexec_fn=lambda: os.umask(0) and None)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (7, "0000\n")
    made = [home / ".local", *(home / ".local").rglob("*")]
    assert any(path.name == "journal.db" for path in made)
    assert [path for path in made if path.stat().st_mode & 0o077] == []
