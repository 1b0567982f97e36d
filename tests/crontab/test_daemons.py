"""Real daemons, in namespaces of their own, accept wrapped crontabs and run a wrapped job."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crontify_cli.crontab import edit
from crontify_cli.crontab.edit import Wrapping
from crontify_cli.crontab.lines import read
from tests.conftest import Crontify
from tests.crontab.meaning import generated
from tests.programs import need
from tests.server import KEY, ApiServer
from tests.waiting import until

PROGRAM = str(Path(sys.executable).with_name("crontify"))
HERE = Path(__file__).parent


def test_debian_accepts_a_wrapped_line_where_it_accepted_the_plain_one(tmp_path: Path) -> None:
    need("crontab")
    file = tmp_path / "crontab"

    def accepts(data: bytes) -> bool:
        file.write_bytes(data if data.endswith(b"\n") else data + b"\n")
        return subprocess.run(["crontab", "-n", file], capture_output=True).returncode == 0

    plain = (HERE / "nasty.crontab").read_bytes()
    plain += b"\n" + b"".join(b"* * * * * %s\n" % command for command in generated(60, 16))
    lines = read(plain, "debian")
    changes = edit.plan_wraps(lines, Wrapping("debian", PROGRAM.encode())).changes
    assert len(changes) > 100
    for change in changes:
        assert accepts(change.line.text), change.line
        assert accepts(change.after), change.after
    changed = {change.line.number for change in changes}
    whole = b"".join(line.text for line in lines if not line.problem)
    kept = [line for line in lines if not line.problem or line.number in changed]
    assert accepts(whole)
    assert accepts(edit.apply(kept, changes))


DAEMONS = {
    "debian": ("crontab table && exec /usr/sbin/cron -f", "/usr/sbin/cron"),
    "busybox": ("cp table spool/root && exec busybox crond -f -c $PWD/spool", "busybox"),
    "cronie": ("crontab table && exec /usr/sbin/crond -n", "cronnext"),
}


def test_each_daemon_runs_a_wrapped_job(crontify: Crontify, tmp_path: Path) -> None:
    need("unshare")
    if os.geteuid() != 0:
        pytest.skip("needs root, for a mount namespace")
    here = {name: start for name, (start, program) in DAEMONS.items() if shutil.which(program)}
    assert here or not need(*(program for _, program in DAEMONS.values()))
    with ApiServer() as api:
        running = {name: start_daemon(name, start, api, tmp_path) for name, start in here.items()}
        try:
            # A daemon looks at its tables once a minute, and each run sends a start and an end.
            count, failed = 0, {}
            while set(failed) != set(here):
                count += 1
                requests = api.wait_for(count, timeout=150)
                failed = {
                    each.path.split("/")[-2]: each for each in requests if each.kind == "fail"
                }
        finally:
            for daemon in running.values():
                os.killpg(daemon.pid, signal.SIGKILL)
                daemon.wait()
    for name, request in failed.items():
        report = request.json
        assert "exited with code 7" in report["errorMessage"]
        # Busybox has no standard input for a job: its % is an ordinary character.
        given = "it's %given" if name == "busybox" else "given"
        assert given in report["logOutput"], name


def start_daemon(name: str, start: str, api: ApiServer, folder: Path) -> "subprocess.Popen[bytes]":
    """Wrap a crontab for a daemon and start it with that as its only one."""
    own = folder / name
    (own / "spool").mkdir(parents=True)
    config = own / "config.toml"
    config.touch(0o600)
    config.write_text(f'api_key = "{KEY}"\nbase_url = "{api.url}"\n')
    (own / "run").write_text(
        f"#!/bin/sh\nexport CRONTIFY_CONFIG={config} CRONTIFY_STATE_DIR={own}/state\n"
        f'cat; echo "$@"; exit 7\n'
    )
    (own / "run").chmod(0o755)
    # Busybox knows no variables of a crontab's own, so the command brings them.
    setting = f"export CRONTIFY_CONFIG={config} CRONTIFY_STATE_DIR={own}/state; "
    wrapper = own / "crontify"
    wrapper.write_text(f'#!/bin/sh\n{setting}exec {PROGRAM} "$@"\n')
    wrapper.chmod(0o755)
    table = own / "table"
    table.write_text(f"* * * * * cd / && {own}/run it\\'s %given\n")
    lines = read(table.read_bytes(), name)  # type: ignore[arg-type]  # the dialects' names
    wrapping = Wrapping(name, str(wrapper).encode(), chosen={1: name})  # type: ignore[arg-type]
    (change,) = edit.plan_wraps(lines, wrapping).changes
    table.write_bytes(change.after)
    spool = "mount -t tmpfs none /var/spool/cron/crontabs; mount -t tmpfs none /etc/cron.d"
    hide = "mount --bind /dev/null /etc/crontab; mount -t tmpfs none /run"
    return subprocess.Popen(
        ["unshare", "-m", "-p", "-f", "--kill-child", "sh", "-c", f"{spool}; {hide}; {start}"],
        cwd=own,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )


def test_busybox_reads_the_same_schedules_from_the_wrapped_crontab(tmp_path: Path) -> None:
    need("busybox", "unshare")
    if os.geteuid() != 0:
        pytest.skip("needs root, for a namespace")
    plain = b"".join(
        line
        for line in (HERE / "nasty.crontab").read_bytes().splitlines(keepends=True)
        if not line.startswith(b"@")  # Debian's busybox 1.35 crashes on these words
    )
    plain += b"\n1 2 3 4 5 last\n"
    lines = read(plain, "busybox")
    changes = edit.plan_wraps(lines, Wrapping("busybox", PROGRAM.encode())).changes
    assert len(changes) > 50
    before = crond_log(tmp_path / "before", plain)
    assert before.count("parse error") == sum("bad" in line.problem for line in lines if line.job)
    assert crond_log(tmp_path / "after", edit.apply(lines, changes)) == before


def crond_log(folder: Path, table: bytes) -> str:
    """Return what busybox crond says of root's crontab: problems, and the schedules as bits."""
    spool, log = folder / "spool", folder / "log"
    spool.mkdir(parents=True)
    (spool / "root").write_bytes(table)
    command = ["busybox", "crond", "-f", "-l", "0", "-L", str(log), "-c", str(spool)]
    daemon = subprocess.Popen(
        ["unshare", "-p", "-f", "--kill-child", *command], start_new_session=True
    )
    april_and_friday = "000100000000\n0000010\n"  # of the last line, and of no other
    try:
        until(
            lambda: log.exists() and log.read_text().endswith(april_and_friday),
            "crond has read everything",
        )
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()
    return log.read_text()
