"""No secret leaves its place: planted everywhere, used by every command, looked for everywhere."""

import contextlib
import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from tests.conftest import Crontify
from tests.programs import PROGRAM
from tests.screen import screen
from tests.server import ApiServer, Behaviour, Exchange, error
from tests.waiting import until, until_exists

# It looks into every process of the machine for what each of its tests plants.
pytestmark = pytest.mark.xdist_group("secrets")

OURS = token_hex(4)
"""A part of every secret, so that another copy of these tests plants others."""
KEY = f"ck_live_Zq8Vt3Nw{OURS}Ky5P7Lm2"
TOKEN = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJRdzVFcjdUeTIifQ.Ui4Op9{OURS}As3Df6Gh8J"
HEADER = f"Bn4Mq7{OURS}Ws9Xc2Vd5F"
PROXY = f"Hj6Kl1{OURS}Zx8Cv3Bn5M"
PASSWORD = f"Yt5Re8{OURS}Wq1Po4Iu7A"
PLANTED = {
    "key": KEY[8:-4],  # without the beginning and the end, which `config get` may show
    "token": f"Ui4Op9{OURS}",
    "header": HEADER[:-4],
    "proxy password": PROXY[:-4],
    "password": PASSWORD[:-4],
}
ENVIRON = {"DB_PASSWORD": PASSWORD, "COLUMNS": "200"}


def _echo(exchange: Exchange) -> None:
    """Refuse, and repeat in it every header of the request, as a badly made server may."""
    seen = " ".join(f"{name}={value}" for name, value in exchange.request.headers.items())
    exchange.reply(*error(500, f"cannot serve {seen} {exchange.request.body.decode()}"))


def _lead_away(exchange: Exchange) -> None:
    headers = exchange.request.headers
    told = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
    exchange.reply(302, b"", {"Location": f"https://elsewhere.example/{told}?x={HEADER}"})


SERVERS = {"right": None, "echo": Behaviour(_echo), "away": Behaviour(_lead_away)}

OTHERS = [
    ["exec", "-v", "--tolerate", "1", "backup", "--", "sh", "-c", "echo $DB_PASSWORD; exit 1"],
    ["ping", "-v", "start", "backup"],
    ["flush", "--refused", "-v", "--wait", "0"],
    *(["runs"], ["runs", "--stats"], ["runs", "--stats", "--json"]),
    *(["logs"], ["logs", "--json"], ["logs", "--local"], ["logs", "--remote"]),
    *(["config", "list"], ["config", "list", "--json"], ["config", "check"]),
    *(["config", "get", key] for key in ("proxy", "headers", "token_command", "api_key_file")),
    *(["config", "set", "keep_days", "9"], ["doctor", "--json"]),
]
"""Every other command that has to do with secrets; a server that is right is no danger there."""


class Watch:
    """Looks into every process of this machine for as long as it lasts.

    found: what was in an argument, or in the environment of a process where no user has
    put it: the planted password alone is a variable here.
    """

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.looked = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            for folder in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    self._look(folder)
            self.looked += 1

    def _look(self, folder: Path) -> None:
        words, environ = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        for what, secret in PLANTED.items():
            if secret.encode() in words:
                self.found.add(f"{what} in {words!r}")
            if what != "password" and secret.encode() in environ:
                self.found.add(f"{what} in the environment of {words!r}")


@pytest.fixture
def config(home: Path, api: ApiServer) -> Path:
    """A config with every kind of secret; they are in it, and in the two files that it names."""
    folder = home / ".config/crontify"
    folder.mkdir(parents=True, mode=0o700)
    settings = (
        f'api_key_file = "key"\ntoken_command = ["cat", "{folder}/token"]\n'
        f'base_url = "{api.url}"\nproxy = "http://me:{PROXY}@127.0.0.1:{api.port}"\n'
        f'report_timeout = 0\nredact = ["c[a]rd"]\n[headers]\nX-Team = "{HEADER}"\n'
        '[monitors.backup]\nid = "clbackup"\n'
    )
    for name, text in (("key", KEY), ("token", TOKEN), ("config.toml", settings)):
        file = folder / name
        file.touch(0o600)
        file.write_text(text)
    return folder


def leaks(text: str) -> list[str]:
    return [what for what, secret in PLANTED.items() if secret in text]


