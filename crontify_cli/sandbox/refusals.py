"""Refused requests: their documentation in the schema, the size limit, and their messages."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crontify_cli.sandbox.records import Refusal
from crontify_cli.sandbox.wire import MAX_BODY, ErrorAnswer

WORDS = {
    400: "The request is not valid for this endpoint",
    401: "Missing or invalid API key or token",
    404: "Monitor (or run) not found or does not belong to this account",
    413: "The body is longer than 1 MiB",
    415: "The body is not application/json",
    429: "Rate limit exceeded: see your plan's minimum ping interval",
    503: "The sandbox cannot use its database",
}
_MAX_DISCARDED = 16 * MAX_BODY
_MAX_PROBLEMS = 3
_MESSAGES = {
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be a string",
}
"""Messages that replace pydantic's, which assume that the reader knows Python."""

Responses = dict[int | str, dict[str, Any]]  # FastAPI's own type


def refusals(*statuses: int) -> Responses:
    """Return a route's `responses=`: each status with its description and the error schema."""
    responses: Responses = {
        status: {"model": ErrorAnswer, "description": WORDS[status]} for status in statuses
    }
    if 429 in responses:
        responses[429]["headers"] = {
            "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}
        }
    return responses


class BodyLimit:
    """Middleware that reads each body before the application and answers 413 above 1 MiB.

    A body that is too long is still read, up to a limit: if a server closes a connection
    with unread data, the connection is reset and the client never sees the answer.
    """

    def __init__(self, app: ASGIApp, refuse: Callable[[Request, Refusal], Response]) -> None:
        self.app = app
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body, size, more = b"", 0, True
        while more and size <= _MAX_DISCARDED:
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
        unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return unread.pop() if unread else await receive()

        await self.app(scope, replay, send)


def refuse_invalid(error: RequestValidationError) -> Refusal:
    """Return the refusal: 415 for a wrong content type, otherwise 400 naming the fields."""
    if isinstance(error.body, bytes):  # FastAPI parses only bodies declared as JSON
        return Refusal(415, "The body must be JSON, with the header Content-Type: application/json")
    problems = "; ".join(map(_describe, error.errors()[:_MAX_PROBLEMS]))
    # A field name in the body may contain half of a surrogate pair.
    return Refusal(400, problems.encode("utf-8", "replace").decode())


def refuse_unreadable(cause: BaseException | None) -> Refusal:
    """Return the refusal of a body that the parser rejected with `cause`."""
    if isinstance(cause, UnicodeDecodeError):
        return Refusal(400, "The body is not JSON: it is not encoded in UTF-8")
    reason = ""
    if isinstance(cause, RecursionError):
        reason = ": it is nested too deeply"
    elif isinstance(cause, ValueError):  # Python's limit of 4,300 digits
        reason = ": a number in it is too long"
    return Refusal(400, f"The body cannot be parsed as JSON{reason}")


def _describe(problem: Mapping[str, Any]) -> str:  # pydantic's own type
    """Return `FIELD: MESSAGE`, with the full path of the field."""
    where = ".".join(str(step) for step in problem["loc"][1:] if step != "[key]")
    if problem["type"] == "json_invalid":
        return f"The body is not JSON: {problem['ctx']['error']} at character {where}"
    if problem["type"] == "float_type" and type(problem["input"]) is int:
        message = "must be a number that fits in 64 bits"
    else:
        message = _MESSAGES.get(problem["type"]) or str(problem["msg"])
    message = message.removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{where or problem['loc'][0]}: {message}"
