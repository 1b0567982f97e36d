"""The address that the sandbox listens on."""

import ipaddress
import socket

from crontify_cli.errors import CrontifyError


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; port 0 is a free one.

    Raises CrontifyError for a port in use, one that we may not have, or no such host.
    """
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server((str(address[0]), port), family=family, backlog=2048)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CrontifyError(
            f"the sandbox cannot listen on {host} port {port}: {reason}:"
            " stop what is there, or choose another with --port"
        ) from None


def base_url(listener: socket.socket, base: str) -> str:
    """Return the URL under which this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        host = "::1" if address.version == 6 else "127.0.0.1"
    return f"http://[{host}]:{port}{base}" if ":" in host else f"http://{host}:{port}{base}"


def is_loopback(listener: socket.socket) -> bool:
    """Tell whether only this machine reaches the listener."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback
