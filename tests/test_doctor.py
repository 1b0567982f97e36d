"""`crontify doctor`: each thing that can be wrong is found, said and survived."""

import base64
import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from crontify_cli.cli.doctor.check import Check
from crontify_cli.cli.doctor.cron import Crontab, parse_crontab
from crontify_cli.cli.doctor.server import check_server
from crontify_cli.cli.doctor.settings import check_key, check_token
from crontify_cli.cli.doctor.state import check_state, judge_disk
from crontify_cli.config import load
from crontify_cli.delivery.journal import Journal
from crontify_cli.model import Ending, Ping, Run
from tests.conftest import Crontify
from tests.faults import deaf_url, hang_after_reading, redirect, refusing_url, self_signed
from tests.programs import PROGRAM
from tests.sandbox_process import Sandbox
from tests.screen import screen
from tests.server import KEY, TOKEN, ApiServer, answer, error
from tests.waiting import until, until_exists

CHECKS = [
    *("version", "config", "modes", "key", "base_url", "dns", "tls", "server", "clock", "token"),
    *("journal", "queue", "rate_limit", "disk", "cron_path", "cron_env", "crontab"),
    "interpreter",
]


class Found(NamedTuple):
    """The doctor's answer: exit code, and what was found, by check."""

    code: int
    by_check: dict[str, list[dict[str, Any]]]

    def __getitem__(self, check: str) -> str:
        """Return the lines of a check, each as `result: found -> advice`."""
        return "\n".join(
            f"{each['result']}: {each['found']} -> {each['advice']}"
            for each in self.by_check[check]
        )

    def failures(self) -> set[str]:
        return self._with("failure")

    def warnings(self) -> set[str]:
        return self._with("warning")

    def _with(self, result: str) -> set[str]:
        return {
            name
            for name, checks in self.by_check.items()
            if any(each["result"] == result for each in checks)
        }


Doctor = Callable[..., Found]


@pytest.fixture
def config(home: Path) -> Path:
    """A right config file, but for the address."""
    file = home / ".config/crontify/config.toml"
    file.parent.mkdir(parents=True, mode=0o700)
    file.touch(0o600)
    file.write_text(f'api_key = "{KEY}"\n')
    return file


