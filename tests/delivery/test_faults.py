"""Whatever the server does: the job runs once, and in the end no outcome is missing or false."""

import os
import signal
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from tests import faults
from tests.conftest import Crontify
from tests.programs import PROGRAM, need
from tests.server import KEY, ApiServer, Behaviour, Request, answer
from tests.waiting import until

JOB = 'echo once >> "ran-$0"; echo why; exit 3'
STATUSES = [302, 308, 400, 401, 403, 404, 422, 408, 425, 429, 500, 502, 503, 504, 599]
FAULTS = {
    "hangs": faults.hang_after_reading,
    "closes": faults.close,
    "resets": faults.reset,
    "resets-mid-body": faults.reset_mid_body,
    "takes-and-hangs": faults.taken_then(faults.hang_after_reading),
    "takes-and-resets": faults.taken_then(faults.reset),
    "garbage": faults.taken_then(faults.garbage),
    "empty": faults.taken_then(faults.empty),
    "endless": faults.taken_then(faults.flood(100_000_000)),
    "endless-500": faults.flood(100_000_000, 500),
    "trickles": faults.trickle(),
    "trickles-headers": faults.taken_then(faults.trickle(b"HTTP/1.1 200 OK\r\n" + b"x" * 60)),
    **{f"status-{status}": answer(status, {"message": "why not"}) for status in STATUSES},
}


def monitor_of(request: Request) -> str:
    return request.path.split("/")[4]


def run_each(names: list[str], env: dict[str, str], folder: Path) -> None:
    """Run the job once for each monitor, at the same time; its exit code comes back."""
    command = [*PROGRAM, "exec"]
    environ = {**os.environ, **env}
    runs = {
        name: subprocess.Popen(
            [*command, name, "--", "sh", "-c", JOB, name],
            cwd=folder,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    }
    for name, run in runs.items():
        _, said = run.communicate(timeout=120)
        assert run.returncode == 3, name
        assert "Traceback" not in said
        assert KEY not in said
        assert (folder / f"ran-{name}").read_text() == "once\n", name


def test_every_fault_and_every_status(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    impatient: dict[str, str],
    tmp_path: Path,
) -> None:
    api.choose = lambda request: FAULTS[monitor_of(request)]
    names = list(FAULTS)
    for at in range(0, len(names), 9):
        run_each(names[at : at + 9], impatient, tmp_path)
    api.heal()
    assert crontify("flush", "--refused", env=env).returncode == 0
    sent = defaultdict(list)
    for request in api.accepted:
        sent[monitor_of(request)].append(request)
    for name in names:
        kinds = [request.kind for request in sent[name]]
        assert "start" not in kinds[1:], (name, kinds)  # no second one, none after its end
        assert set(kinds) - {"start"} == {"fail"}, (name, kinds)
        messages = {request.json["errorMessage"].rpartition(") ")[2] for request in sent[name][-1:]}
        assert messages == {"exited with code 3: why"}, name
    starts = [monitor_of(request) for request in api.requests if request.kind == "start"]
    for name in ("hangs", "closes", "resets", "takes-and-hangs", "takes-and-resets"):
        assert starts.count(name) <= 1, f"{name}: its start may have arrived"


@pytest.mark.parametrize("fault", [faults.hang_before_reading, faults.reset_before_reading])
def test_a_connection_of_which_nothing_is_read(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    impatient: dict[str, str],
    tmp_path: Path,
    fault: Behaviour,
) -> None:
    api.script(*[fault] * 50)
    run_each(["backup"], impatient, tmp_path)
    api.heal()
    assert crontify("flush", env=env).returncode == 0
    assert [request.kind for request in api.accepted] == ["fail"]


def test_a_server_that_is_away_or_deaf(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    impatient: dict[str, str],
    tmp_path: Path,
) -> None:
    api.down()
    run_each(["away"], impatient, tmp_path)
    api.up()
    assert crontify("flush", env=env).returncode == 0
    assert [request.kind for request in api.accepted] == ["fail"]
    with faults.deaf_url() as url:
        run_each(["deaf"], {**impatient, "CRONTIFY_BASE_URL": url}, tmp_path)
        left = crontify("flush", "--wait", "0", env={**impatient, "CRONTIFY_BASE_URL": url})
        assert left.returncode == 75


def test_a_redirect_to_another_host_gets_neither_the_key_nor_the_report(
    crontify: Crontify, api: ApiServer, env: dict[str, str]
) -> None:
    with ApiServer() as other:
        for status in (301, 302, 303, 307, 308):
            api.script(faults.redirect(f"{other.url}/ping/backup/fail", status), kind="fail")
            done = crontify("exec", "backup", "--", "false", env=env)
            assert done.returncode == 1
            assert f"redirects to {other.url}/ping/backup/fail: check base_url" in done.stderr
        assert other.connections == 0
    assert crontify("flush", "--refused", env=env).returncode == 0
    fails = [request.json["meta"] for request in api.accepted if request.kind == "fail"]
    assert sum(meta.get("late_failures", 1) for meta in fails) == 5


def test_a_server_with_a_wrong_certificate_never_sees_the_key(
    crontify: Crontify, impatient: dict[str, str], tmp_path: Path
) -> None:
    need("openssl")
    certificate = faults.self_signed(tmp_path)
    with ApiServer(tls=certificate) as secure:
        env = {**impatient, "CRONTIFY_BASE_URL": secure.url}
        run_each(["backup"], env, tmp_path)
        assert secure.requests == []
        said = crontify("flush", "-v", "--wait", "0", env=env)
        assert said.returncode == 75
        assert "its certificate is not trusted" in said.stderr
        trusting = {**env, "SSL_CERT_FILE": str(certificate.certificate)}
        assert crontify("flush", env=trusting).returncode == 0
        assert [request.kind for request in secure.accepted] == ["fail"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_a_wait_for_the_rate_limit_leaves_the_report_queued(
    crontify: Crontify, api: ApiServer, env: dict[str, str], signum: signal.Signals
) -> None:
    """The exit code is the job's: that is over, and not what the signal ended."""
    api.script(faults.rate_limited(60), kind="fail")
    run = subprocess.Popen(
        [*PROGRAM, "exec", "backup", "--", "sh", "-c", "exit 3"],
        env={**os.environ, **env},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    until(lambda: "fail" in api.kinds(), "the fail is answered 429")
    run.send_signal(signum)
    _, said = run.communicate(timeout=60)
    assert (run.returncode, said) == (3, "")
    assert crontify("flush", env=env).returncode == 0
    assert [request.kind for request in api.accepted] == ["start", "fail"]
