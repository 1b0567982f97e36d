"""What is read of a URL without a library has to be what the library reads of it."""

from ipaddress import ip_address

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crontify_cli.config.credentials import is_loopback
from crontify_cli.urls import is_ipv4, simple

_PIECES = st.sampled_from(
    [
        *("http", "https", "socks5", "ftp", "HTTP", "://", ":", "/", "//", ".", "..", "@", "?"),
        *("#", "%20", "%", "[", "]", "::1", "127.0.0.1", "1.2.3", "256.1.1.1", "010.0.0.1", "a"),
        *("api.example.com", "A", "ä", "xn--a", "-", "_", "~", "+", " ", "\n", "\\", "\0", "80"),
        *("443", "8787", "0", "65536", "1080", "api", "v1", "u:p"),
    ]
)


@given(st.lists(_PIECES, min_size=2, max_size=10).map("".join))
@example("https://api.crontify.com/api/v1")
@example("http://127.0.0.1:8787/api/v1/")
@example("http://a..b/api")
@example("https://host:443/")
@settings(max_examples=500, deadline=None)
def test_a_simple_url_is_read_as_httpx_reads_it(text: str) -> None:
    url = simple(text)
    if url is None:
        return
    known = httpx.URL(text)
    assert (url.scheme, url.host, url.port) == (known.scheme, known.host, known.port)
    assert (url.path or "/", url.userinfo) == (known.raw_path.decode(), known.userinfo.decode())
    assert url.netloc == known.netloc.decode()
    assert str(url).rstrip("/") == str(known).rstrip("/")


@pytest.mark.parametrize(
    "text",
    [
        *("https://api.crontify.com/api/v1", "http://127.0.0.1:8787/api/v1", "http://localhost"),
        *("https://a-b.example/x_y/~z/v1.2/", "socks5h://proxy.example:9050", "http://proxy:3128"),
    ],
)
def test_the_usual_urls_are_simple(text: str) -> None:
    assert str(simple(text)) == text


@given(st.from_regex(r"\A[0-9a-f.:]{1,15}\Z") | st.ip_addresses().map(str))
@example("127.0.0.1")
@example("127.0.0.01")
@example("127.1")
@example("::1")
@settings(deadline=None)
def test_loopback_is_recognised_as_the_standard_library_does_it(host: str) -> None:
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    assert is_loopback(host) is bool(address and address.is_loopback)
    assert is_ipv4(host) is bool(address and address.version == 4)
