"""An answer counts as received only if the API itself gave it; everything else is kept and said."""

from pathlib import Path

import pytest

from tests import faults
from tests.conftest import Crontify
from tests.server import ApiServer, Behaviour, answer, error, settings
from tests.users import User

PAGE = answer(200, b"<!DOCTYPE html><title>Sign in</title>", {"Content-Type": "text/html"})
OTHERS = {
    "page": (PAGE, "answered a web page, not the API: check base_url"),
    "bom-page": (answer(200, b"\xef\xbb\xbf \r\n<html>"), "answered a web page"),
    "text": (answer(200, b"OK"), "answered something that is not the API: check base_url"),
    "list": (answer(201, []), "answered something that is not the API"),
    "null": (answer(200, b"null"), "answered something that is not the API"),
    "unsuccessful": (answer(200, {"success": False, "message": "no more"}), "answered: no more"),
}


@pytest.mark.parametrize(("behaviour", "words"), OTHERS.values(), ids=list(OTHERS))
def test_a_2xx_that_is_not_the_apis_is_not_received(
    crontify: Crontify, api: ApiServer, env: dict[str, str], behaviour: Behaviour, words: str
) -> None:
    api.default = behaviour
    done = crontify("exec", "backup", "--", "sh", "-c", "exit 3", env=env)
    assert done.returncode == 3
    assert api.kinds() == ["start", "fail"], "the start is not sent again, the end is kept"
    assert f"127.0.0.1:{api.port} {words}" in done.stderr
    assert len(done.stderr.splitlines()) == 1, "said once"
    again = crontify("flush", env=env)
    assert again.returncode == 75
    assert f"127.0.0.1:{api.port} {words}" in again.stderr
    api.heal()
    assert crontify("flush", env=env).returncode == 0
    assert [request.kind for request in api.accepted] == ["fail"]


@pytest.mark.parametrize(
    "behaviour",
    [
        faults.taken_then(answer(200)),
        faults.taken_then(answer(204)),
        faults.taken_then(answer(200, b" \n")),
        faults.taken_then(answer(200, {})),
        faults.taken_then(answer(200, {"success": True, "new": [1]})),
    ],
)
def test_an_empty_body_and_any_object_are_received(
    crontify: Crontify, api: ApiServer, env: dict[str, str], behaviour: Behaviour
) -> None:
    api.default = behaviour
    done = crontify("exec", "backup", "--", "false", env=env)
    assert done.stderr == ""
    assert [request.kind for request in api.accepted] == ["start", "fail"]
    assert crontify("flush", env=env).returncode == 0
    assert len(api.requests) == 2


def test_one_monitors_unsuccessful_answers_do_not_hold_up_the_others(
    crontify: Crontify, api: ApiServer, env: dict[str, str]
) -> None:
    api.choose = lambda _: answer(200, {"success": False, "message": "paused"})
    for monitor in ("paused", "other"):
        crontify("exec", "--no-start", monitor, "--", "false", env=env)
    api.choose = lambda request: (
        answer(200, {"success": False}) if "/paused/" in request.path else None
    )
    assert crontify("flush", env=env).returncode == 75
    assert [request.path.split("/")[4] for request in api.accepted] == ["other"]


# 413


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (413, "request entity too large"),
        (400, ["logOutput must be shorter than or equal to 10000 characters"]),
        (422, "logOutput: invalid"),
    ],
)
def test_a_fail_whose_log_is_not_accepted_is_sent_without_it(
    crontify: Crontify,
    api: ApiServer,
    env: dict[str, str],
    status: int,
    words: str | list[str],
) -> None:
    api.choose = lambda request: (
        answer(*error(status, words)) if b"logOutput" in request.body else None
    )
    job = "echo the cause; exit 3"
    done = crontify("exec", "backup", "--", "sh", "-c", job, env=env)
    assert done.returncode == 3
    assert api.kinds() == ["start", "fail", "fail"]
    assert api.accepted[-1].json["errorMessage"] == "exited with code 3: the cause"
    assert "sent without the log, which is kept here" in done.stderr
    assert str(words).strip("[']") in done.stderr
    columns = crontify("runs", env=env).stdout
    assert "delivered" in columns
    assert crontify("logs", "backup", "--local", env=env).stdout == "the cause\n"
    assert crontify("flush", "--refused", env=env).returncode == 0
    assert len(api.requests) == 3, "it is settled"


