"""The gate to the state directory: what other users put there is neither used nor touched."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crontify_cli import record
from crontify_cli.delivery.records import live_runs
from crontify_cli.report.locallog import prune_logs, write_log
from crontify_cli.state import NEW, Folder, StateError, state_dir
from tests.conftest import Crontify
from tests.job.conftest import Launch, launch  # noqa: F401 - a fixture
from tests.programs import PROGRAM, need
from tests.server import ApiServer, settings
from tests.users import User
from tests.waiting import until_gone

JOB = ("--", "sh", "-c", "echo out; exit 7")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that every user can reach; it belongs to root."""
    path = Path(tempfile.mkdtemp(prefix="shared-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of root's with an old file in it, which nothing may change."""
    folder = tmp_path / "victim"
    folder.mkdir(mode=0o700)
    (folder / "precious").write_text("precious")
    os.utime(folder / "precious", (0, 0))
    return folder


def is_untouched(victim: Path) -> bool:
    names = [path.name for path in victim.iterdir()]
    return names == ["precious"] and (victim / "precious").read_text() == "precious"


def snapshot(folder: Path) -> dict[str, tuple[int, float, bytes]]:
    """Return owner, time and content of everything below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = (status.st_uid, status.st_mtime, content)
    return found


def without_state(done: "subprocess.CompletedProcess[str]", api: ApiServer, reason: str) -> None:
    """The job ran and was reported directly, and one line says why there is no state."""
    assert (done.returncode, done.stdout) == (7, "out\n"), done.stderr
    assert done.stderr.count(reason) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert api.kinds() == ["start", "fail"]


def test_a_state_directory_of_another_user_is_not_used(
    crontify: Crontify, api: ApiServer, bob: User, victim: Path
) -> None:
    state = bob.home / "state"
    bob.crontify("exec", "his", "--", "true", env={"CRONTIFY_STATE_DIR": str(state)})
    bob.shell(f"cd state; rm -rf logs; for n in logs errors locks; do ln -s {victim} $n; done")
    before = snapshot(state)
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(state)}
    done = crontify("exec", "backup", "--overlap", "skip", *JOB, env=env)
    reason = f"{state} belongs to another user (uid {bob.uid}); set CRONTIFY_STATE_DIR"
    without_state(done, api, reason)
    assert "no overlap lock for this run\n" in done.stderr
    for args in (["runs"], ["logs", "his"], ["flush"]):
        refused = crontify(*args, env=env)
        assert reason in refused.stderr, args
        assert refused.returncode == 1
        assert "his" not in refused.stdout
    sent = crontify("ping", "success", "backup", env=env)
    assert (sent.returncode, sent.stderr.count(reason)) == (0, 1), sent.stderr
    assert crontify("__complete", "monitors", env=env).stdout == ""
    assert reason in crontify("sandbox", "token", env=env).stderr
    checks = json.loads(crontify("doctor", "--json", env=env).stdout)
    (journal,) = [each for each in checks if each["check"] == "journal"]
    assert (journal["result"], journal["found"]) == (
        "failure",
        f"{state} belongs to another user (uid {bob.uid})",
    )
    assert snapshot(state) == before
    assert is_untouched(victim)


ROOTS_HOME = """
mount --bind "$1" /etc/passwd && shift && exec "$@"
"""


def test_root_in_the_home_of_another_user_uses_its_own_state(
    api: ApiServer, bob: User, victim: Path, tmp_path: Path, crontify: Crontify
) -> None:
    """As after `sudo -E`; root's own home is another one here, given by a passwd of the test's."""
    need("unshare")
    bob.shell(
        "mkdir -p .local/state/crontify; cd .local/state/crontify;"
        f"for n in logs errors live locks crontabs; do ln -s {victim} $n; done;"
        f"ln -s {victim}/precious journal.db; ln -s {victim}/precious machine-id"
    )
    own = tmp_path / "roots"
    own.mkdir(mode=0o700)
    passwd = tmp_path / "passwd"
    passwd.write_text(f"root:x:0:0:root:{own}:/bin/sh\n")
    before = snapshot(bob.home)
    trace = tmp_path / "trace"
    inside = ["unshare", "--mount", "sh", "-c", ROOTS_HOME, "sh", str(passwd)]
    calls = "open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat"
    calls += ",symlink,symlinkat,unlink,unlinkat,rmdir,truncate,chmod,fchmodat,mknod,mknodat"
    need("strace")
    # A file for each process: in a common one the lines of threads are torn.
    strace = ["strace", "-ff", "-y", "-qq", "-e", f"trace={calls}", "-o", str(trace)]

    def run(*args: str, code: int | None = 0, **more: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [*inside, *strace, *PROGRAM, *args],
            env={**os.environ, **settings(api), "HOME": str(bob.home), **more},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert code is None or done.returncode == code, done.stderr
        return done

    said = run("exec", "backup", "-v", "--overlap", "skip", *JOB, code=7).stderr
    state = own / ".local/state/crontify"
    assert f"{bob.home} belongs to another user; the state is in {state}" in said
    assert "no record" not in said
    run("ping", "success", "backup")
    for args in (["flush"], ["logs", "backup", "--local"], ["show", "backup"], ["metrics"]):
        run(*args)
    for args in (["status"], ["queue"]):
        run(*args, code=None)
    assert "backup" in run("runs").stdout
    assert "backup" in run("__complete", "monitors").stdout
    checks = json.loads(run("doctor", "--json", code=None).stdout)
    journal = [each["found"] for each in checks if each["check"] == "journal"]
    assert f"{bob.home} belongs to another user; root's own state is in {state}" in journal
    run("sandbox", "token")
    run("config", "set", "keep_days", "30", code=1)
    assert snapshot(bob.home) == before
    assert is_untouched(victim)
    written = changed_paths("".join(each.read_text() for each in tmp_path.glob("trace.*")))
    assert any(path.endswith("journal.db") for path in written)
    elsewhere = {path for path in written if not path.startswith((f"{own}/", "/dev/", "pipe:"))}
    assert {path for path in elsewhere if "__pycache__" not in path} == set()


def changed_paths(trace: str) -> set[str]:
    """Return what a trace of `strace -y` opened for writing, made, renamed, linked or removed."""
    found = set()
    for line in trace.splitlines():
        call, _, rest = line.partition("(")
        if " = -1 " in rest:
            continue
        if call in ("open", "openat", "creat"):
            if any(flag in rest for flag in ("O_WRONLY", "O_RDWR", "O_CREAT")):
                found.add(rest.rpartition(" = ")[2].partition("<")[2].rstrip(">"))
            continue
        folder = ""
        for word in rest.rpartition(" = ")[0].rstrip(")").split(", "):
            if "<" in word:
                folder = word.partition("<")[2].rstrip(">")
            elif word.startswith('"'):
                found.add(os.path.join(folder, word.strip('"')))
    return found


@pytest.mark.parametrize("name", ["live", "logs", "locks", "errors", "crontabs"])
def test_a_link_in_place_of_a_folder_is_not_followed(
    name: str, state: Path, victim: Path, crontify: Crontify, api: ApiServer
) -> None:
    """Left from a time when others could write there."""
    state.mkdir(parents=True, mode=0o700)
    (state / name).symlink_to(victim)
    crontify("exec", "backup", "--overlap", "skip", "--", "true", env=settings(api))
    crontify("flush", env=settings(api))
    with pytest.raises(StateError, match=f"{name} is not a directory"):
        Folder(str(state), name, create=True)
    assert is_untouched(victim)
    assert api.kinds() == ["start", "success"]
    checks = json.loads(crontify("doctor", "--json", env=settings(api)).stdout)
    found = {each["check"]: each["found"] for each in checks}
    assert found["journal"] == f"{state / name} is not a directory"


def dead_record(launch: Launch, tmp_path: Path, state: Path) -> Path:  # noqa: F811
    """Return the record of a run whose wrapper was killed."""
    process = launch("--", "sh", "-c", "echo out; until [ -e go ]; do sleep .02; done")
    assert process.stdout
    assert process.stdout.readline() == "out\n"
    (path,) = (state / "live").glob("*.rec")
    process.kill()
    process.wait(60)
    job = record.Record(path.read_bytes()).job[0]
    (tmp_path / "go").touch()
    until_gone(job)
    return path


def test_the_name_of_a_record_counts_and_not_what_it_says_it_is(
    launch: Launch,  # noqa: F811
    crontify: Crontify,
    api: ApiServer,
    state: Path,
    victim: Path,
    tmp_path: Path,
) -> None:
    path = dead_record(launch, tmp_path, state)
    run = path.name.partition("-")[0]
    data = bytearray(path.read_bytes())
    text = f"{victim}/x\0backup\0\0sh".encode()
    data[record.TEXT_AT : record.TEXT_AT + len(text)] = text
    data[record.AT_TEXT * 8 : record.AT_TEXT * 8 + 8] = record.word(len(text))
    path.write_bytes(data)
    (state / "logs").mkdir(mode=0o700)
    (state / f"logs/{run}.log.new").symlink_to(victim / "precious")
    (state / f"logs/{run}.log").symlink_to(victim / "precious")
    assert crontify("flush", env=settings(api)).returncode == 0
    assert api.kinds()[-1] == "fail"
    assert is_untouched(victim)
    log = state / f"logs/{run}.log"
    assert (log.is_symlink(), log.read_text()) == (False, "out\n")


def test_a_record_of_another_user_is_not_reported(
    launch: Launch,  # noqa: F811
    crontify: Crontify,
    api: ApiServer,
    state: Path,
    bob: User,
    tmp_path: Path,
) -> None:
    path = dead_record(launch, tmp_path, state)
    os.chown(path, bob.uid, bob.uid)
    kinds = api.kinds()
    crontify("flush", env=settings(api))
    assert api.kinds() == kinds
    assert path.exists()


def test_only_names_of_our_own_form_are_removed(state: Path) -> None:
    write_log(str(state), "0123456789ab", "old")
    logs = state / "logs"
    others = ["notes.txt", "0123456789abc.log", "0123456789AB.log", "0123456789ab.txt", "x.log"]
    for name in others:
        (logs / name).touch()
    for path in logs.iterdir():
        os.utime(path, (0, 0))
    prune_logs(str(state), 0, 1.0, 1e9)
    assert sorted(path.name for path in logs.iterdir()) == sorted(others)
    live = state / "live"
    live.mkdir()
    for name in ("..-x.rec", "0123456789ab-a b.rec", "0123456789AB-x.rec", "x-y.rec"):
        (live / name).touch()
    assert live_runs(str(state)) == []


def test_a_sticky_directory_with_the_journal_of_another_user(
    crontify: Crontify, api: ApiServer, bob: User, shared: Path
) -> None:
    """Everybody may write there, so root's state is in a directory of its own."""
    shared.chmod(0o1777)
    bob.crontify("exec", "his", "--", "true", env={"CRONTIFY_STATE_DIR": str(bob.home / "state")})
    bob.shell(f"cp state/journal.db {shared}; mkdir -m 777 {shared}/live {shared}/logs")
    before = snapshot(shared)
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(shared)}
    done = crontify("exec", "backup", *JOB, env=env)
    assert (done.returncode, done.stderr) == (7, ""), done.stderr
    assert "his" not in crontify("runs", env=env).stdout
    own = shared / "crontify-0"
    assert (own.stat().st_mode & 0o7777, own.stat().st_uid) == (0o700, 0)
    assert {path: before[path] for path in before} == {
        path: found for path, found in snapshot(shared).items() if path in before
    }
    assert (own / "journal.db").exists()


def test_each_user_of_a_shared_volume_has_a_directory_of_its_own(
    api: ApiServer, bob: User, eve: User, shared: Path
) -> None:
    """An emptyDir of Kubernetes belongs to root and may have mode 0777, or 2775 with fsGroup."""
    shared.chmod(0o2777)
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(shared)}
    for user in (bob, eve):
        done = user.crontify("exec", f"of-{user.uid}", *JOB, env=env)
        assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "")
        runs = json.loads(user.crontify("runs", "--json", env=env).stdout)
        assert [run["monitor"] for run in runs] == [f"of-{user.uid}"]
        own = shared / f"crontify-{user.uid}"
        assert (own.stat().st_mode & 0o777, own.stat().st_uid) == (0o700, user.uid)
    bob.shell(f"mv {shared}/crontify-{eve.uid} {shared}/gone; mkdir {shared}/crontify-{eve.uid}")
    done = eve.crontify("exec", "again", *JOB, env=env)
    assert done.returncode == 7
    own = shared / f"crontify-{eve.uid}"
    assert done.stderr.count(f"{own} belongs to another user (uid {bob.uid})") == 1
    assert list(own.iterdir()) == []


