"""The limit on bodies, for every address alike."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crontify_cli.sandbox.records import Refusal
from crontify_cli.sandbox.wire import MAX_BODY

_DRAINED = 16 * MAX_BODY


class BodyLimit:
    """Reads a request's body before the application does; over 1 MiB it answers 413.

    What is too long is still read, up to a point: a server that closes with bytes
    unread resets the connection, and the client never sees the answer.
    """

    def __init__(self, app: ASGIApp, refuse: Callable[[Request, Refusal], Response]) -> None:
        self.app = app
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body, size, more = b"", 0, True
        while more and size <= _DRAINED:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            chunk = message.get("body", b"")
            size += len(chunk)
            more = message.get("more_body", False)
            body = body + chunk if size <= MAX_BODY else b""
        if size > MAX_BODY:
            refusal = Refusal(413, f"The body is longer than {MAX_BODY} bytes")
            await self.refuse(Request(scope), refusal)(scope, receive, send)
            return
        whole: Message | None = {"type": "http.request", "body": body, "more_body": False}

        async def replay() -> Message:
            nonlocal whole
            if whole:
                first, whole = whole, None
                return first
            return await receive()

        await self.app(scope, replay, send)