def test_a_fail_that_is_too_large_without_a_log_is_refused(
    crontify: Crontify, api: ApiServer, env: dict[str, str]
) -> None:
    api.script(*[answer(*error(413, "too large"))] * 9, kind="fail")
    done = crontify("exec", "--no-start", "backup", "--", "sh", "-c", "echo x; exit 3", env=env)
    assert api.kinds() == ["fail", "fail"]
    assert "413: too large" in done.stderr


def test_a_fail_that_is_rejected_for_something_else_is_not_sent_again(
    crontify: Crontify, api: ApiServer, env: dict[str, str]
) -> None:
    api.script(answer(*error(400, ["meta must be an object"])), kind="fail")
    done = crontify("exec", "--no-start", "backup", "--", "sh", "-c", "echo x; exit 3", env=env)
    assert api.kinds() == ["fail"]
    assert "400: meta must be an object" in done.stderr


# 401, 404, 3xx


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(*error(404, "Cannot POST /api/ping/my-monitor/fail")),
        answer(404, {"message": "No such address"}),
        answer(404, b"404 page not found\n"),
        answer(404, b"<html><h1>404 Not Found</h1> nginx: no monitor"),
        answer(405, b"<html>Method Not Allowed"),
    ],
)
def test_a_404_about_the_address_names_base_url_first(
    crontify: Crontify, api: ApiServer, env: dict[str, str], behaviour: Behaviour
) -> None:
    api.default = behaviour
    said = crontify("exec", "backup", "--", "true", env=env).stderr
    assert len(said.splitlines()) == 1, "once a run"
    assert "check base_url first" in said
    assert "'backup'" in said


def test_a_404_about_the_monitor_names_the_monitor_first(
    crontify: Crontify, api: ApiServer, env: dict[str, str]
) -> None:
    api.monitors = {"known"}
    said = crontify("exec", "backup", "--", "true", env=env).stderr
    assert len(said.splitlines()) == 1
    assert "no monitor 'backup'" in said
    assert "base_url" not in said
    said = crontify("exec", "nightly", "--", "true", env=env).stderr
    assert "check base_url first" in said, "nothing was ever accepted there"
    crontify("exec", "known", "--", "true", env=env)
    assert "base_url" not in crontify("exec", "nightly", "--", "true", env=env).stderr