def test_a_directory_of_roots_that_we_cannot_write_to(
    api: ApiServer, bob: User, shared: Path
) -> None:
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(shared)}
    done = bob.crontify("exec", "backup", *JOB, env=env)
    without_state(done, api, f"{shared} belongs to root; set CRONTIFY_STATE_DIR")


def test_a_directory_that_others_can_write_to_is_used_again_after_chmod(
    crontify: Crontify, api: ApiServer, state: Path
) -> None:
    api.down()
    crontify("exec", "old", "--", "true", env={**settings(api)})
    state.chmod(0o775)
    api.up()
    done = crontify("exec", "backup", *JOB, env=settings(api))
    reason = f"others can write to {state} (mode 0775); run: chmod go-w {state}"
    without_state(done, api, reason)
    assert reason in crontify("runs", env=settings(api)).stderr
    state.chmod(0o755)
    assert crontify("flush", env=settings(api)).returncode == 0
    assert api.kinds() == ["start", "fail", "success"]


def test_a_journal_in_a_volume_of_roots_is_not_left_behind_unseen(
    api: ApiServer, bob: User, shared: Path
) -> None:
    """Earlier versions used such a directory itself."""
    shared.chmod(0o777)
    bob.crontify("exec", "old", "--", "true", env={"CRONTIFY_STATE_DIR": str(bob.home / "state")})
    bob.shell(f"cp -r state/* {shared}; mkdir -p {shared}/logs")
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(shared)}
    done = bob.crontify("exec", "backup", *JOB, env=env)
    without_state(done, api, f"{shared} belongs to root; in it, run: mkdir -m 700 ")
    advice = done.stderr.partition("in it, run: ")[2].partition(" (its report")[0]
    bob.shell(f"cd {shared}; {advice}")
    runs = json.loads(bob.crontify("runs", "--json", env=env).stdout)
    assert [run["monitor"] for run in runs] == ["old"]


