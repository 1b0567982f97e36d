"""A server whose address drops every SYN costs a run no more than the manual says."""

import _socket
import contextlib
import socket
import time
from pathlib import Path

import pytest

from crontify_cli.delivery import network
from crontify_cli.delivery.api import Api
from crontify_cli.delivery.policy import UNSENT_PATIENCE
from crontify_cli.model import Ping
from tests.conftest import Crontify
from tests.faults import deaf, deaf_url, hang_after_reading
from tests.server import KEY, PREFIX, ApiServer, bound


def test_a_deaf_address_ends_the_wait_long_before_the_other_limits(
    crontify: Crontify, tmp_path: Path
) -> None:
    """All others are longer than this test may take: only the interrupted attempt ends it."""
    config = tmp_path / "config.toml"
    config.write_text("connect_timeout = 300\nhttp_timeout = 300\nreport_timeout = 300\n")
    with deaf_url() as url:
        env = {
            "CRONTIFY_API_KEY": KEY,
            "CRONTIFY_BASE_URL": url,
            "CRONTIFY_CONFIG": str(config),
        }
        done = crontify("exec", "-vv", "backup", "--", "true", env=env)
    assert done.returncode == 0
    assert done.stderr.count("connecting to") == 2, "once for the start, once for the end"
    assert "1 report queued" in done.stderr
    assert "no time was left to connect" in done.stderr, "the end is not begun"


def test_so_does_a_server_that_never_answers_the_tls_handshake(
    crontify: Crontify, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("connect_timeout = 300\nhttp_timeout = 300\nreport_timeout = 300\n")
    with bound() as listener:
        listener.listen()
        env = {
            "CRONTIFY_API_KEY": KEY,
            "CRONTIFY_BASE_URL": f"https://127.0.0.1:{listener.getsockname()[1]}{PREFIX}",
            "CRONTIFY_CONFIG": str(config),
        }
        done = crontify("exec", "--verbose", "backup", "--", "true", env=env)
    assert done.returncode == 0
    assert "1 report queued" in done.stderr


def test_a_connection_attempt_is_given_up_as_soon_as_it_is_not_wanted() -> None:
    asked = iter([60.0, 60.0, 60.0])

    def patience() -> float:
        return next(asked, 0.0)

    with (
        deaf_url() as url,
        Api(url, KEY, connect_timeout=300, http_timeout=300, patience=patience) as api,
    ):
        assert api.ping(Ping("m", "fail")).fate == "unsent"


def resolve_to(monkeypatch: pytest.MonkeyPatch, addresses: list[str], port: int) -> None:
    """Let every host name have these addresses, in this order."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]
    monkeypatch.setattr(_socket, "getaddrinfo", lambda *_, **__: found)


@pytest.mark.parametrize("patience", [60.0, 4 * UNSENT_PATIENCE])
def test_a_deaf_first_address_leaves_time_for_the_second(
    monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    with ApiServer() as api, deaf("127.0.0.2", api.port):
        resolve_to(monkeypatch, ["127.0.0.2", "127.0.0.1"], api.port)
        url = f"http://localhost:{api.port}{PREFIX}"
        until = time.monotonic() + patience
        with Api(url, KEY, patience=lambda: until - time.monotonic()) as client:
            assert client.ping(Ping("m", "fail")).fate == "received"


def test_many_deaf_addresses_leave_time_for_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where IPv6 leads nowhere: the addresses share the patience of a short job's run."""
    monkeypatch.setattr(network, "HEAD_START", 0.01)
    addresses = [f"127.0.0.{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 1)]
    with ApiServer() as api, contextlib.ExitStack() as stack:
        for address in addresses[:-1]:
            stack.enter_context(deaf(address, api.port))
        resolve_to(monkeypatch, addresses, api.port)
        until = time.monotonic() + 2 * UNSENT_PATIENCE
        url = f"http://localhost:{api.port}{PREFIX}"
        with Api(url, KEY, patience=lambda: until - time.monotonic()) as client:
            assert client.ping(Ping("m", "fail")).fate == "received"


def test_a_server_that_hung_on_the_start_is_still_asked_to_take_the_end(
    crontify: Crontify, api: ApiServer, env: dict[str, str], tmp_path: Path
) -> None:
    """It was reached: the patience with one that cannot be is for something else."""
    config = tmp_path / "brief.toml"
    config.write_text(f"http_timeout = {UNSENT_PATIENCE + 1}\n")
    config.chmod(0o600)
    api.script(hang_after_reading, kind="start")
    env = {**env, "CRONTIFY_CONFIG": str(config)}
    assert crontify("exec", "backup", "--", "false", env=env).returncode == 1
    assert api.kinds() == ["start", "fail"]
    assert [request.kind for request in api.accepted] == ["fail"]
