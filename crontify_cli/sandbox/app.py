"""The application: routes, and one shape for everything that goes wrong."""

import sqlite3
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from crontify_cli import __version__
from crontify_cli.sandbox.committer import Committer
from crontify_cli.sandbox.database import explain
from crontify_cli.sandbox.identity import now
from crontify_cli.sandbox.records import Refusal, Refused, Show
from crontify_cli.sandbox.refusals import BodyLimit, refuse_invalid, refuse_unreadable
from crontify_cli.sandbox.routes import monitor_routes, ping_routes
from crontify_cli.sandbox.store import Store
from crontify_cli.sandbox.wire import ErrorAnswer

BASE = "/api/v1"
_DESCRIPTION = """\
The HTTP API of Crontify, on this machine, for trying jobs without an account.
The lists of monitors and runs are the sandbox's own.
Errors have one shape: `{"success": false, "message": "…"}`.
"""


class _Sandbox(FastAPI):
    def openapi(self) -> dict[str, Any]:  # FastAPI's own type
        """Return the schema without FastAPI's 422: a bad request is 400 here."""
        schema = super().openapi()
        for operations in schema["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(name, None)
        return schema


def make_app(store: Store, path: Path, show: Show) -> FastAPI:
    """Return the API over `store`, whose file is `path`; `show` hears of every ping."""
    app = _Sandbox(
        title="Crontify sandbox",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url=f"{BASE}/openapi.json",
        docs_url=None,  # these pages load scripts from the net
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(ping_routes(store, Committer(store.connection, path), show), prefix=BASE)
    app.include_router(monitor_routes(store), prefix=BASE)

    def refuse(request: Request, refusal: Refusal, headers: dict[str, str]) -> JSONResponse:
        shown = request.url.path.removeprefix(BASE)
        show(Refused(now(), request.method, shown, refusal.status, refusal.message))
        if refusal.retry_after is not None:
            headers = {**headers, "Retry-After": str(refusal.retry_after)}
        error = ErrorAnswer(message=refusal.message)
        return JSONResponse(error.model_dump(by_alias=True), refusal.status, headers)

    app.add_middleware(BodyLimit, refuse=lambda request, refusal: refuse(request, refusal, {}))

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> JSONResponse:
        return refuse(request, error, {})

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return refuse(request, refuse_invalid(error), {})

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:  # FastAPI says so of a body, and why only in the cause
            return refuse(request, refuse_unreadable(error.__cause__), {})
        words = {
            404: f"No such address: {request.method} {request.url.path}",
            405: f"{request.method} is not allowed here",
        }
        message = words.get(error.status_code, error.detail)
        return refuse(request, Refusal(error.status_code, message), dict(error.headers or {}))

    @app.exception_handler(sqlite3.Error)
    async def storage(request: Request, error: sqlite3.Error) -> JSONResponse:
        return refuse(request, Refusal(503, explain(error, path)), {})

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> JSONResponse:
        message = f"The sandbox broke: {type(error).__name__}"
        return refuse(request, Refusal(500, message), {})

    return app