def test_links_of_root_lead_to_a_state_directory_and_those_of_others_do_not(
    api: ApiServer, bob: User, eve: User, shared: Path
) -> None:
    """With DynamicUser=, systemd makes such a link: /var/lib/crontify to /var/lib/private."""
    state = shared / "private"
    state.mkdir(mode=0o700)
    os.chown(state, bob.uid, bob.uid)
    (shared / "link").symlink_to("private")
    env = {**settings(api), "CRONTIFY_STATE_DIR": str(shared / "link")}
    assert bob.crontify("exec", "backup", *JOB, env=env).stderr == ""
    assert (state / "journal.db").exists()
    before = snapshot(state)
    eve.shell(f"ln -s {state} direct; ln -s {shared} above")
    api.requests.clear()
    for path in (eve.home / "direct", eve.home / "above/private", eve.home / "above/new/state"):
        done = bob.crontify("exec", "backup", *JOB, env={**env, "CRONTIFY_STATE_DIR": str(path)})
        without_state(done, api, f"{path} leads through a link of another user")
        api.requests.clear()
    assert snapshot(state) == before
    assert sorted(path.name for path in shared.iterdir()) == ["link", "private"]


def test_a_path_exchanged_after_the_check_leads_nowhere_else(tmp_path: Path, victim: Path) -> None:
    state = tmp_path / "state"
    with Folder(str(state), "logs", create=True) as logs:
        state.rename(tmp_path / "moved")
        state.symlink_to(victim)
        (victim / "logs").symlink_to(victim)
        os.close(logs.open("new", NEW))
        logs.rename("new", "precious")
        logs.unlink("precious")
    (victim / "logs").unlink()
    assert is_untouched(victim)


