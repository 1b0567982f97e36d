"""How requests get to the server: addresses, proxies, one connection with one deadline."""

import re
import ssl
from collections.abc import Iterable, Iterator

from crontify_cli.errors import CrontifyError
from crontify_cli.report.network import Network
from crontify_cli.report.slim import httpcore, httpx

_IDLE = 4.0
"""Seconds after which an unused connection is not used again: many servers close
theirs after 5, and a request that crosses with that has an unknown fate."""


def checked_url(what: str, text: str, schemes: tuple[str, ...]) -> httpx.URL:
    """Return `text` as a URL; raises CrontifyError that names `what` if it is none of `schemes`."""
    try:
        url = httpx.URL(text.strip())
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL("")
    if url.scheme not in schemes or not re.fullmatch(r"[\w.:-]+", url.host):
        raise CrontifyError(f"{what} is not a URL that begins with {' or '.join(schemes)}://")
    return url


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return what has to be the same for a key to go there too."""
    return url.scheme, url.host, url.port


def proxy_url(address: str) -> httpx.URL:
    """Return a proxy's address as a URL; raises CrontifyError if it cannot be used."""
    url = checked_url("proxy", address, ("http", "https", "socks5", "socks5h"))
    if url.scheme.startswith("socks"):
        try:
            import socksio  # type: ignore[import-not-found]  # noqa: F401 - httpx's extra
        except ImportError:
            raise CrontifyError("a SOCKS proxy needs the package socksio installed") from None
    return url


def environment_proxy(base: httpx.URL) -> httpx.URL | None:
    """Return the proxy that the environment names for `base` (`HTTPS_PROXY`, `NO_PROXY`)."""
    from urllib.request import getproxies, proxy_bypass  # loaded by httpx

    proxies = getproxies()
    address = proxies.get(base.scheme) or proxies.get("all")
    if not address or proxy_bypass(base.netloc.decode("ascii")):
        return None
    return proxy_url(address if "://" in address else f"http://{address}")


class Transport(httpx.BaseTransport):
    """httpcore's pool on our own network, which has one deadline for all of a request.

    httpx's own transport bounds each read by itself: an answer that comes byte by
    byte would keep it for ever.
    """

    def __init__(
        self, network: Network, context: ssl.SSLContext | None, proxy: httpx.URL | None
    ) -> None:
        through = None
        if proxy:
            auth = (proxy.username, proxy.password) if proxy.userinfo else None
            through = httpcore.Proxy(
                _core(proxy.copy_with(username=None, password=None)),
                auth=auth,
                ssl_context=context if proxy.scheme == "https" else None,
            )
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            proxy=through,
            max_connections=1,
            keepalive_expiry=_IDLE,
            network_backend=network,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        response = self._pool.handle_request(
            httpcore.Request(
                request.method,
                _core(request.url),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        assert isinstance(response.stream, Iterable)
        # Client would judge a redirect itself, and raise for an address it cannot read.
        location = [value for name, value in response.headers if name.lower() == b"location"]
        return httpx.Response(
            response.status,
            headers=[pair for pair in response.headers if pair[0].lower() != b"location"],
            stream=_Body(response.stream),
            extensions={"location": b"".join(location[:1]).decode("latin-1")},
        )

    def close(self) -> None:
        self._pool.close()


def _core(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        if hasattr(self._stream, "close"):
            self._stream.close()
