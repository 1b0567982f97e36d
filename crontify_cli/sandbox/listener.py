"""The address that the sandbox listens on."""

import errno
import ipaddress
import socket

from crontify_cli.errors import CrontifyError


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; port 0 is a free one.

    Raises CrontifyError for a port in use, one that we may not have, or no such host.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        # Not socket.create_server: asyncio sets TCP_NODELAY only on sockets that name their
        # protocol, and without it each answer waits 40 ms for a delayed ACK.
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _refused(host, port, error) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from None
    return listener


def _refused(host: str, port: int, error: OSError) -> CrontifyError:
    reason = (error.strerror or str(error)).lower()
    advice = {
        errno.EADDRINUSE: "stop what is there, or choose another with --port",
        errno.EACCES: "choose one from 1024 on with --port",
    }.get(error.errno or 0, "choose an address of this machine with --host")
    return CrontifyError(f"the sandbox cannot listen on {host} port {port}: {reason}: {advice}")


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
