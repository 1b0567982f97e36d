"""The FastAPI application: its routes, and one JSON format for all errors."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security.utils import get_authorization_scheme_param
from starlette.exceptions import HTTPException

from crontify_cli import __version__
from crontify_cli.sandbox.database import describe_error
from crontify_cli.sandbox.events import EventHub
from crontify_cli.sandbox.guard import Guard, Hosts
from crontify_cli.sandbox.identity import now
from crontify_cli.sandbox.page import page_routes
from crontify_cli.sandbox.pings import Recorder
from crontify_cli.sandbox.records import Account, Event, OnEvent, Refusal, RefusedRequest
from crontify_cli.sandbox.routes import (
    account_by_key,
    account_by_token,
    event_routes,
    monitor_routes,
    ping_routes,
)
from crontify_cli.sandbox.store import Store
from crontify_cli.sandbox.wire import ErrorAnswer

BASE = "/api/v1"
_DESCRIPTION = """\
The HTTP API of Crontify, on this machine, for trying jobs without an account.
The endpoints with the tag `additions` exist only in the sandbox.
All errors have the same format: `{"success": false, "message": "…"}`.
"""
_MAX_PROBLEMS = 3
_MESSAGES = {
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be a string",
}
"""Messages that replace pydantic's, which assume that the reader knows Python."""


class _Sandbox(FastAPI):
    def openapi(self) -> dict[str, Any]:  # FastAPI's own type
        """Return the schema without FastAPI's 422: invalid requests get a 400 here."""
        schema = super().openapi()
        for operations in schema["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(name, None)
        return schema


def make_app(store: Store, path: Path, hub: EventHub, show: OnEvent, hosts: Hosts) -> FastAPI:
    """Return API and page for `store`, whose file is `path`.

    hub: is told of every ping. show: is told of every request.
    hosts: the values of the header `Host` that are accepted.
    """

    def on_event(event: Event) -> None:
        hub.publish(event)
        show(event)

    app = _Sandbox(
        title="Crontify sandbox",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url=f"{BASE}/openapi.json",
        docs_url=None,  # these pages load scripts from the internet
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(ping_routes(store, Recorder(store.connection, path), on_event), prefix=BASE)
    app.include_router(monitor_routes(store), prefix=BASE)
    app.include_router(event_routes(store, hub), prefix=BASE)
    app.router.routes.extend(page_routes())

    def refuse(
        request: Request, refusal: Refusal, headers: Mapping[str, str] | None = None
    ) -> JSONResponse:
        relative = request.url.path.removeprefix(BASE)
        on_event(RefusedRequest(now(), request.method, relative, refusal.status, refusal.message))
        if refusal.retry_after is not None:
            headers = {"Retry-After": str(refusal.retry_after)}
        error = ErrorAnswer(message=refusal.message)
        return JSONResponse(error.model_dump(by_alias=True), refusal.status, headers)

    def authenticate(request: Request) -> Account:
        if request.url.path.startswith(f"{BASE}/ping/"):
            return account_by_key(store, request.headers.get("x-api-key"))
        scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
        return account_by_token(store, token if scheme.lower() == "bearer" else "")

    app.add_middleware(Guard, hosts=hosts, authenticate=authenticate, refuse=refuse)

    async def on_error(request: Request, error: Exception) -> JSONResponse:
        headers = error.headers if isinstance(error, HTTPException) else None
        return refuse(request, _refusal(request, error, path), headers)

    for kind in (Refusal, RequestValidationError, HTTPException, sqlite3.Error, Exception):
        app.add_exception_handler(kind, on_error)
    return app


def _refusal(request: Request, error: Exception, path: Path) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, RequestValidationError):
        return _refuse_invalid(error)
    if isinstance(error, sqlite3.Error):
        return Refusal(503, describe_error(error, path))
    if not isinstance(error, HTTPException):
        return Refusal(500, f"Internal error of the sandbox: {type(error).__name__}")
    if error.status_code == 400:  # an unreadable body; only the cause says why
        return _refuse_unreadable(error.__cause__)
    messages = {
        404: f"No such endpoint: {request.method} {request.url.path}",
        405: f"{request.method} is not allowed here",
    }
    return Refusal(error.status_code, messages.get(error.status_code, error.detail))


def _refuse_invalid(error: RequestValidationError) -> Refusal:
    """Return the refusal: 415 for a wrong content type, otherwise 400 naming the fields."""
    if isinstance(error.body, bytes):  # FastAPI parses only bodies declared as JSON
        return Refusal(415, "The body must be JSON, with the header Content-Type: application/json")
    problems = "; ".join(map(_describe, error.errors()[:_MAX_PROBLEMS]))
    # A field name in the body may contain half of a surrogate pair.
    return Refusal(400, problems.encode("utf-8", "replace").decode())


def _refuse_unreadable(cause: BaseException | None) -> Refusal:
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
