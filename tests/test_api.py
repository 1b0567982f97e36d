"""What goes out over the wire, and which facts come back, on real sockets."""

import _socket
import contextlib
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crontify_cli import __version__
from crontify_cli.delivery.api import Api, LogAnswer
from crontify_cli.errors import CrontifyError
from crontify_cli.model import Answer, Ping, PingKind
from tests.faults import (
    close,
    deaf,
    deaf_url,
    delayed,
    empty,
    flood,
    garbage,
    hang_after_reading,
    hang_before_reading,
    rate_limited,
    redirect,
    refusing_url,
    reset,
    reset_before_reading,
    reset_mid_body,
    self_signed,
    trickle,
)
from tests.server import KEY, TOKEN, ApiServer, Behaviour, Exchange, answer, response
from tests.waiting import SOON, within_any

START = Ping("m", "start")
FAIL = Ping("m", "fail", {"exit_code": 1}, "it broke", "the log")
KINDS = get_args(PingKind)


def ask(url: str, ping: Ping = FAIL, key: str | None = KEY, **settings: object) -> Answer:
    with Api(url, key, **settings) as client:  # type: ignore[arg-type]  # each test's own settings
        return client.ping(ping)


@pytest.fixture(autouse=True)
def system_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


# Requests.


def test_a_start_has_the_key_and_no_body(api: ApiServer) -> None:
    assert ask(api.url, START) == Answer("received", 200, "clrun0001")
    (request,) = api.requests
    assert (request.method, request.path) == ("POST", "/api/v1/ping/m/start")
    assert request.headers["x-api-key"] == KEY
    assert request.headers["user-agent"] == f"crontify-cli/{__version__}"
    assert request.headers["host"] == f"127.0.0.1:{api.port}"
    assert request.headers["content-length"] == "0"
    assert "content-type" not in request.headers
    assert "authorization" not in request.headers
    assert request.body == b""


def test_a_success_has_its_numbers(api: ApiServer) -> None:
    ask(api.url, Ping("m", "success", {"rows_processed": 1523, "rate": 0.5}))
    (request,) = api.accepted
    assert request.path == "/api/v1/ping/m/success"
    assert request.headers["content-type"] == "application/json"
    assert request.json == {"meta": {"rows_processed": 1523, "rate": 0.5}}


def test_a_fail_has_all_three_fields_and_only_those_it_needs(api: ApiServer) -> None:
    ask(api.url, FAIL)
    ask(api.url, Ping("m", "fail", {}, "it broke", ""))
    assert [request.json for request in api.accepted] == [
        {"errorMessage": "it broke", "meta": {"exit_code": 1}, "logOutput": "the log"},
        {"errorMessage": "it broke"},
    ]


@pytest.mark.parametrize("kind", ["success", "fail"])
def test_an_end_that_has_nothing_to_say_has_no_body(api: ApiServer, kind: PingKind) -> None:
    ask(api.url, Ping("m", kind))
    assert api.accepted[0].body == b""
    assert "content-type" not in api.accepted[0].headers


def test_a_start_and_a_success_say_nothing_of_an_error(api: ApiServer) -> None:
    ask(api.url, Ping("m", "start", {"a": 1}, "x", "y"))
    ask(api.url, Ping("m", "success", {"a": 1}, "x", "y"))
    assert [request.body for request in api.accepted] == [b"", b'{"meta": {"a": 1}}']


@pytest.fixture(scope="module")
def patient() -> Iterator[tuple[ApiServer, Api]]:
    with ApiServer() as server, Api(server.url, KEY) as client:
        yield server, client