def test_a_401_names_the_setting_of_the_key_once(
    crontify: Crontify, api: ApiServer, env: dict[str, str], tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("ck_live_wrong_0123456789\n")
    key.chmod(0o600)
    flag = ("--api-key-file", str(key))
    said = crontify("exec", *flag, "backup", "--", "true", env=env).stderr
    assert len(said.splitlines()) == 1
    assert "check --api-key-file" in said
    said = crontify("exec", "backup", "--", "true", env={**env, "CRONTIFY_API_KEY": "ck_x"}).stderr
    assert "check CRONTIFY_API_KEY" in said


def refused(crontify: Crontify, env: dict[str, str]) -> str:
    done = crontify("exec", "--no-start", "backup", "--", "sh", "-c", "exit 3", env=env)
    assert done.returncode == 3
    return done.stderr


@pytest.mark.parametrize("by", ["run", "flush", "ping"])
def test_what_was_refused_for_a_wrong_key_is_sent_when_the_key_has_changed(
    crontify: Crontify, api: ApiServer, env: dict[str, str], by: str
) -> None:
    wrong = {**env, "CRONTIFY_API_KEY": "ck_live_wrong_0123456789"}
    refused(crontify, wrong)
    assert crontify("flush", env=wrong).returncode == 0
    assert len(api.requests) == 1, "not again as long as the key is the same"
    command = {
        "run": ("exec", "backup", "--", "true"),
        "flush": ("flush",),
        "ping": ("ping", "start", "backup"),
    }[by]
    assert crontify(*command, env=env).returncode == 0
    assert api.accepted[0].kind == "fail"
    assert api.accepted[0].json["errorMessage"].endswith("exited with code 3")
    before = len(api.requests)
    assert crontify("flush", env=env).returncode == 0
    assert len(api.requests) == before
    state = (Path.home() / ".local/state/crontify/journal.db").read_bytes()
    assert b"wrong_0123" not in state


def test_what_was_refused_for_a_wrong_id_is_sent_to_the_right_one(
    crontify: Crontify, api: ApiServer, env: dict[str, str], tmp_path: Path
) -> None:
    api.monitors = {"clright"}
    config = tmp_path / "config.toml"
    config.write_text('[monitors.backup]\nid = "clwrong"\n')
    with_config = {**env, "CRONTIFY_CONFIG": str(config)}
    assert "no monitor 'clwrong'" in refused(crontify, with_config)
    config.write_text('[monitors.backup]\nid = "clright"\n')
    assert crontify("flush", env=with_config).returncode == 0
    assert [request.path for request in api.accepted] == ["/api/v1/ping/clright/fail"]


@pytest.mark.parametrize("how", ["404", "page", "redirect"])
def test_what_went_to_a_wrong_address_is_sent_to_the_right_one(
    crontify: Crontify, api: ApiServer, env: dict[str, str], how: str
) -> None:
    with ApiServer() as other:
        other.default = {
            "404": answer(404, {"message": "No such address"}),
            "page": PAGE,
            "redirect": faults.redirect(api.url),
        }[how]
        refused(crontify, settings(other))
        assert [request.kind for request in other.requests] == ["fail"]
    assert crontify("flush", env=env).returncode == 0
    assert [request.kind for request in api.accepted] == ["fail"]


def test_what_another_server_refused_stays_with_it_if_it_has_accepted_reports(
    crontify: Crontify, api: ApiServer, env: dict[str, str]
) -> None:
    with ApiServer() as other:
        crontify("exec", "backup", "--", "true", env=settings(other))
        refused(crontify, {**settings(other), "CRONTIFY_API_KEY": "ck_live_wrong_0123456789"})
        assert crontify("flush", env=env).returncode == 0
        assert api.requests == []
        assert crontify("flush", env=settings(other)).returncode == 0
        assert other.accepted[-1].kind == "fail"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/nonexistent/k", "No such file or directory"),
        ("/dev/full", "No space left on device"),
    ],
)
def test_a_key_log_that_cannot_be_written_is_named_and_no_obstacle(
    crontify: Crontify, tmp_path: Path, path: str, why: str
) -> None:
    made = faults.self_signed(tmp_path)
    with ApiServer(tls=made) as secure:
        env = {**settings(secure), "SSL_CERT_FILE": str(made.certificate)}
        env["SSLKEYLOGFILE"] = path
        done = crontify("exec", "backup", "--", "true", env=env)
        assert secure.kinds() == ["start", "success"]
        assert done.stderr == (
            f"crontify: SSLKEYLOGFILE is ignored, since it cannot be written: {path}: {why}\n"
        )
        log = tmp_path / "keys.log"
        crontify("exec", "backup", "--", "true", env={**env, "SSLKEYLOGFILE": str(log)})
        assert log.stat().st_size, "one that can be written is used"


@pytest.mark.parametrize("planted", ["file", "link"])
def test_no_keys_are_written_to_another_users_log(
    crontify: Crontify, tmp_path: Path, bob: User, planted: str
) -> None:
    made, victim, log = faults.self_signed(tmp_path), tmp_path / "victim", bob.home / "keys.log"
    bob.shell(f"touch {log}" if planted == "file" else f"ln -s {victim} {log}")
    with ApiServer(tls=made) as secure:
        env = {**settings(secure), "SSL_CERT_FILE": str(made.certificate)}
        done = crontify("exec", "backup", "--", "true", env={**env, "SSLKEYLOGFILE": str(log)})
        assert secure.kinds() == ["start", "success"]
    assert f"{log}: it belongs to another user (uid {bob.uid})\n" in done.stderr
    assert not victim.exists()
    assert not log.exists() or not log.stat().st_size
