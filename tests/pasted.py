"""A machine on which the examples of the manual can be pasted into a shell.

Run as root in new mount, network and process namespaces, so that nothing of it is left:

    unshare --mount --pid --net --fork --kill-child --mount-proc python -m tests.pasted FOLDER

Reads a JSON list of examples (`kind`, `text`) from stdin, and prints one of results. HOME is
empty at the start. `crontify` is installed in /opt/crontify, the jobs of the examples are in
/srv, a sandbox serves the API, and programs that no machine of ours has are stand-ins.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120.0
_MONITORS = ("heartbeat", "old-job", "nightly")
_OWN = ("b", "backup", "opt", "srv", "run", "tmp")
_EMPTY = ("/var/spool/cron", "/var/lib", "/usr/local")
_OF_THE_KERNEL = ("dev", "proc", "sys")
_STAND_INS = {
    "pass": "echo ck_test_0123456789abcdef",
    "sudo": 'while case $1 in -u) shift;; -*) ;; *) false; esac; do shift; done; exec "$@"',
    "rsync": "echo copied 3 files",
    "pg_dump": "echo dumped",
    "journalctl": "echo a line of the journal",
    "docker": "echo a container",
    "kubectl": "true",
    "busybox": "echo packed",
}


class Example(NamedTuple):
    """kind: "shell", "crontab" or "unit". text: as a reader would copy it."""

    kind: str
    text: str


class Result(NamedTuple):
    """What came of an example. code: the exit code of the shell, or of systemd-analyze."""

    text: str
    code: int
    output: str


def examples_of_page(rendered: str) -> list[Example]:
    """Return the examples of a manual page as mandoc shows it: what is indented more than prose."""
    return _examples(re.split(r"(?m)^EXAMPLES\n", rendered)[1].split("\nSEE ALSO")[0], 7)


def examples_of_markdown(text: str) -> list[Example]:
    """Return the code blocks of a Markdown file, which are indented."""
    return _examples(text, 4)


def _examples(text: str, indent: int) -> list[Example]:
    blocks: list[list[str]] = [[]]
    for line in text.expandtabs().splitlines():
        if not line.strip() or line.startswith(" " * indent):
            blocks[-1].append(line.rstrip())
        elif blocks[-1]:
            blocks.append([])
    found: list[Example] = []
    for block in blocks:
        margin = min((len(line) - len(line.lstrip()) for line in block if line), default=0)
        words = "\n".join(line[margin:] for line in block).strip("\n")
        files = re.split(r"(?m)^(?=# /etc/systemd/system/)", words)
        found += [Example(_kind(file), file.strip("\n")) for file in files if file]
    return found


def _kind(text: str) -> str:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    if any(line in ("[Unit]", "[Service]", "[Timer]") for line in lines):
        return "unit"
    if lines[0].startswith("apiVersion:"):
        return "yaml"
    is_job = re.compile(r"(@\w+|([\d*/,-]+ +){5}).*\S|[A-Z_]+=\S*$")
    return "crontab" if all(map(is_job.match, lines)) else "shell"


class Machine:
    """The machine; `folder` is an empty directory for its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self._seen = 0
        self._change_root()
        self._copy_etc()
        self._install()
        _run("ip", "link", "set", "lo", "up")
        self._serve()
        self._fill()

    def _change_root(self) -> None:
        """Make a new root of the old one's directories, and of own ones for what examples write."""
        root, read_only = Path("/mnt"), []  # type: tuple[Path, list[str]]
        _run("mount", "-t", "tmpfs", "-o", "mode=755", "none", str(root))
        for name in (*_OWN, *os.listdir("/")):
            old, new = Path("/") / name, root / name
            if new.exists() or name == "mnt":
                continue
            if old.is_symlink():
                new.symlink_to(old.readlink())
            elif name in _OWN or old.is_dir():
                new.mkdir()
                if name not in _OWN:
                    _run("mount", "--rbind", str(old), str(new))
                    read_only.append(name)
        for kept in (ROOT, self.folder):
            place = root / kept.relative_to("/")
            if not place.exists():  # it is below one of the directories of our own, such as /tmp
                place.mkdir(parents=True)
                _run("mount", "--bind", str(kept), str(place))
        os.chroot(root)
        os.chdir(ROOT)
        Path("/tmp").chmod(0o1777)
        for path in _EMPTY:
            _run("mount", "-t", "tmpfs", "-o", "mode=755", "none", path)
        for name in read_only:  # nothing that an example writes may reach the real machine
            if name not in _OF_THE_KERNEL and name != "etc":
                _run("mount", "-o", "remount,bind,ro", f"/{name}")
        Path("/var/lib/prometheus/node-exporter").mkdir(parents=True)
        crontabs = Path("/var/spool/cron/crontabs")
        crontabs.mkdir()
        shutil.chown(crontabs, group="crontab")
        crontabs.chmod(0o1730)

    def _copy_etc(self) -> None:
        etc = self.folder / "etc"
        shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True)
        passwd = (etc / "passwd").read_text()
        home = str(self.home)
        (etc / "passwd").write_text(
            re.sub(r"(?m)^(root:.*:)[^:]*(:[^:]*)$", rf"\1{home}\2", passwd)
        )
        for name in (etc / "cron.d").glob("*"):
            name.unlink()
        (etc / "crontab").write_text("17 * * * * root /srv/hourly\n")
        (etc / "crontify").mkdir(exist_ok=True)
        _run("mount", "--bind", str(etc), "/etc")

    def _install(self) -> None:
        opt, local = Path("/opt/crontify"), Path("/usr/local/bin")
        opt.mkdir()
        (opt / "bin").symlink_to(Path(sys.executable).parent)
        local.mkdir(exist_ok=True)
        (local / "crontify").symlink_to(opt / "bin/crontify")
        for source, place in (
            ("crontify.bash", "bash-completion/completions/crontify"),
            ("_crontify", "zsh/site-functions/_crontify"),
            ("crontify.fish", "fish/vendor_completions.d/crontify.fish"),
        ):
            target = opt / "share" / place
            target.parent.mkdir(parents=True)
            shutil.copy(ROOT / "completions" / source, target)
        for page in (ROOT / "man").iterdir():
            target = opt / "share/man" / f"man{page.suffix[1:]}" / page.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(page, target)
        for name, words in _STAND_INS.items():
            _script(local / name, words)
        _script(Path("/srv/busybox"), _STAND_INS["busybox"])

    def _serve(self) -> None:
        command = ["/opt/crontify/bin/crontify", "sandbox", "serve", "--json"]
        server = subprocess.Popen(
            command, env={**os.environ, "HOME": str(self.home)}, stdout=subprocess.PIPE, text=True
        )
        assert server.stdout
        ready = json.loads(server.stdout.readline())
        self.environ = {
            "HOME": str(self.home),
            "PATH": "/opt/crontify/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "CRONTIFY_BASE_URL": ready["url"],
            "CRONTIFY_API_KEY": ready["api_key"],
            "CRONTIFY_TOKEN": ready["token"],
            "CRONTIFY_META": str(self.folder / "meta"),  # as a job has it
        }
        key = Path("/etc/crontify/api-key")
        key.touch(0o600)
        key.write_text(ready["api_key"] + "\n")
        shutil.copy(key, "/etc/crontify/lab")
        for name in ("/etc/crontify/shop.toml", "/etc/shop.toml"):
            Path(name).write_text(f'base_url = "{ready["url"]}"\n')

    def _fill(self) -> None:
        """Give the machine a past: crontabs, runs, and what waits."""
        jobs = "0 3 * * * /srv/backup.sh\n" * 8
        for user in ("root", "www-data"):
            _run("crontab", "-u", user, "-", stdin=jobs)
        (self.folder / "jobs").write_text(jobs)
        Path("/tmp/backup.log").write_text("a log\n")
        down = {"CRONTIFY_BASE_URL": "http://127.0.0.1:9/api"}
        fails = "echo rows=3 >>$CRONTIFY_META; echo disk full >&2; exit 1"
        for words, more in (
            *((["sandbox", "monitor", "add", name], {}) for name in _MONITORS),
            (["exec", "old-job", "--", "false"], down),
            (["exec", "backup", "--", "sh", "-c", fails], {}),
            (["exec", "backup", "--", "sh", "-c", fails.replace("exit 1", "exit 0")], {}),
            (["exec", "backup", "--", "sh", "-c", fails], down),
        ):
            environ = self.environ | more
            subprocess.run(["crontify", *words], env=environ, capture_output=True, check=False)

    def paste(self, example: Example) -> Result:
        """Do with an example what a reader would."""
        if example.kind == "crontab":
            return self._cron(example.text)
        if example.kind == "unit":
            return self._verify(example.text)
        shell = "zsh" if "fpath" in example.text else "bash"
        done = subprocess.run(
            [shell, "-c", example.text],
            env=self.environ,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        shutil.rmtree(self.home / ".config/crontify", ignore_errors=True)
        return Result(example.text, done.returncode, done.stdout)

    def _cron(self, text: str) -> Result:
        """Load a crontab, and let a real cron run every line of it at once.

        @reboot takes the place of the times, which are checked when the table is loaded.
        """
        loaded = subprocess.run(
            ["crontab", "-"], input=f"{text}\n", capture_output=True, text=True, check=False
        )
        if loaded.returncode:
            return Result(text, loaded.returncode, loaded.stderr)
        self._seen += 1
        done = self.folder / f"done-{self._seen}"
        done.mkdir()
        monitors = self._jobs(text)
        url = self.environ["CRONTIFY_BASE_URL"]
        # crontify-exec(1) says to set PATH, or to write the whole path as the README does.
        settings = f'PATH=/opt/crontify/bin:/usr/bin:/bin\nMAILTO=""\nCRONTIFY_BASE_URL={url}\n'
        settings += "CRONTIFY_API_KEY_FILE=/etc/crontify/api-key\n"
        lines = []
        for number, line in enumerate(text.splitlines()):
            if re.match(r"@|[\d*]", line):
                command = re.sub(r"^(@\w+|(\S+ +){5}) *", "", line)
                command = command.replace("--jitter 10m", "--jitter 1s")  # or we would wait
                lines.append(f"@reboot {command}; echo $? >{done}/{number}")
            else:
                lines.append(line)
        _run("crontab", "-", stdin=settings + "\n".join(lines) + "\n")
        Path("/run/crond.reboot").unlink(missing_ok=True)
        daemon = subprocess.Popen(["cron", "-f"])
        wanted = sum(line.startswith("@reboot") for line in lines)
        try:
            deadline = time.monotonic() + PATIENCE
            while len(list(done.iterdir())) < wanted and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            daemon.terminate()
            daemon.wait()
        known = json.loads(self._crontify("runs", "--json", "-n", "99"))
        ran = {run["monitor"] for run in known}
        missing = sorted({name for name in monitors if name not in ran})
        codes = {file.name: file.read_text().strip() for file in done.iterdir()}
        odd = [code for code in codes.values() if code not in ("0", "75")]
        is_wrong = missing or odd or len(codes) < wanted
        words = f"no run of {missing}, exit codes {codes} of {wanted}" if is_wrong else ""
        return Result(text, 1 if words else 0, words)

    def _jobs(self, text: str) -> list[str]:
        """Put the jobs of a crontab into /srv, and return the monitors to which it reports."""
        for job in re.findall(r"/srv/[\w./-]+", text):
            if not os.path.exists(job):
                words = "print('3 files')" if job.endswith(".py") else "echo 3 files"
                _script(Path(job), words)
        return re.findall(r"crontify exec (\S+)", text)

    def _verify(self, text: str) -> Result:
        """Let systemd check a unit; its name is in the comment in its first line."""
        name = re.search(r"/etc/systemd/system/(\S+)", text)
        units = self.folder / "units"
        units.mkdir(exist_ok=True)
        unit = units / (name[1] if name else "backup.service")
        unit.write_text(f"{text}\n")
        self._jobs(text)
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(unit)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Result(text, done.returncode or int(unit.name in done.stdout), done.stdout)

    def _crontify(self, *words: str) -> str:
        done = subprocess.run(
            ["crontify", *words], env=self.environ, stdout=subprocess.PIPE, text=True, check=False
        )
        return done.stdout


def _script(path: Path, words: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{words}\n")
    path.chmod(0o755)


def _run(*words: str, stdin: str = "") -> None:
    subprocess.run(words, input=stdin, text=True, check=True, capture_output=True)


def main(arguments: Sequence[str]) -> int:
    """Paste the examples on stdin, and write the results to `results.json` in a folder."""
    folder = Path(arguments[0])
    machine = Machine(folder)
    results = []
    for kind, text in json.load(sys.stdin):
        began = time.monotonic()
        result = machine.paste(Example(kind, text))
        results.append(result)
        print(f"{time.monotonic() - began:5.1f} s  {text.splitlines()[0]}", file=sys.stderr)
    (folder / "results.json").write_text(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