@given(
    st.text(st.characters(), max_size=50),
    st.text(st.characters(), max_size=50),
    st.dictionaries(st.sampled_from("abc"), st.integers(-(2**53), 2**53) | st.floats()),
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_in_a_report_the_body_is_json_that_a_strict_server_takes(
    patient: tuple[ApiServer, Api], message: str, log: str, meta: dict[str, float]
) -> None:
    server, client = patient
    assert client.ping(Ping("m", "fail", meta, message, log)).fate == "received"
    body = server.accepted[-1].json if server.accepted[-1].body else {}
    kept = "".join(c if not 0xD800 <= ord(c) < 0xE000 else "\ufffd" for c in log if c != "\0")
    if not any(0xD800 <= ord(c) < 0xE000 for c in log):
        assert body.get("logOutput", "") == kept


def test_a_base_url_may_end_in_a_slash_and_a_monitor_is_quoted(api: ApiServer) -> None:
    ask(api.url + "/", Ping("a b/../c", "start"))
    assert api.requests[0].path == "/api/v1/ping/a%20b%2F..%2Fc/start"


def test_headers_of_the_users_are_sent_with_every_request(api: ApiServer) -> None:
    ask(api.url, headers={"X-Tenant": " blue ", "User-Agent": "mine"})
    assert api.requests[0].headers["x-tenant"] == "blue"
    assert api.requests[0].headers["user-agent"] == "mine"


def test_a_host_of_the_users_takes_the_place_of_the_base_urls(api: ApiServer) -> None:
    """For an API that is reached by an address, or by a tunnel's."""
    assert ask(api.url, headers={"host": "api.example"}).fate == "received"
    assert api.requests[0].headers["host"] == "api.example"


def test_requests_share_one_connection(api: ApiServer) -> None:
    with Api(api.url, KEY) as client:
        for ping in (START, FAIL, START, FAIL):
            assert client.ping(ping).fate == "received"
    assert api.connections == 1


def test_a_kept_connection_that_the_server_has_closed_is_replaced(api: ApiServer) -> None:
    with Api(api.url, KEY) as client:
        client.ping(START)
        api.down()
        api.up()
        assert client.ping(FAIL).fate == "received"
    assert api.connections == 2


def test_a_kept_connection_is_not_used_once_the_server_may_close_it(api: ApiServer) -> None:
    """Many servers close theirs after 5 s; a request that crosses with that has no known fate."""
    with Api(api.url, KEY) as client:
        client.ping(START)
        time.sleep(5)
        assert client.ping(FAIL).fate == "received"
    assert api.connections == 2


@pytest.fixture
def two_addresses(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name crontify.test, which has the addresses 127.0.0.2 and then the server's."""
    where = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", api.port)) for n in (2, 1)
    ]
    real = _socket.getaddrinfo
    monkeypatch.setattr(
        _socket,
        "getaddrinfo",
        lambda host, *a, **k: where if host == b"crontify.test" else real(host, *a, **k),
    )


@pytest.mark.usefixtures("two_addresses")
def test_a_name_with_an_address_that_refuses_is_reached_by_its_other_one(api: ApiServer) -> None:
    assert ask(f"http://crontify.test:{api.port}/api/v1").fate == "received"


@pytest.mark.usefixtures("two_addresses")
def test_a_name_with_an_address_that_is_dead_is_reached_in_time_by_its_other_one(
    api: ApiServer,
) -> None:
    with deaf("127.0.0.2", api.port):
        answered = ask(f"http://crontify.test:{api.port}/api/v1")
    assert answered.fate == "received"


# Answers.


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_any_2xx_is_received(api: ApiServer, status: int) -> None:
    api.script(answer(status, {"data": {"runId": "r1"}}))
    assert ask(api.url) == Answer("received", status, "r1")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 425, 429, 500, 502, 503])
def test_a_refusal_has_the_servers_words(api: ApiServer, status: int) -> None:
    api.script(answer(status, {"message": "because"}))
    assert ask(api.url) == Answer("refused", status, None, "because")


def test_the_real_refusals_of_the_seed(api: ApiServer) -> None:
    api.monitors = {"m"}
    assert ask(api.url, key="ck_live_other").status == 401
    assert ask(api.url, key=None).status == 401
    assert ask(api.url, Ping("x", "start")).status == 404


@pytest.mark.parametrize(
    ("behaviour", "seconds"),
    [
        (rate_limited(2), 2),
        (rate_limited(message="Too many requests, wait 42 seconds"), 42),
        (rate_limited(message="Too many requests"), None),
        (answer(503, b"", {"Retry-After": "7"}), 7),
    ],
)
def test_the_wait_is_read_from_field_and_words(
    api: ApiServer, behaviour: Behaviour, seconds: float | None
) -> None:
    api.script(behaviour)
    assert ask(api.url).retry_after == seconds


def test_the_wait_is_read_from_a_date(api: ApiServer) -> None:
    api.script(rate_limited(date=30))
    # A date has whole seconds, and what is due within one is not asked for before its end.
    assert 25 < (ask(api.url).retry_after or 0) <= 31


@pytest.mark.parametrize(
    ("behaviour", "fate"),
    [
        (empty, "received"),
        (answer(200, {}), "received"),
        (garbage, "unknown"),
        (flood(), "unknown"),
        (reset_mid_body, "unknown"),
        (answer(200, b"[" * 500_000), "unknown"),
        (answer(200, {"success": False}), "unknown"),
    ],
)
def test_a_2xx_is_received_if_its_body_is_the_apis(
    api: ApiServer, behaviour: Behaviour, fate: str
) -> None:
    api.script(behaviour)
    with Api(api.url, KEY) as client:
        assert client.ping(START).fate == fate
        assert client.ping(FAIL).fate == "received"


