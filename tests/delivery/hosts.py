"""Two hosts that share a state directory: nothing lost, nothing false, and what is twice.

    .venv/bin/python -m tests.delivery.hosts [--runs 200] [--seed N]

Each host is a set of mount, PID and UTS namespaces with a machine id and a boot id of its
own. Its wrappers are killed at random moments, and the API is away now and then. That is done
twice: with working locks, and with locks that the other host does not see, as on NFS without a
lock server. Duplicates are counted; with locks they are only allowed where a process was killed
between sending and the answer. Exits with 1 and what is wrong, if anything is.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.delivery.kills import Round, await_jobs, broken, flush, life, play
from tests.faults import delayed
from tests.programs import PROGRAM
from tests.server import ApiServer, settings

UNSHARE = ["unshare", "--mount", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child"]
BECOME = """set -e
mount --bind "$1/boot" /proc/sys/kernel/random/boot_id
if [ -e /etc/machine-id ]; then mount --bind "$1/machine" /etc/machine-id
else cp -a /etc "$1/etc"; cp "$1/machine" "$1/etc/machine-id"; mount --bind "$1/etc" /etc; fi
hostname "$2"
shift 2
exec "$@"
"""
LOCAL_LOCKS = '''"""Locks of os.lockf that only the processes of this host see."""
import os

folder = os.environ["LOCAL_LOCKS"]
real, shadows = os.lockf, {}


def lockf(fd, command, length):
    """Lock a file of this host in place of `fd`; as with POSIX locks, a process keeps one."""
    status = os.fstat(fd)
    name = f"{folder}/{status.st_dev}-{status.st_ino}"
    if name not in shadows:
        shadows[name] = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.lseek(shadows[name], os.lseek(fd, 0, os.SEEK_CUR), os.SEEK_SET)
    return real(shadows[name], command, length)


os.lockf = lockf
'''
OUTAGE, UP = 0.7, 2.5
"""Seconds for which the API is away, and there again."""


class Found(NamedTuple):
    """What came of it.

    duplicates: reports that came once more. unexplained: those of them whose first delivery
    was not the last thing that its process sent, so that it was not killed for it.
    """

    problems: list[str]
    duplicates: int
    unexplained: list[str]
    kinds: Counter[str]


def host_command(folder: Path, name: str, *command: str) -> list[str]:
    """Return what executes a command on a host, whose files are made in `folder`."""
    files = folder / name
    if not files.exists():
        files.mkdir()
        (files / "machine").write_text(f"{random.getrandbits(128):032x}\n")
        (files / "boot").write_text(f"0000{name}000-0000-4000-8000-000000000000\n")
    return [*UNSHARE, "sh", "-c", BECOME, "sh", str(files), f"host-{name}", *command]


def live_there(name: str, runs: int, seed: int) -> None:
    """Be a host: play its runs, deliver what is queued, and print each as JSON."""
    folder, env = Path.cwd(), dict(os.environ)
    whole = life(folder, {**env, "CRONTIFY_STATE_DIR": str(folder / f"measured-{name}")})
    first = ord(name) * 100_000  # monitors of its own
    rounds = [play(folder, env, "", whole, seed, first + at) for at in range(runs)]
    print(json.dumps(rounds), flush=True)
    await_jobs(rounds)
    sys.stdin.readline()  # the API is there to stay, and the other host is done
    # The first host cannot know yet what becomes of reports that dead processes of the second hold.
    enough = f"{3 + runs // 5}s"
    subprocess.run([*PROGRAM, "flush", "--quiet", "--wait", enough], env=env)
    print("flushed", flush=True)
    sys.stdin.readline()
    flush(folder, env, 2)


def play_hosts(folder: Path, runs: int, seed: int, *, with_locks: bool) -> Found:
    """Let two hosts play at once; return what is wrong with what the server knows."""
    with ApiServer() as api:
        api.default = delayed(0.02)
        hosts = [_start(folder, api, name, runs, seed, with_locks) for name in "ab"]
        done = threading.Event()
        weather = threading.Thread(target=_change_weather, args=(api, done))
        weather.start()
        try:
            rounds = [_read(host) for host in hosts]
        except AssertionError:
            for host in hosts:
                host.kill()
            raise
        finally:
            done.set()
            weather.join()
        problems = []
        for host in hosts:
            assert host.stdin
            assert host.stdout
            host.stdin.write("flush\n")
            host.stdin.flush()
            host.stdout.readline()
        for host in hosts:
            _, said = host.communicate("flush\n", timeout=600)
            if host.returncode:
                problems.append(f"a host ended with {host.returncode}: {said}")
        return _judge(folder, api, [each for played in rounds for each in played], problems)


def _start(
    folder: Path, api: ApiServer, name: str, runs: int, seed: int, with_locks: bool
) -> "subprocess.Popen[str]":
    config = folder / "config.toml"
    config.write_text("report_timeout = 3\nhttp_timeout = 3\n")
    config.chmod(0o600)
    root = Path(__file__).parents[2]
    env = {
        **os.environ,
        **settings(api),
        "CRONTIFY_STATE_DIR": str(folder / "state"),
        "CRONTIFY_CONFIG": str(config),
        "PYTHONPATH": str(root),
    }
    if not with_locks:
        patched = folder / f"locks-{name}"
        (patched / "held").mkdir(parents=True)
        (patched / "sitecustomize.py").write_text(LOCAL_LOCKS)
        env |= {"PYTHONPATH": f"{patched}:{root}", "LOCAL_LOCKS": str(patched / "held")}
    module = [sys.executable, "-m", "tests.delivery.hosts", "--host", name]
    return subprocess.Popen(
        host_command(folder, name, *module, "--runs", str(runs), "--seed", str(seed)),
        cwd=folder,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _read(host: "subprocess.Popen[str]") -> list[Round]:
    assert host.stdout
    line = host.stdout.readline()
    assert line, f"a host ended early: {host.wait()}"
    return [Round(*each) for each in json.loads(line)]


def _change_weather(api: ApiServer, done: threading.Event) -> None:
    while not done.wait(UP):
        api.down()
        done.wait(OUTAGE)
        api.up()


def _judge(folder: Path, api: ApiServer, rounds: Sequence[Round], problems: list[str]) -> Found:
    requests = defaultdict(list)
    for request in api.accepted:
        requests[request.path.split("/")[4]].append(request)
    last = {request.connection: request for request in api.requests}
    duplicates, unexplained = 0, []
    for each in rounds:
        sent = requests[each.monitor]
        wrong = broken(each, folder, sent)
        problems += [line for line in wrong if "sent twice" not in line]
        ends = [request for request in sent if request.kind != "start"]
        duplicates += max(0, len(ends) - 1)
        for first in ends[:-1]:
            if last[first.connection] is not first:
                unexplained.append(f"{each}: sent again, though nobody was killed")
    left = sorted(path.name for path in (folder / "state/live").glob("*.rec"))
    problems += [f"left behind: {name}" for name in left]
    return Found(
        problems, duplicates, unexplained, Counter(request.kind for request in api.accepted)
    )


def main() -> int:
    """Play both halves, or be one of the hosts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="of each host")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--host", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.host:
        live_there(options.host, options.runs, options.seed)
        return 0
    print(f"seed {options.seed}", flush=True)
    failed = False
    for with_locks in (True, False):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found = play_hosts(Path(folder), options.runs, options.seed, with_locks=with_locks)
        print(f"{'with' if with_locks else 'without'} locks: 2 x {options.runs} runs")
        print(f"  in {time.monotonic() - began:.0f} s, {dict(found.kinds)}")
        wrong = [*found.problems, *(found.unexplained if with_locks else ())]
        print(
            f"  duplicates {found.duplicates}, {len(found.unexplained)} of them unexplained;",
            end="",
        )
        print(f" {len(wrong)} wrong", flush=True)
        print("\n".join(wrong[:50]))
        failed |= bool(wrong)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