@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal", "journal.db-journal"])
@pytest.mark.parametrize("how", ["link", "hard link", "another owner", "others can write"])
def test_a_journal_that_is_not_ours_alone_is_not_opened(
    crontify: Crontify, api: ApiServer, state: Path, victim: Path, name: str, how: str
) -> None:
    crontify("exec", "old", "--", "true")
    path, precious = state / name, victim / "precious"
    if name != "journal.db" or "link" in how:
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
    if "link" in how:
        path.unlink()
        (path.symlink_to if how == "link" else path.hardlink_to)(precious)
    elif how == "another owner":
        os.chown(path, 61234, 61234)
    else:
        path.chmod(0o622)
    before = path.lstat()
    done = crontify("exec", "backup", *JOB, env=settings(api))
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert f"the run is not in the journal, its report is sent directly: {path}" in (
        done.stderr.replace("others can write to ", "")
    )
    assert "remove it" in done.stderr
    assert api.kinds() == ["start", "fail"]
    assert (path.lstat().st_mtime, path.lstat().st_size) == (before.st_mtime, before.st_size)
    assert precious.read_text() == "precious"


def test_a_link_in_place_of_the_sandboxs_database_is_not_followed(
    crontify: Crontify, state: Path, victim: Path
) -> None:
    state.mkdir(parents=True, mode=0o700)
    for target in ("made", "precious"):
        (state / "sandbox.db").unlink(missing_ok=True)
        (state / "sandbox.db").symlink_to(victim / target)
        done = crontify("sandbox", "token")
        assert (done.returncode, "sandbox.db is not a regular file" in done.stderr) == (1, True)
        assert is_untouched(victim)


def test_a_journal_that_is_just_being_made_is_ours(state: Path) -> None:
    """It has a second name for a moment, and for longer if its maker is killed then."""
    state.mkdir(parents=True, mode=0o700)
    (state / "journal.db").touch(mode=0o600)
    (state / "journal.db.new-1-2").hardlink_to(state / "journal.db")
    with Folder(str(state)) as folder:
        folder.check("journal.db", scratch="journal.db.new-")
        with pytest.raises(StateError, match="has other names"):
            folder.check("journal.db", scratch="journal.db.old-")


def test_a_user_who_is_not_root_keeps_the_home_it_names(
    bob: User, eve: User, api: ApiServer
) -> None:
    done = bob.crontify("exec", "backup", *JOB, env={**settings(api), "HOME": str(eve.home)})
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert list(eve.home.iterdir()) == []


def test_the_state_directory_of_this_user_is_used_as_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mode in (0o700, 0o750, 0o755):
        path = tmp_path / f"{mode:o}"
        path.mkdir()
        path.chmod(mode)
        monkeypatch.setenv("CRONTIFY_STATE_DIR", str(path))
        assert state_dir() == str(path)
        Folder(str(path)).close()
