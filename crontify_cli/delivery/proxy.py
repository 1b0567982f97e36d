"""Which proxy a request goes through: the setting's or the environment's, never for loopback."""

import os
import re
import sys
from typing import NamedTuple

from crontify_cli.config.credentials import is_loopback
from crontify_cli.delivery.addresses import checked_url
from crontify_cli.errors import CrontifyError
from crontify_cli.urls import Url

_SCHEMES = ("http", "https", "socks5", "socks5h")


class Proxy(NamedTuple):
    """A proxy. source: what named it, the setting `proxy` or an environment variable."""

    url: Url
    source: str

    def __str__(self) -> str:
        return f"{self.url.netloc} ({self.source})"


def choose_proxy(base: Url, setting: str | None) -> Proxy | None:
    """Return the proxy for requests to `base`, or None to connect directly.

    setting: the configured proxy; None for what the environment says: `HTTPS_PROXY`,
        `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case.
    Raises CrontifyError that names the setting or the variable if the proxy cannot be used.
    """
    if is_loopback(base.host):
        return None
    if setting:
        return Proxy(_proxy_url("proxy", setting), "proxy")
    return _from_environment(base)


def _from_environment(base: Url) -> Proxy | None:
    if sys.platform != "darwin" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    kind = next((kind for kind in (base.scheme, "all") if proxies.get(kind)), None)
    if kind is None or proxy_bypass(base.netloc):
        return None
    if _is_in_network(base.host, proxies.get("no", "")):
        return None
    address, variable = proxies[kind], f"{kind}_proxy"
    if not os.environ.get(variable):
        variable = variable.upper()
    url = address if "://" in address else f"http://{address}"
    try:
        return Proxy(_proxy_url(variable, url), variable)
    except CrontifyError as error:
        raise CrontifyError(f"{error.message}; correct the variable or unset it") from None


def _is_in_network(host: str, entries: str) -> bool:
    """Tell whether `host` is an address that NO_PROXY contains, alone or in a network (CIDR)."""
    from ipaddress import ip_address, ip_network

    try:
        address = ip_address(host)
    except ValueError:
        return False
    for entry in re.split(r"[,\s]+", entries):
        try:
            if address in ip_network(entry.strip("[]"), strict=False):
                return True
        except ValueError:
            continue  # a name, or an address with a port
    return False


def _proxy_url(what: str, address: str) -> Url:
    url = checked_url(what, address, _SCHEMES)
    if url.scheme.startswith("socks"):
        try:
            import socksio  # noqa: F401 - only whether it is installed
        except ImportError:
            raise CrontifyError(
                f"{what} names a SOCKS proxy, which needs the package socksio;"
                " pip install 'crontify-cli[socks]'"
            ) from None
    return url