def test_an_answer_whose_body_does_not_end_is_unknown(api: ApiServer) -> None:
    head, _, body = response(200, {"data": {"runId": "r1"}}).partition(b"\r\n\r\n")

    def act(exchange: Exchange) -> None:
        exchange.sock.sendall(head + b"\r\n\r\n")
        trickle(body).act(exchange)

    def attempt(seconds: float) -> Answer:
        api.script(Behaviour(act))
        return ask(api.url, http_timeout=seconds)

    reply = within_any(attempt, lambda reply: reply.message.endswith("broke its answer off"))
    assert (reply.fate, reply.status) == ("unknown", None)
    assert reply.message.endswith("broke its answer off")


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_of_one_byte_at_a_time_is_waited_for_no_longer_than_any(
    api: ApiServer, kind: PingKind
) -> None:
    """Were each byte's wait bounded by itself, the whole answer would come in the end."""

    def attempt(seconds: float) -> Answer:
        api.script(trickle(pause=0.2))
        return ask(api.url, Ping("m", kind), http_timeout=seconds)

    reply = within_any(attempt, lambda _: api.requests)
    assert (reply.fate, reply.status) == ("unknown", None)


@pytest.mark.parametrize(
    "behaviour",
    [hang_before_reading, hang_after_reading, reset, reset_before_reading, close, delayed(30)],
)
def test_what_was_sent_and_not_answered_is_unknown(api: ApiServer, behaviour: Behaviour) -> None:

    def attempt(seconds: float) -> Answer:
        api.script(behaviour)
        return ask(api.url, http_timeout=seconds)

    reply = within_any(attempt, lambda reply: reply.fate != "unsent")
    assert reply.fate == "unknown"
    assert f"no answer from 127.0.0.1:{api.port}" in reply.message
    assert "\n" not in reply.message


def test_what_was_never_sent_is_known_to_be_unsent(tmp_path: Path) -> None:
    with refusing_url() as url:
        reply = ask(url)
        assert reply.fate == "unsent"
        assert reply.message.endswith("Connection refused")
    with deaf_url() as url:
        reply = ask(url, connect_timeout=SOON)
        assert (reply.fate, "within 0.4s" in reply.message) == ("unsent", True)
    reply = ask("http://no-such-host.invalid/api")
    assert reply.fate == "unsent"
    assert "no-such-host.invalid" in reply.message
    assert ask("http://a..b/api").fate == "unsent"


def test_a_connection_lost_before_a_request_was_written_on_a_new_one_is_unsent(
    api: ApiServer,
) -> None:
    with Api(api.url, KEY) as client:
        client.ping(START)
        api.down()
        assert client.ping(FAIL).fate == "unsent"


# Redirects.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_is_never_carried_to_another_address(api: ApiServer, status: int) -> None:
    with ApiServer() as other:
        api.script(redirect(f"{other.url}/ping/m/fail", status))
        reply = ask(api.url)
        assert (reply.fate, reply.status) == ("refused", status)
        assert f"redirects to {other.url}/ping/m/fail" in reply.message
        assert other.connections == 0


def test_a_redirect_on_the_same_address_gets_the_same_body(api: ApiServer) -> None:
    api.script(redirect("/api/v1/ping/m2/fail#x", 307), redirect(f"{api.url}/ping/m3/fail", 308))
    assert ask(api.url).fate == "received"
    assert "#" not in api.requests[1].path, "a fragment is not sent"
    assert [request.path.split("/")[4] for request in api.requests] == ["m", "m2", "m3"]
    assert len({request.body for request in api.requests}) == 1
    assert api.requests[0].body


def test_a_redirect_that_changes_the_method_is_not_followed(api: ApiServer) -> None:
    api.script(redirect(f"{api.url}/elsewhere", 302))
    assert "redirects to" in ask(api.url).message
    assert len(api.requests) == 1


def test_a_circle_of_redirects_ends(api: ApiServer) -> None:
    api.default = redirect("/api/v1/ping/m/fail", 307)
    reply = ask(api.url)
    assert (reply.fate, reply.status) == ("refused", 307)
    assert len(api.requests) == 4


@pytest.mark.parametrize("location", ["", "http://[", "javascript:x", "http://u:p@x/"])
def test_a_redirect_to_nowhere_is_a_refusal(api: ApiServer, location: str) -> None:
    api.script(redirect(location, 307))
    reply = ask(api.url)
    assert (reply.fate, reply.status) == ("refused", 307)
    assert "u:p" not in reply.message


