"""Who may ask: keys and their hashes, tokens and their end, accounts apart from each other."""

import ast
import inspect
import time
from pathlib import Path

import jwt
import pytest

from crontify_cli.sandbox import store
from crontify_cli.sandbox.database import open_database
from crontify_cli.sandbox.identity import make_token
from crontify_cli.sandbox.store import Store
from tests.sandbox.server import Server, serving


def _files(db: Path) -> bytes:
    """Return all that is on disk: SQLite keeps the newest in a file beside the database."""
    return b"".join(path.read_bytes() for path in db.parent.glob(f"{db.name}*"))


def test_a_key_is_shown_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db") as first:
        first.send(first.monitor(), "start")
        assert first.api_key
        assert first.api_key.removeprefix("ck_live_").encode() not in _files(first.db)
        assert b"clmonitor" in _files(first.db)  # else the line above would prove nothing
    with serving(tmp_path / "sandbox.db") as second:
        assert second.api_key == ""
        ping = second.ping(second.monitor(), "start", headers={"X-API-Key": first.api_key})
        assert ping.status_code == 200


def test_keys_are_compared_in_constant_time_and_never_by_the_database() -> None:
    tree = ast.parse(inspect.getsource(store))
    (found,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "account_by_key"
    )
    code = ast.unparse(found)
    assert "hmac.compare_digest(wanted, kept)" in code
    assert "key_hash =" not in code
    # Every kept hash is compared: none ends the loop.
    assert not any(isinstance(node, ast.Break | ast.Return) for node in ast.walk(found.body[2]))


def test_a_rotated_key_ends_at_once_and_the_new_one_is_taken(tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db") as server:
        monitor = server.monitor()
        new = server.command("key", "rotate")
        assert new != server.api_key
        assert server.ping(monitor, "start").status_code == 401
        assert server.ping(monitor, "start", headers={"X-API-Key": new}).status_code == 200


def _token(server: Server, seconds: float, at: float) -> str:
    with open_database(server.db, create=False) as connection:
        kept = Store(connection)
        account = kept.account("default")
        assert account
        return make_token(kept.signing_secret(), account, round(at * 1000), seconds)


def test_a_token_ends_by_itself(server: Server) -> None:
    now = time.time()
    for token, status in (
        (_token(server, 3600, now), 200),
        (_token(server, 3600, now - 3500), 200),
        (_token(server, 3600, now - 3700), 401),
    ):
        answer = server.http.get("/monitors", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status, answer.text
    assert "expired" in answer.json()["message"]
    assert "crontify sandbox token" in answer.json()["message"]


@pytest.mark.parametrize(("args", "seconds"), [((), 30 * 86400), (("--expires", "90s"), 90)])
def test_the_printed_token_says_when_it_ends(
    server: Server, args: tuple[str, ...], seconds: int
) -> None:
    token = server.command("token", *args)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == seconds
    answer = server.http.get("/monitors", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


def test_a_signed_token_of_an_impossible_account_is_refused(server: Server) -> None:
    for number in (2**63, 2**64, -1):
        claims = jwt.decode(server.token, options={"verify_signature": False})
        with open_database(server.db, create=False) as connection:
            secret = Store(connection).signing_secret()
        token = jwt.encode({**claims, "sub": str(number)}, secret)
        answer = server.http.get("/monitors", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, answer.text


def test_a_token_of_another_sandbox_is_refused(server: Server, tmp_path: Path) -> None:
    with serving(tmp_path / "sandbox.db") as other:
        answer = server.http.get("/monitors", headers={"Authorization": f"Bearer {other.token}"})
    assert answer.status_code == 401


def test_one_account_cannot_see_anothers_monitors(server: Server) -> None:
    monitor = server.monitor()
    run = server.send(monitor, "fail", {"logOutput": "secret"})
    key = {"X-API-Key": server.command("key", "rotate", "--account", "stranger")}
    token = server.command("token", "--account", "stranger")
    bearer = {"Authorization": f"Bearer {token}"}
    for kind in ("start", "success", "fail"):
        assert server.ping(monitor, kind, headers=key).status_code == 404
    for path in ("", "/runs", f"/runs/{run}/log"):
        answer = server.http.get(f"/monitors/{monitor}{path}", headers=bearer)
        nowhere = server.http.get(f"/monitors/clnowhere{path}", headers=bearer)
        assert (answer.status_code, answer.json()) == (404, nowhere.json())
    assert server.http.get("/monitors", headers=bearer).json()["data"] == []
    assert server.command("runs", "--account", "stranger") == ""
    server.command("monitor", "add", monitor, "--account", "stranger")  # of the same name
    assert server.ping(monitor, "success", headers=key).status_code == 200
    assert [run["status"] for run in server.runs(monitor)] == ["failed"]


def test_the_database_is_readable_by_its_owner_alone(server: Server) -> None:
    assert server.db.stat().st_mode & 0o777 == 0o600
