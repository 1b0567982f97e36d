"""The FastAPI application: its routes, and one JSON format for all errors."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from crontify_cli import __version__
from crontify_cli.sandbox.committer import Committer
from crontify_cli.sandbox.database import describe_error
from crontify_cli.sandbox.identity import now
from crontify_cli.sandbox.records import OnEvent, Refusal, RefusedRequest
from crontify_cli.sandbox.refusals import BodyLimit, refuse_invalid, refuse_unreadable
from crontify_cli.sandbox.routes import monitor_routes, ping_routes
from crontify_cli.sandbox.store import Store
from crontify_cli.sandbox.wire import ErrorAnswer

BASE = "/api/v1"
_DESCRIPTION = """\
The HTTP API of Crontify, on this machine, for trying jobs without an account.
The lists of monitors and runs exist only in the sandbox.
All errors have the same format: `{"success": false, "message": "…"}`.
"""


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


def make_app(store: Store, path: Path, on_event: OnEvent) -> FastAPI:
    """Return the API for `store`, whose file is `path`; `on_event` is told of every request."""
    app = _Sandbox(
        title="Crontify sandbox",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url=f"{BASE}/openapi.json",
        docs_url=None,  # these pages load scripts from the internet
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(ping_routes(store, Committer(store.connection, path), on_event), prefix=BASE)
    app.include_router(monitor_routes(store), prefix=BASE)

    def refuse(
        request: Request, refusal: Refusal, headers: Mapping[str, str] | None = None
    ) -> JSONResponse:
        relative = request.url.path.removeprefix(BASE)
        on_event(RefusedRequest(now(), request.method, relative, refusal.status, refusal.message))
        if refusal.retry_after is not None:
            headers = {"Retry-After": str(refusal.retry_after)}
        error = ErrorAnswer(message=refusal.message)
        return JSONResponse(error.model_dump(by_alias=True), refusal.status, headers)

    app.add_middleware(BodyLimit, refuse=refuse)

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
        return refuse_invalid(error)
    if isinstance(error, sqlite3.Error):
        return Refusal(503, describe_error(error, path))
    if not isinstance(error, HTTPException):
        return Refusal(500, f"Internal error of the sandbox: {type(error).__name__}")
    if error.status_code == 400:  # an unreadable body; only the cause says why
        return refuse_unreadable(error.__cause__)
    messages = {
        404: f"No such endpoint: {request.method} {request.url.path}",
        405: f"{request.method} is not allowed here",
    }
    return Refusal(error.status_code, messages.get(error.status_code, error.detail))
