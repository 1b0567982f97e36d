"""The machine of a soak, in namespaces of its own: cron, a sandbox, and the faults in them."""

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from crontify_cli import processes
from tests.programs import PROGRAM
from tests.soak.monitors import MONITORS, crontab
from tests.soak.plan import Trouble

PORT = 8787
DISK = 256 * 1024 * 1024
"""Bytes of the state directory's file system."""
PATIENCE = 600.0
"""Seconds: far beyond the time that the last jobs take."""


class Wrapper(NamedTuple):
    """A running `crontify exec`. run: the id of its run, "" as long as it has no record."""

    pid: int
    monitor: str
    run: str


class Machine:
    """A machine on which only what the soak needs is different; `folder` is empty at first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            **os.environ,
            "CRONTIFY_CONFIG": str(folder / "config.toml"),
            "CRONTIFY_STATE_DIR": str(folder / "state"),
        }
        self._config = ""
        for name in ("state", "ledger", "mail", "tmp", "upper", "work"):
            (folder / name).mkdir()
        _mount(folder)
        self._sandbox = self._serve()
        self._cron = subprocess.Popen(["/usr/sbin/cron", "-f"], stdin=subprocess.DEVNULL)

    def _serve(self) -> "subprocess.Popen[bytes]":
        command = [*PROGRAM, "sandbox", "serve", "--port", str(PORT), "--json"]
        with (self.folder / "server.log").open("ab") as log:
            return subprocess.Popen([*command, "--db", self.database], stdout=log)

    @property
    def database(self) -> str:
        """The path of the sandbox's database."""
        return str(self.folder / "sandbox.db")

    def configure(self, key: str) -> None:
        """Write the config file, and give cron its table."""
        self._config = f'api_key = "{key}"\nbase_url = "http://127.0.0.1:{PORT}/api/v1"\n'
        self._write_config(self._config)
        Path("/etc/cron.d/soak").write_text(crontab(self.folder))

    def _write_config(self, text: str) -> None:
        new = self.folder / "new.toml"
        new.touch(0o600)
        new.write_text(text)
        new.rename(self.folder / "config.toml")

    def trouble(self, trouble: Trouble) -> "contextlib.AbstractContextManager[None]":
        """Return a context in which there is such trouble."""
        return {
            "stopped": self._stopped,
            "frozen": self._frozen,
            "config": self._broken_config,
            "disk": self._full_disk,
        }[trouble]()

    @contextlib.contextmanager
    def _stopped(self) -> Iterator[None]:
        """Stop the sandbox, and start it again."""
        self._sandbox.terminate()
        self._sandbox.wait()
        yield
        self._sandbox = self._serve()

    @contextlib.contextmanager
    def _frozen(self) -> Iterator[None]:
        """Stop the sandbox from running while its port still takes connections."""
        self._sandbox.send_signal(signal.SIGSTOP)
        yield
        self._sandbox.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def _broken_config(self) -> Iterator[None]:
        """Break the config file."""
        self._write_config("this is [not TOML\n" + self._config)
        yield
        self._write_config(self._config)

    @contextlib.contextmanager
    def _full_disk(self) -> Iterator[None]:
        """Fill the file system of the state directory, also when something there is removed."""
        ballast, is_over = self.folder / "state" / "ballast", threading.Event()

        def fill() -> None:
            with ballast.open("wb", buffering=0) as file:
                while not is_over.wait(0.1):
                    with contextlib.suppress(OSError):
                        while file.write(bytes(65536)):
                            pass

        filling = threading.Thread(target=fill)
        filling.start()
        yield
        is_over.set()
        filling.join()
        ballast.unlink()

    def stop_cron(self) -> None:
        """Let cron begin nothing more, and end the runs that wait for their turn."""
        self._cron.terminate()
        self._cron.wait()
        for each in wrappers():
            if each.monitor == "wait" and not each.run:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGTERM)

    def settle(self) -> int:
        """Wait for the last jobs, then flush; return the exit code of the last flush."""
        _until(lambda: not wrappers() and not _jobs())
        for _ in range(5):
            done = subprocess.run([*PROGRAM, "flush", "--wait", "1m"], env=self.env)
            if done.returncode == 0:
                break
        return done.returncode

    def read(self, *command: str) -> Any:
        """Return what a command of crontify prints as JSON."""
        words = [*PROGRAM, *command, "--json", "--limit", "1000000"]
        return json.loads(subprocess.run(words, env=self.env, stdout=subprocess.PIPE).stdout)

    def stop(self) -> None:
        """End the sandbox; what else may be left ends with the namespace."""
        self._sandbox.terminate()
        self._sandbox.wait()


def _mount(folder: Path) -> None:
    """Hide the host's crontabs; make a small disk for the state, and a sendmail for cron."""
    overlay = f"lowerdir=/usr/sbin,upperdir={folder}/upper,workdir={folder}/work"
    sendmail = folder / "upper" / "sendmail"
    sendmail.write_text(f'#!/bin/sh\nexec cat > "{folder}/mail/$$-$(date +%s%N)"\n')
    sendmail.chmod(0o755)
    for command in (
        "mount -t tmpfs none /var/spool/cron/crontabs",
        "mount -t tmpfs none /etc/cron.d",
        "mount --bind /dev/null /etc/crontab",
        "mount -t tmpfs none /run",
        f"mount -t tmpfs -o size={DISK},mode=700 none {folder}/state",
        f"mount -t overlay -o {overlay} none /usr/sbin",
        "ip link set lo up",
    ):
        subprocess.run(command.split(), check=True)


def wrappers() -> list[Wrapper]:
    """Return the wrappers that run now, with the runs that their open records name."""
    found = []
    names = {each.name for each in MONITORS}
    for pid, words in _commands():
        if "exec" in words[:-1] and (monitor := words[words.index("exec") + 1]) in names:
            if "-S" in words[:2] or not words[0].endswith(("python", "python3", "crontify")):
                continue  # the shell that cron starts, or a job
            found.append(Wrapper(pid, monitor, _run_of(pid)))
    return found


def _jobs() -> list[int]:
    return [pid for pid, words in _commands() if any(w.endswith("soak/job.py") for w in words)]


def _commands() -> Iterator[tuple[int, list[str]]]:
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit():
                line = Path(f"/proc/{entry}/cmdline").read_bytes()
                yield int(entry), line.decode(errors="replace").split("\0")


def _run_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        for entry in os.listdir(f"/proc/{pid}/fd"):
            path = Path(os.readlink(f"/proc/{pid}/fd/{entry}"))
            if path.parent.name == "live" and path.suffix == ".rec":
                return path.stem.partition("-")[0]
    return ""


def kill(victim: str, chance: random.Random, spared: Container[str]) -> Wrapper | None:
    """Kill a wrapper that has a record, or the job of one that lasts; None if there is none.

    spared: runs that are left alone.
    """
    long = ("forty", "allow", "skip")
    there = [
        each
        for each in wrappers()
        if each.run and each.run not in spared and (victim == "wrapper" or each.monitor in long)
    ]
    if not there:
        return None
    chosen = chance.choice(there)
    pids = [chosen.pid]
    if victim == "job":
        pids = [pid for pid in processes.descendants(chosen.pid) if pid in _jobs()]
    for pid in pids[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return chosen
    return None


def _until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true() and time.monotonic() < deadline:
        time.sleep(0.5)