# TLS.


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[ApiServer, Path]]:
    made = self_signed(tmp_path)
    with ApiServer(tls=made) as server:
        yield server, made.certificate


def test_a_certificate_that_nobody_signed_is_refused_before_the_key_is_sent(
    secure: tuple[ApiServer, Path],
) -> None:
    server, _ = secure
    reply = ask(server.url)
    assert reply.fate == "unsent"
    assert "its certificate is not trusted: self-signed certificate" in reply.message
    assert not server.requests


def test_a_ca_bundle_is_trusted(secure: tuple[ApiServer, Path]) -> None:
    server, certificate = secure
    assert ask(server.url, ca_bundle=str(certificate)).fate == "received"


def test_the_environments_certificates_are_trusted(
    secure: tuple[ApiServer, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server, certificate = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert ask(server.url).fate == "received"
    monkeypatch.delenv("SSL_CERT_FILE")
    folder = tmp_path / "hashed"
    folder.mkdir()
    (folder / "ours.pem").write_bytes(certificate.read_bytes())
    subprocess.run(["openssl", "rehash", folder], check=True)
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    assert ask(server.url).fate == "received"
    monkeypatch.delenv("SSL_CERT_DIR")
    assert ask(server.url, ca_bundle=str(folder)).fate == "received"


def test_a_certificate_for_another_host_is_refused(tmp_path: Path) -> None:
    made = self_signed(tmp_path, "crontify.test")
    with ApiServer(tls=made) as server:
        reply = ask(server.url, ca_bundle=str(made.certificate))
    assert reply.fate == "unsent"
    assert "not valid for '127.0.0.1'" in reply.message


def test_plain_http_where_tls_is_expected_is_unsent(api: ApiServer) -> None:
    def answer_plainly(exchange: Exchange) -> None:
        exchange.sock.recv(65536)
        exchange.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    api.script(Behaviour(answer_plainly, before_reading=True))
    reply = ask(api.url.replace("http:", "https:"))
    assert reply.fate == "unsent"
    assert reply.message.endswith(f"{api.port}: wrong version number")


def test_a_kept_connection_whose_tls_the_server_has_ended_is_replaced(
    secure: tuple[ApiServer, Path],
) -> None:
    """The socket may stay open, and TLS end in the same packet as the answer."""
    server, certificate = secure

    def answer_and_end(exchange: Exchange) -> None:
        exchange.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        exchange.reply(*server.take(exchange.request))
        exchange.sock.settimeout(0)
        with contextlib.suppress(OSError):  # it would wait for the other side's end
            exchange.sock.unwrap()  # type: ignore[attr-defined]  # a TLS socket's
        exchange.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        exchange.wait(3600)

    server.script(Behaviour(answer_and_end))
    with Api(server.url, KEY, ca_bundle=str(certificate)) as client:
        assert client.ping(FAIL).fate == "received"
        assert client.ping(START).fate == "received"


def test_the_systems_certificates_are_loaded() -> None:
    """Only those that a handshake asks for, if the system has them hashed in a folder."""
    from crontify_cli.delivery.tls import trusted

    context = trusted()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_ca_bundle_without_certificates_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content:
        path.write_bytes(content)
    with pytest.raises(CrontifyError, match=r"ca_bundle '.*ca\.pem'"):
        Api("https://crontify.test", KEY, ca_bundle=str(path))


# Proxies.


def test_the_environments_proxy_is_used_unless_it_says_not_to(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = api.url.replace("//", "//user:pass@").removesuffix("/api/v1")
    monkeypatch.setenv("http_proxy", proxy)
    api.default = empty
    assert ask("http://crontify.test/api").fate == "received"
    assert api.requests[0].path == "http://crontify.test/api/ping/m/fail"
    assert api.requests[0].headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"
    monkeypatch.setenv("no_proxy", "crontify.test")
    assert ask("http://crontify.test/api").fate == "unsent"
    assert len(api.requests) == 1


def test_a_given_proxy_is_used(api: ApiServer) -> None:
    api.default = empty
    proxy = api.url.removesuffix("/api/v1")
    assert ask("http://crontify.test/api", proxy=proxy).fate == "received"


@pytest.mark.parametrize("behaviour", [answer(407), answer(502), close, reset, hang_after_reading])
def test_what_a_proxy_did_not_pass_on_is_unsent(api: ApiServer, behaviour: Behaviour) -> None:
    """For https the proxy sees a CONNECT only: the ping itself was never written."""
    proxy = api.url.removesuffix("/api/v1").replace("//", "//user:secret@")

    def attempt(seconds: float) -> Answer:
        api.script(behaviour)
        return ask("https://crontify.test/api", proxy=proxy, http_timeout=seconds)

    reply = within_any(attempt, lambda _: api.requests)
    assert api.requests[0].method == "CONNECT"
    assert reply.fate == "unsent"
    assert f"proxy 127.0.0.1:{api.port}" in reply.message
    assert "secret" not in reply.message


def test_a_proxy_that_is_away_is_unsent() -> None:
    with refusing_url() as url:
        assert ask("http://crontify.test/api", proxy=url).fate == "unsent"


# The log.


def test_a_log_comes_back_with_the_token_and_without_the_key(api: ApiServer) -> None:
    with Api(api.url, KEY, token=TOKEN) as client:
        client.ping(START)
        run = client.ping(FAIL).run_id
        assert run
        found = client.log("m", run)
        assert (found.fate, found.has_log, found.content) == ("received", True, "the log")
        client.ping(Ping("m", "success"))
        assert client.log("m", "clrun0002")[:4] == ("received", 200, False, None)
    request = api.requests[2]
    assert (request.method, request.path) == ("GET", f"/api/v1/monitors/m/runs/{run}/log")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert "x-api-key" not in request.headers


@pytest.mark.parametrize(
    ("behaviour", "fate", "status"),
    [
        (answer(401, {"message": "Unauthorized"}), "refused", 401),
        (answer(404, {"message": "Run not found"}), "refused", 404),
        (garbage, "refused", 200),
        (reset_mid_body, "unknown", 200),
        (flood(), "unknown", 200),
    ],
)
def test_a_log_that_does_not_come_is_explained(
    api: ApiServer, behaviour: Behaviour, fate: str, status: int
) -> None:
    api.logs["m", "r"] = "x" * 100
    api.script(behaviour)
    with Api(api.url, token=TOKEN) as client:
        found = client.log("m", "r")
    assert (found.fate, found.status, found.has_log) == (fate, status, False)
    assert found.message


def test_a_log_that_is_not_answered_is_not_waited_for_beyond_the_limit(api: ApiServer) -> None:

    def attempt(seconds: float) -> LogAnswer:
        api.script(hang_after_reading)
        with Api(api.url, token=TOKEN, http_timeout=seconds) as client:
            return client.log("m", "r")

    found = within_any(attempt, lambda _: api.requests)
    assert (found.fate, found.status, found.has_log) == ("unknown", None, False)
    assert found.message


# What must not happen.


def test_no_message_holds_a_secret(api: ApiServer) -> None:
    api.script(
        answer(401, {"message": f"bad key {KEY}, header s3cret-tenant"}),
        redirect(f"http://127.0.0.1:1/?key={KEY}"),
    )
    for _ in range(2):
        reply = ask(api.url, headers={"X-Tenant": "s3cret-tenant"})
        assert "[masked]" in reply.message
        assert KEY not in reply.message
        assert "s3cret" not in reply.message


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("api.crontify.com", {}),
        ("ftp://x", {}),
        ("https://", {}),
        ("https://user:pw@x", {}),
        ("https://x/?key=1", {}),
        ("http://[", {}),
        ("http://x", {"api_key": "ck_live_a\nX-Evil: 1"}),
        ("http://x", {"api_key": "ck_live_ä"}),
        ("http://x", {"token": "a\0b"}),
        ("http://x", {"headers": {"X Y": "1"}}),
        ("http://x", {"headers": {"X": "a\r\nb"}}),
        ("http://x", {"headers": {"Content-Length": "7"}}),
        ("http://x", {"proxy": "nowhere"}),
        ("http://x", {"proxy": "socks4://127.0.0.1:1"}),
    ],
)
def test_a_setting_that_cannot_work_is_said_in_one_line(url: str, more: dict[str, str]) -> None:
    with pytest.raises(CrontifyError) as caught:
        Api(url, **more)  # type: ignore[arg-type]  # on purpose
    assert "\n" not in str(caught.value)
    assert "ck_live" not in str(caught.value)


def test_importing_the_api_brings_no_command_line_with_it() -> None:
    code = (
        "import sys, crontify_cli.delivery.api; loaded = set(sys.modules) &"
        " {'rich', 'click', 'pygments', 'httpx', 'httpcore', 'ssl', 'asyncio'};"
        "sys.exit(str(loaded) if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.stderr == b""


def test_a_plain_address_costs_no_certificates() -> None:
    code = (
        "import ssl; ssl.create_default_context = None;"
        "from crontify_cli.delivery.api import Api; Api('http://127.0.0.1:1/x', 'k').close()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))