def left_behind(home: Path, own: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file with its content but those that hold the secrets by design."""
    for file in home.rglob("*"):
        if file.is_file() and file.parent != own:
            yield file, file.read_bytes()


@pytest.mark.parametrize("server", SERVERS)
def test_no_secret_is_seen_in_any_output_file_or_process(
    crontify: Crontify, api: ApiServer, config: Path, home: Path, tmp_path: Path, server: str
) -> None:
    api.key, api.token = KEY, TOKEN
    if behaviour := SERVERS[server]:
        api.choose = lambda _: behaviour
    log = tmp_path / "log"
    log.write_text(f"password is {PASSWORD}, key is {KEY}\n")
    shout = f"echo $DB_PASSWORD; cat {config}/*; echo card >&2; exit 3"
    watch = Watch()
    said: dict[str, str] = {}

    def note(*args: str) -> None:
        # With a stream of its own it is a program of its own, whose arguments the watch sees.
        done = crontify(*args, env=ENVIRON, stdin=subprocess.DEVNULL)
        out = "" if args[0] == "exec" else done.stdout  # what the job itself prints is its own
        err = "".join(line for line in done.stderr.splitlines(True) if line.startswith("crontify"))
        said[" ".join(args)] = out + (err if args[0] == "exec" else done.stderr)

    with watch.running():
        note("exec", "-v", "backup", "--", "sh", "-c", shout)
        note("ping", "-v", "fail", "backup", "--message", f"as {PASSWORD}", "--log", str(log))
        note("flush", "-v", "--wait", "0")
        note("runs", "--json")
        note("logs", "--raw")
        note("doctor")
        for words in OTHERS if server == "echo" else []:
            note(*words)
    assert watch.looked > 5
    typed = {what for what in watch.found if "--message" in what}
    assert typed, "the watch sees what a user types as an argument"
    assert watch.found - typed == set()
    assert {command: found for command, text in said.items() if (found := leaks(text))} == {}
    kept = list(left_behind(home, config))
    assert {file: found for file, data in kept if (found := leaks(data.decode("latin-1")))} == {}
    assert {"journal.db"} < {file.name for file, _ in kept}
    assert any(file.suffix == ".log" for file, _ in kept)


def test_what_is_left_behind_is_its_owners_alone(
    crontify: Crontify, api: ApiServer, config: Path, home: Path
) -> None:
    """Whatever the umask; while a job runs and after it."""
    env = {**ENVIRON, "CRONTIFY_API_KEY": "ck_live_wrong"}
    wait = 'touch on; echo x >> "$CRONTIFY_META"; read x'
    job = subprocess.Popen(
        [*PROGRAM, "exec", "-v", "backup", "--", "sh", "-c", wait],
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=home.parent,
        umask=0,
    )
    until_exists(home.parent / "on")
    state = home / ".local/state/crontify"
    until((state / "journal.db").exists, "the journal is made")
    modes(state)
    job.communicate(b"\n")
    broken = home.parent / "site"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import crontify_cli.config as module\ndef fail(*_, **__): raise KeyError\n"
        "module.load = fail\n"
    )
    crontify("runs", "x", env={"PYTHONPATH": str(broken)}, umask=0)
    crontify("config", "set", "keep_days", "8", umask=0)
    assert list((state / "errors").iterdir())
    modes(state)
    modes(config)


def modes(folder: Path) -> None:
    open_ones = {
        file: oct(stat.S_IMODE(file.stat().st_mode))
        for file in (folder, *folder.rglob("*"))
        if file.exists() and file.stat().st_mode & 0o077
    }
    assert open_ones == {}


def test_the_traceback_of_an_internal_error_has_none_either(
    crontify: Crontify, config: Path, home: Path
) -> None:
    broken = home.parent / "site"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import os, crontify_cli.delivery.api as module\n"
        "def fail(settings, key, token=None):\n"
        "    headers = {name: text.reveal() for name, text in settings.headers.items()}\n"
        "    raise ValueError(f'{key} {token} {headers} {settings.proxy.reveal()} {os.environ}')\n"
        "module.open_api = fail\n"
    )
    env = {**ENVIRON, "PYTHONPATH": str(broken)}
    for args in (["doctor"], ["flush", "-v"], ["ping", "fail", "backup"], ["logs", "backup", "r"]):
        done = crontify(*args, env=env)
        assert done.returncode == 70, (args, done)
        assert leaks(done.stdout + done.stderr) == []
    done = crontify("exec", "-v", "backup", "--", "true", env=env)
    assert leaks(done.stderr) == []
    files = list((home / ".local/state/crontify/errors").iterdir())
    assert len(files) >= 4
    for file in files:
        assert "Traceback" in file.read_text()
        assert leaks(file.read_text()) == []


def test_a_secret_that_is_typed_or_piped_in_is_not_shown(crontify: Crontify, home: Path) -> None:
    shown = ""
    for key, secret in (("api_key", KEY), ("token", TOKEN), ("headers.X-A", HEADER)):
        done = crontify("config", "set", key, input=secret)
        assert done.returncode == 0
        shown += done.stdout + done.stderr + crontify("config", "get", key).stdout
    done = crontify("init", input=f"{KEY}\nbackup=clxxx\n/srv/job\nn\n")
    shown += done.stdout + done.stderr + screen(["config", "list"]) + screen(["doctor"])
    assert leaks(shown) == []
    modes(home / ".config/crontify")
