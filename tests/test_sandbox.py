"""The sandbox's four endpoints, from outside, as the seed document has them."""

import json
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Crontify
from tests.programs import PROGRAM
from tests.sandbox_process import Sandbox


def ask(
    method: str, url: str, headers: dict[str, str], body: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def ping(
    sandbox: Sandbox, kind: str, body: object = None, monitor: str = "clnightly", key: str = ""
) -> tuple[int, dict[str, Any]]:
    headers = {"X-API-Key": key or sandbox.api_key}
    if body is not None:
        headers["Content-Type"] = "application/json"
    data = None if body is None else json.dumps(body).encode()
    return ask("POST", f"{sandbox.url}/ping/{monitor}/{kind}", headers, data)


@pytest.mark.parametrize(
    ("kind", "status"), [("start", "running"), ("success", "success"), ("fail", "failed")]
)
def test_a_ping_is_answered_as_the_seed_shows(sandbox: Sandbox, kind: str, status: str) -> None:
    code, answer = ping(sandbox, kind)
    assert code == 200
    assert answer["success"] is True
    data = answer["data"]
    assert set(data) == {"received", "monitorId", "runId", "status", "timestamp"}
    assert (data["received"], data["monitorId"], data["status"]) == (True, "clnightly", status)
    assert re.fullmatch(r"cl[a-z0-9]+", data["runId"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", data["timestamp"])


def test_start_and_end_are_one_run(sandbox: Sandbox) -> None:
    run = ping(sandbox, "start")[1]["data"]["runId"]
    assert ping(sandbox, "success", {"meta": {"rows": 3}})[1]["data"]["runId"] == run
    (listed,) = sandbox.runs()
    assert (listed["id"], listed["status"], listed["meta"]) == (run, "success", {"rows": 3})


def test_a_wrong_or_missing_key_is_401(sandbox: Sandbox) -> None:
    assert ping(sandbox, "start", key="ck_live_wrong")[0] == 401
    assert ask("POST", f"{sandbox.url}/ping/clnightly/start", {})[0] == 401


def test_an_unknown_monitor_is_404(sandbox: Sandbox) -> None:
    assert ping(sandbox, "start", monitor="clother")[0] == 404


def test_a_log_comes_back_with_the_token_and_not_with_the_key(sandbox: Sandbox) -> None:
    run = ping(sandbox, "fail", {"logOutput": "Error: Connection refused\n at ..."})[1]["data"]
    url = f"{sandbox.url}/monitors/clnightly/runs/{run['runId']}/log"
    code, answer = ask("GET", url, {"Authorization": f"Bearer {sandbox.token}"})
    assert (code, answer) == (
        200,
        {"hasLog": True, "content": "Error: Connection refused\n at ..."},
    )
    assert ask("GET", url, {"X-API-Key": sandbox.api_key})[0] == 401
    assert ask("GET", url, {"Authorization": f"Bearer {sandbox.api_key}"})[0] == 401


def test_a_run_without_log_says_so(sandbox: Sandbox) -> None:
    run = ping(sandbox, "success")[1]["data"]["runId"]
    url = f"{sandbox.url}/monitors/clnightly/runs/{run}/log"
    answer = ask("GET", url, {"Authorization": f"Bearer {sandbox.token}"})
    assert answer == (200, {"hasLog": False, "content": None})


def test_the_head_of_a_log_is_kept_ten_thousand_units_of_it(sandbox: Sandbox) -> None:
    run = ping(sandbox, "fail", {"logOutput": "a" * 9_999 + "\U0001f600" + "b"})[1]["data"]["runId"]
    assert sandbox.log(run).startswith("a" * 9_999)
    assert len(sandbox.log(run).encode("utf-16-le")) <= 20_000


def test_a_monitor_added_beside_a_running_server_takes_pings(
    sandbox: Sandbox, tmp_path: Path, crontify: Crontify
) -> None:
    database = str(tmp_path / "sandbox.db")
    assert crontify("sandbox", "monitor", "add", "clsecond", "--db", database).returncode == 0
    assert ping(sandbox, "start", monitor="clsecond")[0] == 200
    token = crontify("sandbox", "token", "--db", database).stdout.strip()
    run = ping(sandbox, "fail", monitor="clsecond")[1]["data"]["runId"]
    url = f"{sandbox.url}/monitors/clsecond/runs/{run}/log"
    assert ask("GET", url, {"Authorization": f"Bearer {token}"})[0] == 200


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_the_first_start_prints_what_to_paste_and_warns_beyond_loopback(
    tmp_path: Path, host: str, warned: bool
) -> None:
    serve = ["sandbox", "serve", "--host", host, "--port", "0", "--until-stdin-closes"]
    done = subprocess.run(
        [*PROGRAM, *serve, "--db", str(tmp_path / "new.db")],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    shown = done.stdout + done.stderr
    for name in ("CRONTIFY_API_KEY", "CRONTIFY_TOKEN", "CRONTIFY_BASE_URL"):
        assert re.search(rf"export .*{name}=", shown), shown
    assert "ck_live_" in shown
    assert ("loopback" in done.stderr or "reach" in done.stderr) == warned, done.stderr
    assert (tmp_path / "new.db").stat().st_mode & 0o077 == 0