@pytest.fixture
def crontab(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `crontab -l` prints: nobody's real one. HOME, since cron's is the real one, too."""
    table = tmp_path / "crontab.txt"
    program = Path(sys.executable).with_name("crontify")
    table.write_text(f"HOME={home}\n*/5 * * * * {program} exec backup -- true\n")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "crontab").write_text(f"#!/bin/sh\nexec cat {table}\n")
    (folder / "crontab").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    return table


@pytest.fixture
def doctor(crontify: Crontify, crontab: Path) -> Doctor:
    def run(**env: str) -> Found:
        done = crontify("doctor", "--json", env=env)
        assert done.stderr == ""
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in CHECKS}
        for each in json.loads(done.stdout):
            found[each["check"]].append(each)
        assert all(found.values()), "every check has a line"
        return Found(done.returncode, found)

    return run


@pytest.fixture
def at(config: Path) -> Callable[[str], None]:
    """Write another base URL into the config file, and whatever else."""

    def write(url: str, more: str = "") -> None:
        config.write_text(f'api_key = "{KEY}"\nbase_url = "{url}"\n{more}')

    return write


At = Callable[..., None]


def server() -> Found:
    """Return what the doctor says of the server, asked in this process."""
    return _by_check(check_server(load().settings))


def state(home: Path) -> Found:
    """Return what it says of the state directory."""
    return _by_check(check_state(str(home / ".local/state/crontify"), load().settings))


def _by_check(checks: Iterable[Check]) -> Found:
    found: dict[str, list[dict[str, Any]]] = {}
    for check in checks:
        found.setdefault(check.check, []).append(check._asdict())
    return Found(0, found)


def said(check: Check) -> str:
    return f"{check.result}: {check.found} -> {check.advice}"


def test_with_the_sandbox_all_is_well_and_nothing_there_has_changed(
    doctor: Doctor, at: At, crontify: Crontify, sandbox: Sandbox
) -> None:
    at(sandbox.url, f'token = "{sandbox.token}"')
    before = sandbox.runs()
    found = doctor()
    assert found.code == 0
    assert found.failures() == found.warnings() == set()
    assert "answers within" in found["server"]
    assert found["clock"] == "ok: agrees with the server's clock -> None"
    assert "valid until" in found["token"]
    assert sandbox.runs() == before == []
    assert crontify("exec", "clnightly", "--", "true").returncode == 0
    assert "1 run" in doctor()["journal"]


def test_it_sends_no_ping_and_shows_the_key_to_nobody(
    doctor: Doctor, at: At, api: ApiServer
) -> None:
    at(api.url, f'token = "{TOKEN}"')
    doctor()
    assert {request.method for request in api.requests} == {"GET"}
    assert not [request for request in api.requests if "/ping/" in request.path]
    assert not [request for request in api.requests if KEY in str(request.headers)]


def test_its_shape_is_the_documented_one(crontify: Crontify, doctor: Doctor, at: At) -> None:
    document = (Path(__file__).parent.parent / "docs/output.md").read_text()
    keys, checks = (
        document.split("crontify doctor --json`\n")[1].split("\n## ")[0].split("| Check |")
    )
    with refusing_url() as url:
        at(url)
        found = json.loads(crontify("doctor", "--json").stdout)
        lines = crontify("doctor").stdout.splitlines()
    assert re.findall(r"^\| `(\w+)`", keys, re.MULTILINE) == list(found[0])
    assert re.findall(r"^\| `(\w+)`", checks, re.MULTILINE) == CHECKS
    assert list(dict.fromkeys(each["check"] for each in found)) == CHECKS
    assert [line.split("\t")[:2] for line in lines] == [
        [each["result"], each["check"]] for each in found
    ]
    assert {len(line.split("\t")) for line in lines} == {4}


def test_a_dead_port_is_one_failure(doctor: Doctor, at: At) -> None:
    with refusing_url() as url:
        at(url)
        found = doctor()
    assert found.code == 1
    assert found.failures() == {"server"}
    assert "Connection refused" in found["server"]
    assert found["dns"].startswith("ok: 127.0.0.1 is an IP address")
    assert found["clock"].startswith("skipped")


def test_a_server_that_hangs_is_given_up(at: At, api: ApiServer) -> None:
    at(api.url, "http_timeout = 0.5")
    api.script(hang_after_reading)
    assert server()["server"].startswith(f"failure: no answer from 127.0.0.1:{api.port} within")
    with deaf_url() as url:
        at(url, "connect_timeout = 0.5")
        assert "no connection to" in server()["server"]


def test_a_name_that_nobody_knows_is_told_from_a_server_that_is_away(at: At) -> None:
    at("https://no-such-host.invalid/api/v1", "connect_timeout = 2\nhttp_timeout = 2")
    found = server()
    assert found.failures() == {"dns"}
    assert "getent hosts no-such-host.invalid" in found["dns"]
    assert found["tls"].startswith("skipped")
    assert found["server"].startswith("skipped")


def test_a_certificate_is_trusted_or_not(at: At, tmp_path: Path) -> None:
    made = self_signed(tmp_path)
    with ApiServer(tls=made) as api:
        at(api.url)
        found = server()
        assert found.failures() == {"tls"}
        assert "its certificate is not trusted: self-signed certificate" in found["tls"]
        assert "ca_bundle" in found["tls"]
        assert found["server"].startswith("skipped")
        at(api.url, f'ca_bundle = "{made.certificate}"')
        found = server()
        assert found["tls"].startswith("warning: TLSv1.")  # that one is good for two days
        assert "certificate issued by 127.0.0.1, valid until 20" in found["tls"]
        assert found["server"].startswith("ok: answers within")
    other = self_signed(tmp_path, "elsewhere.example")
    with ApiServer(tls=other) as api:
        at(api.url, f'ca_bundle = "{other.certificate}"')
        assert "IP address mismatch" in server()["tls"]
    with ApiServer() as api:
        at(api.url.replace("http:", "https:"))
        found = server()
        assert found.failures() == {"tls"}
        assert "https:// server" in found["tls"]
    at("https://127.0.0.1:1", 'ca_bundle = "/no/such/file"')
    assert "cannot read certificates" in server()["base_url"]


@pytest.mark.parametrize(
    ("off", "result"), [(20, "ok"), (120, "warning"), (-120, "warning"), (3600, "failure")]
)
def test_the_clock_is_held_against_the_servers(
    at: At, api: ApiServer, off: int, result: str
) -> None:
    at(api.url)
    date = formatdate(time.time() - off, usegmt=True)
    api.choose = lambda _: answer(404, b"{}", {"Date": date})
    found = server()["clock"]
    assert found.startswith(result)
    if result != "ok":
        assert ("ahead of" if off > 0 else "behind") in found


def test_only_the_api_itself_is_ok(at: At, api: ApiServer) -> None:
    at(api.url)
    assert server()["server"].startswith("ok: answers within")
    page = b"<!DOCTYPE html><title>Sign in</title>"
    for right in (
        answer(401),
        answer(429),
        answer(*error(404, "Monitor not found")),
        answer(200, {"hasLog": False, "content": None}),
    ):
        api.choose = lambda _, right=right: right  # type: ignore[misc]
        assert server()["server"].startswith("ok: answers within")
    for wrong, words in {
        answer(200, page): "answered a web page, not the API -> check base_url",
        answer(200): "answered something that is not the API -> check base_url",
        answer(200, {"success": True}): "answered something that is not the API",
        answer(403, page): "answered a web page, not the API",
        answer(*error(404, "Cannot GET /x")): "has no API at this address (404: Cannot GET /x)",
        answer(404): "has no API at this address (404: Not Found)",
    }.items():
        api.choose = lambda _, wrong=wrong: wrong  # type: ignore[misc]
        assert server()["server"].startswith(f"failure: 127.0.0.1:{api.port} {words}")
    api.choose = lambda _: answer(503, {"message": "back at noon"})
    found = server()
    assert found.failures() == set()
    assert "503 back at noon" in found["server"]
    api.choose = lambda _: redirect("https://elsewhere.example/api")
    assert "redirects to https://elsewhere.example/api" in server()["server"]


def test_a_proxy_is_asked_and_named(at: At, api: ApiServer) -> None:
    at("http://api.example/api/v1", f'proxy = "http://me:hunter2hunter2@127.0.0.1:{api.port}"')
    found = server()
    assert found["base_url"].startswith("failure")  # plain http to another host
    api.choose = lambda _: answer(401)
    at("http://api.example/api/v1", f'allow_http = true\nproxy = "http://127.0.0.1:{api.port}"')
    found = server()
    assert found["base_url"].startswith("warning")
    assert f"through the proxy 127.0.0.1:{api.port}" in found["server"]
    assert "hunter2" not in str(found)


def test_a_broken_config_is_a_line_a_problem(doctor: Doctor, config: Path) -> None:
    config.write_text("api_key = ")
    found = doctor()
    assert found.code == 1
    assert f"{config}: not valid TOML" in found["config"]
    config.write_text(f'api_key = "{KEY}"\nkeep_runz = 1\ntimeout = "soon"\n')
    problems = [each["found"] for each in doctor().by_check["config"]]
    assert len(problems) == 2
    assert "did you mean keep_runs?" in problems[0]
    assert doctor(CRONTIFY_CONFIG="/no/such")["config"].startswith("failure")


def test_open_files_are_named_and_how_to_close_them(
    doctor: Doctor, at: At, api: ApiServer, config: Path, home: Path, crontify: Crontify
) -> None:
    at(api.url)
    crontify("exec", "m", "--", "echo", "x")
    folder = home / ".local/state/crontify"
    assert doctor()["modes"].startswith("ok")
    backup = config.with_name("config.toml.bak")
    backup.write_text(f'api_key = "{KEY}"')
    config.chmod(0o644)
    (folder / "journal.db").chmod(0o640)
    found = doctor()
    advice = [each["advice"] for each in found.by_check["modes"]]
    assert advice == [f"chmod 600 {config}", f"chmod 600 {backup}", f"chmod -R go= {folder}"]
    assert (found.code, found.warnings()) == (0, {"modes"})
    for command in advice:
        subprocess.run(command.split(), check=True)
    assert doctor()["modes"].startswith("ok")
    assert stat.S_IMODE((folder / "journal.db").stat().st_mode) == 0o600


def test_a_state_directory_of_somebody_else_is_a_failure(
    crontify: Crontify, config: Path, crontab: Path, home: Path
) -> None:
    """As after a run by sudo. Root may write everywhere, but not without its capabilities."""
    folder = home / ".local/state/crontify"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "journal.db").touch(0o400)
    folder.chmod(0o500)
    program = [*PROGRAM, "doctor"]
    if os.geteuid() == 0:
        program = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *program]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    folder.chmod(0o700)
    assert done.returncode == 1
    assert f"{folder} and 1 more: you have no write access" in done.stdout
    assert f"sudo chown -R {os.geteuid()} {folder}" in done.stdout


@pytest.mark.parametrize(
    ("text", "result", "says"),
    [
        ("ck_live_Zq8Vt3Nw6Rx1Ky5P1234", "ok", "ck_live_…1234"),
        (TOKEN, "failure", "a user token, not an API key"),
        ("Zq8Vt3Nw6Rx1Ky5P1234", "warning", "it does not start with ck_live_"),
        ("two words", "failure", "no API key"),  # and the reason is in `config`
    ],
)
def test_the_keys_shape(monkeypatch: pytest.MonkeyPatch, text: str, result: str, says: str) -> None:
    monkeypatch.setenv("CRONTIFY_API_KEY", text)
    found = said(check_key(load().settings))
    assert found.startswith(result)
    assert says in found
    assert text not in found


def test_a_key_that_cannot_be_had_is_said_with_its_place(config: Path) -> None:
    config.write_text("")
    assert "crontify init" in said(check_key(load().settings))
    config.write_text('api_key_file = "/no/such"')
    assert "cannot read /no/such" in said(check_key(load().settings))
    config.write_text('api_key_command = "false"')
    assert "exited with code 1" in said(check_key(load().settings))


def jwt(end: float | None) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": end} if end else {}).encode()).decode()
    return f"eyJhbGciOiJIUzI1NiJ9.{claims.rstrip('=')}.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("seconds", "result", "says"),
    [
        (-7200, "failure", "expired 2h ago"),
        (86400, "warning", "valid until"),
        (86400 * 30, "ok", "valid until"),
        (None, "ok", "does not expire"),
    ],
)
def test_the_tokens_end(
    monkeypatch: pytest.MonkeyPatch, seconds: int | None, result: str, says: str
) -> None:
    token = jwt(None if seconds is None else time.time() + seconds)
    monkeypatch.setenv("CRONTIFY_TOKEN", token)
    found = said(check_token(load().settings))
    assert found.startswith(result)
    assert says in found


@pytest.mark.parametrize(
    ("text", "result", "says"),
    [
        (KEY, "failure", "a user token is required"),
        ("abcdefgh12345678", "warning", "does not look like a token"),
        ("", "ok", "copies on this machine"),
    ],
)
def test_what_is_no_token_has_no_end(
    monkeypatch: pytest.MonkeyPatch, text: str, result: str, says: str
) -> None:
    monkeypatch.setenv("CRONTIFY_TOKEN", text)
    found = said(check_token(load().settings))
    assert found.startswith(result)
    assert says in found


def test_a_token_that_the_server_does_not_take_is_a_failure(
    doctor: Doctor, at: At, api: ApiServer
) -> None:
    at(api.url, f'token = "{TOKEN}"')
    assert doctor()["token"].startswith("ok")
    api.token = "another"
    assert "rejects the token (401: Unauthorized)" in doctor()["token"]


def test_a_corrupt_journal_is_said_and_left_as_it_is(
    doctor: Doctor, at: At, api: ApiServer, home: Path, crontify: Crontify
) -> None:
    at(api.url)
    crontify("exec", "m", "--", "true")
    file = home / ".local/state/crontify/journal.db"
    db = sqlite3.connect(file)
    db.execute("PRAGMA wal_checkpoint")  # else the pages that count are in the -wal
    db.close()
    content = file.read_bytes()
    for broken in (b"no database at all", content[:4096] + os.urandom(8192) + content[12288:]):
        file.write_bytes(broken)
        found = doctor()
        assert found.failures() == {"journal"}
        assert "will set it aside" in found["journal"]
        assert found["queue"].startswith("skipped")
        assert file.read_bytes() == broken
    crontify("exec", "m", "--", "true")
    found = doctor()
    assert (found.code, found.warnings()) == (0, {"journal"})
    assert "was corrupt and was set aside" in found["journal"]


def test_a_journal_whose_path_is_not_utf8_is_examined(home: Path) -> None:
    named = Path(os.fsdecode(os.fsencode(home) + b"/h\xf6me?#%41"))
    Journal.open(str(named / ".local/state/crontify")).close()
    assert state(named)["journal"].startswith("ok")


def test_a_journal_of_a_newer_version_is_said(home: Path) -> None:
    folder = home / ".local/state/crontify"
    Journal.open(str(folder)).close()
    db = sqlite3.connect(folder / "journal.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    assert "of version 99" in state(home)["journal"]


def queue(folder: Path, url: str, count: int, ago: float, error: str | None = None) -> None:
    journal = Journal.open(str(folder))
    for number in range(count):
        run = Run(
            f"{number:06x}{abs(hash(url)) % 2**24:06x}",
            *("m", "m", url, ("job",), (1, 1), (1, 1), "boot", time.time() - ago),
        )
        ending = Ending("success", "exited with code 0", 0, time.time() - ago, 1.0)
        report = journal.finish(run, ending, Ping("m", "success"), None)
        if report and error:
            journal.settle(report, "queued", error=error)
    journal.close()


def test_a_queue_is_a_blip_an_outage_or_about_to_be_lost(
    doctor: Doctor, at: At, api: ApiServer, home: Path
) -> None:
    folder = home / ".local/state/crontify"
    at(api.url)
    assert state(home)["queue"] == "ok: empty -> None"
    queue(folder, api.url, 3, 7261, "no answer from x within 10s")
    found = doctor()
    assert (found.code, found.warnings()) == (0, {"queue"})
    assert "3 reports queued, the oldest for 2h1m: no answer from x" in found["queue"]
    assert "'crontify queue' shows them, 'crontify flush' sends them" in found["queue"]
    at(api.url, "keep_runs = 3")
    assert state(home)["queue"].startswith("failure")
    assert "reports above keep_runs (3)" in state(home)["queue"]
    shutil.rmtree(folder)
    queue(folder, api.url, 1, 2 * 86400)
    at(api.url)
    found = doctor()
    assert (found.code, found.failures()) == (1, {"queue"})


def test_reports_for_another_server_are_pointed_out(at: At, home: Path) -> None:
    at("https://new.example/api")
    queue(home / ".local/state/crontify", "https://old.example/api", 2, 7261)
    found = state(home)["queue"]
    assert (
        "2 reports queued for another server, https://old.example/api, the oldest for 2h1m"
    ) in found
    assert "'CRONTIFY_BASE_URL=https://old.example/api crontify flush' sends them" in found


def test_refused_reports_and_dead_runs_are_in_the_queues_line(
    at: At, api: ApiServer, home: Path, crontify: Crontify, tmp_path: Path
) -> None:
    at(api.url)
    api.choose = lambda request: (
        answer(*error(404, "Monitor not found")) if request.method == "POST" else None
    )
    crontify("exec", "m", "--", "true")
    found = state(home)["queue"]
    assert "refused 1 report" in found
    assert "crontify flush --refused" in found
    job = subprocess.Popen(
        [*PROGRAM, "exec", "m", "--", "sh", "-c", "touch on; read x"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
    )
    until_exists(tmp_path / "on")
    assert "died" not in state(home)["queue"]
    job.kill()
    job.communicate()
    until(
        lambda: "1 report queued (1 of runs that died)" in state(home)["queue"], "the job is dead"
    )


@pytest.mark.parametrize(
    ("free", "files", "result", "says"),
    [
        (10**11, 10**6, "ok", "100 GB free at /x"),
        (10**11, None, "ok", "100 GB free"),
        (30 * 10**6, 10**6, "warning", "30 MB free"),
        (10**6, 10**6, "failure", "free some disk space"),
        (10**11, 7, "warning", "for 7 more files"),
        (10**11, 0, "failure", "for 0 more files"),
    ],
)
def test_a_full_disk(free: int, files: int | None, result: str, says: str) -> None:
    check = judge_disk("/x", free, files)
    assert check.result == result
    assert says in f"{check.found} {check.advice}"


def test_without_a_home_the_rest_is_still_checked(doctor: Doctor, api: ApiServer) -> None:
    found = doctor(HOME="", CRONTIFY_API_KEY=KEY, CRONTIFY_BASE_URL=api.url)
    assert found["server"].startswith("ok")


def test_what_cron_will_find_by_name(
    doctor: Doctor, at: At, api: ApiServer, crontab: Path, home: Path, tmp_path: Path
) -> None:
    at(api.url)
    program = Path(sys.executable).with_name("crontify")
    assert f"cron finds {program} (PATH=" in doctor()["cron_path"]
    crontab.write_text(f"HOME={home}\n* * * * * crontify exec m -- true\n")
    found = doctor()
    assert "failure: cron does not find crontify (PATH=/usr/bin:/bin)" in found["cron_path"]
    assert str(program) in found["cron_path"]
    crontab.write_text(f"HOME={home}\nPATH={program.parent}:/bin\n* * * * * crontify flush\n")
    assert doctor()["cron_path"].startswith("ok")
    crontab.write_text(f"HOME={home}\n* * * * * /gone/bin/crontify exec m -- true\n")
    assert "failure: cron does not find /gone/bin/crontify" in doctor()["cron_path"]
    crontab.write_text(f"HOME={home}\n# crontify\n* * * * * /bin/true\n")
    assert "warning: cron does not find crontify (PATH=" in doctor()["cron_path"]


def test_what_only_this_shell_has_is_pointed_out(
    doctor: Doctor, config: Path, api: ApiServer, home: Path, crontab: Path, tmp_path: Path
) -> None:
    config.write_text(f'base_url = "{api.url}"\n')
    found = doctor(CRONTIFY_API_KEY=KEY)
    assert found.failures() == {"cron_env"}
    assert "under cron there is no API key" in found["cron_env"]
    config.write_text(f'api_key = "{KEY}"\n')
    assert "base_url: differs under cron" in doctor(CRONTIFY_BASE_URL=api.url)["cron_env"]
    config.write_text(f'api_key = "{KEY}"\nbase_url = "{api.url}"\n')
    assert doctor()["cron_env"].startswith("ok: the same settings, key and state")
    elsewhere = str(tmp_path / "elsewhere")
    assert f"not {elsewhere}" in doctor(CRONTIFY_STATE_DIR=elsewhere)["cron_env"]
    proxy = {"https_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"}
    assert "https_proxy, no_proxy: set here, but not" in doctor(**proxy)["cron_env"]
    crontab.write_text(f"HOME={tmp_path}\n")
    assert f"HOME is {home} here and {tmp_path} under cron" in doctor()["cron_env"]


def test_a_percent_sign_in_the_crontab_is_pointed_out(
    doctor: Doctor, at: At, api: ApiServer, crontab: Path, home: Path
) -> None:
    at(api.url)
    assert doctor()["crontab"].startswith("ok")
    program = Path(sys.executable).with_name("crontify")
    job = f"* * * * * {program} exec m -- date"
    crontab.write_text(f"HOME={home}\n{job}\n* * * * * /bin/date +%s\n")
    assert doctor()["crontab"].startswith("ok")
    crontab.write_text(f"HOME={home}\n{job} +%s\n")
    found = doctor()
    assert found["crontab"].startswith("warning: line 2: ")
    assert "%" in found["crontab"]
    assert found["crontab"].endswith("-> crontify crontab check")


def test_only_what_was_checked_is_called_private(
    doctor: Doctor, config: Path, home: Path, api: ApiServer
) -> None:
    config.write_text(f'base_url = "{api.url}"\napi_key_file = "{home}/key"\n')
    (home / "key").write_text(KEY)
    (home / "key").chmod(0o600)
    config.chmod(0o644)
    private = "ok: no other user can read a secret in the config file or the file of the key"
    assert doctor()["modes"].startswith(private)
    (home / "key").chmod(0o644)
    assert doctor()["modes"].startswith(f"warning: {home}/key is the api_key_file and is readable")


def test_a_key_command_that_needs_this_shell_is_tried_as_cron_would(
    doctor: Doctor, config: Path, api: ApiServer, tmp_path: Path
) -> None:
    command = tmp_path / "mine" / "give-key"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\necho {KEY}\n")
    command.chmod(0o755)
    config.write_text(f'base_url = "{api.url}"\napi_key_command = "give-key"\n')
    found = doctor(PATH=f"{command.parent}:{os.environ['PATH']}")
    assert found["key"].startswith("ok")
    assert "cannot run give-key" in found["cron_env"]


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("PATH=/a:/b", {"PATH": "/a:/b"}),
        (' A = "b c" ', {"A": "b c"}),
        ("'A'='b'", {"A": "b"}),
        ('A=""', {"A": ""}),
        ("* * * * * A=1 job", {}),
        ("# A=1", {}),
        ("@reboot A=1 job", {}),
    ],
)
def test_variables_of_a_crontab(line: str, settings: dict[str, str]) -> None:
    assert parse_crontab(f"{line}\n".encode()) == Crontab(settings, ())


@pytest.mark.parametrize("columns", [30, 80, 140])
def test_on_a_terminal_it_fits_and_ends_with_a_sum(at: At, crontab: Path, columns: int) -> None:
    with refusing_url() as url:
        at(url)
        lines = screen(["doctor"], columns, {"TERM": "dumb"}).splitlines()
        coloured = screen(["doctor"], columns)
    assert max(map(len, lines)) <= columns
    assert "1 failure" in lines[-1]
    assert "\x1b" not in "".join(lines)
    assert "\x1b[1;31mfailure" in coloured
    assert re.search(r"failure +server", "\n".join(lines))
    if columns > 30:
        assert re.search(r"ok +interpreter ", "\n".join(lines))
