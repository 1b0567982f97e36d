"""What a request must have before the sandbox reads its body: our host name, and a key or token."""

import ipaddress
import re
from collections.abc import Callable, Collection

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crontify_cli.sandbox.records import Refusal
from crontify_cli.sandbox.wire import MAX_BODY

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)


class Hosts:
    """The values of the header `Host` that mean this sandbox, with any port.

    A web page may send requests to loopback if it resolves a name of its own to 127.0.0.1
    (DNS rebinding). Such a request carries that name.
    """

    def __init__(self, names: Collection[str], *, any_address: bool) -> None:
        """names: in addition to those of loopback. any_address: accept every IP address."""
        self._names = {"localhost", *(name.lower().rstrip(".") for name in names)}
        self._any_address = any_address

    def __contains__(self, header: str) -> bool:
        match = _HOST.fullmatch(header)
        if not match:
            return False
        name = match[1].lower().rstrip(".").strip("[]")
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._any_address or address.is_loopback


class Guard:
    """Middleware that refuses a request unread, or passes it on with its body, at most 1 MiB."""

    def __init__(
        self,
        app: ASGIApp,
        hosts: Hosts,
        authenticate: Callable[[Request], object],
        refuse: Callable[[Request, Refusal], Response],
    ) -> None:
        """authenticate: raises Refusal for a request without a valid key or token."""
        self.app = app
        self.hosts = hosts
        self.authenticate = authenticate
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            body = await self._read(request, receive)
        except Refusal as refusal:
            await self.refuse(request, refusal)(scope, receive, send)
            return
        if body is None:
            return
        unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return unread.pop() if unread else await receive()

        await self.app(scope, replay, send)

    async def _read(self, request: Request, receive: Receive) -> bytes | None:
        """Return the body, or None if the client has gone. Raises Refusal."""
        if request.headers.get("host", "") not in self.hosts:
            raise Refusal(
                400,
                "The Host header does not name this sandbox: use localhost or an IP address,"
                " or start it with --host NAME",
            )
        length = request.headers.get("content-length", "0")
        if length == "0" and "transfer-encoding" not in request.headers:
            return b""
        self.authenticate(request)
        if int(length) > MAX_BODY:
            raise _too_long()
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > MAX_BODY:
                raise _too_long()
            if not message.get("more_body", False):
                return bytes(body)


def _too_long() -> Refusal:
    return Refusal(413, f"The body is longer than {MAX_BODY} bytes")
