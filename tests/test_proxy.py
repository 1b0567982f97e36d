"""Through which proxy a request goes, and what never reaches one: loopback, and plain http."""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crontify_cli.delivery.api import Api
from crontify_cli.errors import CrontifyError
from crontify_cli.model import Ping
from tests.conftest import Crontify
from tests.faults import refusing_url, self_signed
from tests.server import KEY, ApiServer

HOST = "http://192.0.2.7/api"  # an address of TEST-NET-1, which nobody has


class Proxy:
    """A listener on loopback that closes each connection, and remembers what it was sent."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(10)
                first = connection.recv(65536)
                if first == b"stop":
                    return
                self.heard.append(first)

    def close(self) -> None:
        with socket.create_connection(self._listener.getsockname()) as connection:
            connection.sendall(b"stop")
        self._thread.join(timeout=60)
        self._listener.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    listening = Proxy()
    yield listening
    listening.close()


def ask(url: str, **settings: str) -> str:
    with Api(url, KEY, **settings) as client:  # type: ignore[arg-type]  # each test's own
        return client.ping(Ping("m", "start")).message


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "[::1]"])
@pytest.mark.parametrize("how", ["http_proxy", "ALL_PROXY", "setting"])
def test_loopback_is_never_proxied(
    host: str, how: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"proxy": proxy.url} if how == "setting" else {}
    if not given:
        monkeypatch.setenv(how, proxy.url)
    with refusing_url() as url:
        port = url.split("/")[2].rpartition(":")[2]
        message = ask(f"http://{host}:{port}/api", **given)
    assert "cannot connect" in message
    assert "proxy" not in message
    assert proxy.heard == []


def test_plain_http_goes_through_a_proxy_only_if_it_is_allowed(
    proxy: Proxy, crontify: Crontify, tmp_path: Path
) -> None:
    env = {"CRONTIFY_BASE_URL": HOST, "CRONTIFY_API_KEY": KEY, "http_proxy": proxy.url}
    for command in (["ping", "start", "m"], ["exec", "m", "--", "true"], ["flush"], ["doctor"]):
        done = crontify(*command, env=env)
        assert "would send the API key unencrypted" in done.stdout + done.stderr
    assert proxy.heard == []
    config = tmp_path / "crontify.toml"
    config.write_text("allow_http = true\n")
    crontify("ping", "start", "m", env={**env, "CRONTIFY_CONFIG": str(config)})
    assert KEY.encode() in proxy.heard[0]


@pytest.mark.parametrize(
    ("entry", "host", "is_direct"),
    [
        ("192.0.2.0/24", "192.0.2.7", True),
        ("a.example, 192.0.2.0/24 ,b.example", "192.0.2.7", True),
        ("a.example 192.0.2.0/24", "192.0.2.7", True),
        ("192.0.2.9/24", "192.0.2.7", True),  # with host bits, as curl takes it
        ("192.0.2.7", "192.0.2.7", True),
        ("0.0.0.0/0", "192.0.2.7", True),
        ("192.0.2.0/29", "192.0.2.9", False),
        ("192.0.2.0/33", "192.0.2.7", False),
        ("2001:db8::/32", "[2001:db8::7]", True),
        ("[2001:db8::7]", "[2001:db8::7]", True),
        ("2001:db8::/32", "192.0.2.7", False),
        ("*", "192.0.2.7", True),
        (".example", "crontify.example", True),
        ("example", "crontify.example", True),
        ("192.0.2.7:443", "192.0.2.7", False),
        ("192.0.2.0/24", "crontify.example", False),
    ],
)
def test_no_proxy_takes_names_addresses_and_networks(
    entry: str, host: str, is_direct: bool, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crontify_cli.delivery.addresses import checked_url
    from crontify_cli.delivery.proxy import choose_proxy

    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("NO_PROXY", entry)
    url = checked_url("base_url", f"http://{host}:80/", ("http",))
    assert (choose_proxy(url, None) is None) is is_direct


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:1080"),
        ("all_proxy", "socks4://127.0.0.1:1080"),
        ("https_proxy", "://"),
        ("HTTPS_PROXY", "http://"),
        ("HTTPS_PROXY", "127.0.0.1:port"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(
    variable: str, value: str, crontify: Crontify, state: Path
) -> None:
    env = {"CRONTIFY_BASE_URL": "https://192.0.2.7", "CRONTIFY_API_KEY": KEY, variable: value}
    done = crontify("exec", "m", "--", "false", env=env)
    assert done.returncode == 1
    assert f"crontify: {variable} " in done.stderr
    assert "unset it" in done.stderr
    assert "1 report" in crontify("flush", env={**env, variable: "http://127.0.0.1:1"}).stderr


def test_a_socks_proxy_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)  # as if it was not installed
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(CrontifyError, match=r"ALL_PROXY names a SOCKS proxy.*socksio.*unset it"):
        Api(HOST, KEY)


def test_a_proxy_that_does_not_answer_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with refusing_url() as url:
        address = url.removesuffix("/api/v1")
        monkeypatch.setenv("http_proxy", address)
        assert f"proxy {address.removeprefix('http://')} (http_proxy)" in ask(HOST)
        assert f"proxy {address.removeprefix('http://')} (proxy)" in ask(HOST, proxy=address)


def test_certificates_that_cannot_be_read_are_named_by_their_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent"))
    with pytest.raises(CrontifyError, match=r"SSL_CERT_FILE .*absent"):
        Api("https://crontify.test", KEY)


@pytest.mark.parametrize("source", ["SSL_CERT_DIR", "ca_bundle"])
def test_a_certificate_that_is_not_trusted_is_explained_by_what_says_which_are(
    source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    more = {"ca_bundle": str(tmp_path)} if source == "ca_bundle" else {}
    with ApiServer(tls=self_signed(tmp_path, "127.0.0.1")) as server:
        message = ask(server.url, **more)
    assert "not trusted" in message
    assert message.endswith(f"({source} is set)")


# A key is sent only to the server that it was configured for.

WRONG = ["htp://127.0.0.1:8787/api/v1", "api.example.com", "https://", "https://u:p@x/", " "]
COMMANDS = [
    *(["exec", "m", "--", "false"], ["ping", "start", "m"], ["ping", "fail", "m"], ["flush"]),
    *(["logs", "m", "r"], ["doctor"], ["config", "check"]),
]


@pytest.mark.parametrize("level", ["flag", "env", "file", "broken", "absent", "misspelled", "type"])
def test_a_wrong_base_url_is_never_replaced_by_the_default_one(
    level: str, proxy: Proxy, crontify: Crontify, tmp_path: Path
) -> None:
    """Everything that goes to the vendor's address would go through the proxy."""
    config = tmp_path / "crontify.toml"
    lines = {
        "file": 'base_url = "{}"',
        "broken": 'base_url = "{}',
        "misspelled": 'base_ur = "https://127.0.0.1:1"',
        "type": "base_url = 7",
    }
    env = {"https_proxy": proxy.url, "CRONTIFY_API_KEY": KEY, "CRONTIFY_TOKEN": "a.b.c"}
    env |= {"CRONTIFY_CONFIG": str(config)}
    for at, wrong in enumerate(WRONG if level in ("flag", "env", "file") else WRONG[:1]):
        if level != "absent":
            config.write_text(lines.get(level, "").replace("{}", wrong) + "\n")
            config.chmod(0o600)
        more = {"CRONTIFY_BASE_URL": wrong} if level == "env" else {}
        for command in COMMANDS[:1] if at or level == "flag" else COMMANDS:
            words = [*command]
            if level == "flag":
                words[1:1] = ["--base-url", wrong]
            done = crontify(*words, env=env | more)
            assert done.returncode != 0 or "queued; the next run of " in done.stderr
            assert proxy.heard == [], (words, wrong, done.stderr)
    crontify("ping", "start", "m", env={**env, "CRONTIFY_CONFIG": "", "CRONTIFY_BASE_URL": ""})
    assert proxy.heard[0].startswith(b"CONNECT api.crontify.com:443")  # else nothing was shown


@pytest.mark.parametrize("address", [b"\1\0\0\0\0", b"\3\4name", b"\4" + bytes(16)])
def test_a_socks_proxy_may_answer_in_pieces(address: bytes) -> None:
    """RFC 1928: the length of its last reply depends on the kind of address in it."""
    heard: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        with listener, listener.accept()[0] as connection:
            connection.settimeout(60)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for reply in (b"\5\2", b"\1\0", b"\5\0\0" + address + b"\0\0", answer):
                heard.append(connection.recv(65536))
                for byte in reply:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.005)

    answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, args=[listener], daemon=True)
    thread.start()
    url = f"socks5://me:p%40ss@127.0.0.1:{listener.getsockname()[1]}"
    with Api(HOST, KEY, proxy=url) as client:
        assert client.ping(Ping("m", "start")).fate == "received"
    thread.join(60)
    assert heard[:2] == [b"\5\1\2", b"\1\2me\4p@ss"]
