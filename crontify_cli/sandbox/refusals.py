"""Refusals: what routes declare for the schema, limits on requests, and words for invalid ones."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crontify_cli.sandbox.records import Refusal
from crontify_cli.sandbox.wire import MAX_BODY, ErrorAnswer

WORDS = {
    400: "The request is not what this endpoint takes",
    401: "Missing or invalid API key or token",
    404: "Monitor (or run) not found or does not belong to this account",
    413: "The body is longer than 1 MiB",
    415: "The body is not application/json",
    429: "Rate limit exceeded: see your plan's minimum ping interval",
    503: "The sandbox cannot use its database",
}

Responses = dict[int | str, dict[str, Any]]  # FastAPI's own type


def refusals(*statuses: int) -> Responses:
    """Return what `responses=` takes: each status with its words and the error's shape."""
    responses: Responses = {
        status: {"model": ErrorAnswer, "description": WORDS[status]} for status in statuses
    }
    if 429 in responses:
        responses[429]["headers"] = {
            "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}
        }
    return responses


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


NAMED_FAULTS = 3
_NOT_JSON_TYPE = "The body must be JSON, with the header Content-Type: application/json"
_WORDS = {
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be a string",
}
"""pydantic's own words, where a person who writes a shell script would ask what they mean."""


def refuse_invalid(error: RequestValidationError) -> Refusal:
    """Return the refusal: 415 for another content type, else 400, which names the fields."""
    if isinstance(error.body, bytes):  # FastAPI parses what is declared to be JSON
        return Refusal(415, _NOT_JSON_TYPE)
    faults = "; ".join(map(_say, error.errors()[:NAMED_FAULTS]))
    # A name in the body may be half a surrogate pair.
    return Refusal(400, faults.encode("utf-8", "replace").decode())


def refuse_unreadable(cause: BaseException | None) -> Refusal:
    """Return the refusal of a body at which the parser gave up with `cause`."""
    if isinstance(cause, RecursionError):
        return Refusal(400, "The body is not JSON that we can read: it is nested too deep")
    if isinstance(cause, UnicodeDecodeError):
        return Refusal(400, "The body is not JSON: it is not in UTF-8")
    if isinstance(cause, ValueError):  # Python's limit of 4,300 digits
        return Refusal(400, "The body is not JSON that we can read: a number in it is too long")
    return Refusal(400, "The body is not JSON that we can read")


def _say(fault: Mapping[str, Any]) -> str:  # pydantic's own type
    """Return `where: what`; `where` is the path of the field."""
    where = ".".join(str(step) for step in fault["loc"][1:] if step != "[key]")
    if fault["type"] == "json_invalid":
        return f"The body is not JSON: {fault['ctx']['error']} at character {where}"
    if fault["type"] == "float_type" and type(fault["input"]) is int:
        words = "must be a number that fits in 64 bits"
    else:
        words = _WORDS.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
    return f"{where or fault['loc'][0]}: {words.replace('Input should be', 'must be')}"
