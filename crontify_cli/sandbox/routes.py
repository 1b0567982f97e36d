"""The endpoints: the documented pings and log, and what only the sandbox has: lists."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Security
from fastapi.responses import StreamingResponse
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from crontify_cli.model import Ping
from crontify_cli.sandbox import wire
from crontify_cli.sandbox.channels import channels_of
from crontify_cli.sandbox.events import EventHub
from crontify_cli.sandbox.identity import KEY_PREFIX, now, read_token
from crontify_cli.sandbox.pings import Recorder, unknown_monitor
from crontify_cli.sandbox.records import AcceptedPing, Account, OnEvent, Refusal, RunStatus
from crontify_cli.sandbox.store import Store

_MonitorId = Annotated[str, Path(alias="monitorId", examples=["backup"])]
_SEND_TOKEN = "send a user token in the header Authorization: Bearer …"
_RunId = Annotated[str, Path(alias="runId")]
_API_KEY = APIKeyHeader(
    name="X-API-Key", scheme_name="apiKey", description="ck_live_…", auto_error=False
)
_USER_TOKEN = HTTPBearer(
    bearerFormat="JWT",
    scheme_name="userToken",
    description="Printed by crontify sandbox token; an API key is not accepted here.",
    auto_error=False,
)
_Cursor = Annotated[str | None, Query(description="The nextCursor of the previous page")]
_Limit = Annotated[int, Query(ge=1, le=100)]
ADDITIONS = "additions"
"""The tag of the endpoints that the documentation of Crontify does not have."""
_REFUSALS = {
    400: "The request is not valid for this endpoint",
    401: "Missing or invalid API key or token",
    404: "Monitor (or run) not found or does not belong to this account",
    413: "The body is longer than 1 MiB",
    415: "The body is not application/json",
    429: "Rate limit exceeded: see your plan's minimum ping interval",
    503: "The sandbox cannot use its database",
}

_Responses = dict[int | str, dict[str, Any]]  # FastAPI's own type


def _refusals(*statuses: int) -> _Responses:
    """Return a route's `responses=`: each status with its description and the error schema."""
    responses: _Responses = {
        status: {"model": wire.ErrorAnswer, "description": _REFUSALS[status]} for status in statuses
    }
    if 429 in responses:
        responses[429]["headers"] = {
            "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}
        }
    return responses


def ping_routes(store: Store, recorder: Recorder, on_event: OnEvent) -> APIRouter:
    """Return the ping endpoints; each ping is answered after it has been committed."""
    router = APIRouter(
        prefix="/ping/{monitorId}", tags=["pings"], responses=_refusals(401, 404, 413, 429, 503)
    )
    KeyOwner: TypeAlias = Annotated[Account, Depends(_owner_of_key(store))]

    async def answer(account: Account, ping: Ping) -> wire.PingAnswer:
        at = now()
        result = await recorder.record(account, ping, at)
        on_event(AcceptedPing(at, account.row, ping, result))
        return wire.ping_answer(ping.monitor_id, result, at)

    @router.post("/start")
    async def start(monitor_id: _MonitorId, account: KeyOwner) -> wire.PingAnswer:
        """Signal that a job has started."""
        return await answer(account, Ping(monitor_id, "start"))

    @router.post("/success", responses=_refusals(400, 415))
    async def success(
        monitor_id: _MonitorId, account: KeyOwner, body: wire.SuccessBody | None = None
    ) -> wire.PingAnswer:
        """Signal that a job completed successfully."""
        return await answer(account, (body or wire.SuccessBody()).ping(monitor_id))

    @router.post("/fail", responses=_refusals(400, 415))
    async def fail(
        monitor_id: _MonitorId, account: KeyOwner, body: wire.FailBody | None = None
    ) -> wire.PingAnswer:
        """Signal that a job failed."""
        return await answer(account, (body or wire.FailBody()).ping(monitor_id))

    return router


def monitor_routes(store: Store) -> APIRouter:
    """Return the endpoints for people, all of which require a user token."""
    router = APIRouter(responses=_refusals(401, 413, 503))
    added = partial(router.get, tags=[ADDITIONS])
    TokenOwner: TypeAlias = Annotated[Account, Depends(_owner_of_token(store))]

    def require_monitor(account: Account, monitor_id: str) -> None:
        if not store.has_monitor(account, monitor_id):
            raise unknown_monitor()

    def require_run(account: Account, monitor_id: str, run_id: str) -> wire.Run:
        require_monitor(account, monitor_id)
        if found := store.run(account, monitor_id, run_id):
            return found
        raise Refusal(404, "Run not found")

    def alerts_page(
        account: Account, monitor_id: str | None, limit: int, cursor: str | None
    ) -> wire.AlertsAnswer:
        before = None
        if cursor is not None:
            before = store.alert_row(account, monitor_id, cursor)
            if before is None:
                raise Refusal(400, "cursor: not the nextCursor of these alerts")
        page = store.alerts(account, monitor_id, before=before, limit=limit + 1)
        more = page[limit - 1].id if len(page) > limit else None
        return wire.AlertsAnswer(data=page[:limit], next_cursor=more)

    @added("/monitors")
    async def monitors(account: TokenOwner) -> wire.MonitorsAnswer:
        """List the account's monitors."""
        return wire.MonitorsAnswer(data=store.monitors(account))

    @added("/monitors/{monitorId}", responses=_refusals(404))
    async def monitor(monitor_id: _MonitorId, account: TokenOwner) -> wire.MonitorAnswer:
        """Show one monitor with its alert rules and its last runs."""
        found = store.monitor(account, monitor_id)
        if not found:
            raise unknown_monitor()
        return wire.MonitorAnswer(data=found)

    @added("/monitors/{monitorId}/runs", responses=_refusals(400, 404))
    async def runs(
        monitor_id: _MonitorId,
        account: TokenOwner,
        limit: _Limit = 20,
        cursor: _Cursor = None,
        status: RunStatus | None = None,
    ) -> wire.RunsAnswer:
        """List a monitor's runs, newest first, without their logs."""
        require_monitor(account, monitor_id)
        before = None
        if cursor is not None:
            last = store.run(account, monitor_id, cursor)
            if not last:
                raise Refusal(400, "cursor: not the nextCursor of this monitor's runs")
            before = last.row
        # One more than requested shows whether there is another page.
        page = store.runs(account, monitor_id, status=status, before=before, limit=limit + 1)
        more = page[limit - 1].id if len(page) > limit else None
        return wire.RunsAnswer(data=page[:limit], next_cursor=more)

    @added("/monitors/{monitorId}/runs/{runId}", responses=_refusals(404))
    async def run(monitor_id: _MonitorId, run_id: _RunId, account: TokenOwner) -> wire.RunAnswer:
        """Show one run with its log and its alerts."""
        found = require_run(account, monitor_id, run_id)
        alerts = store.alerts(account, monitor_id, run_id=run_id, limit=100)
        detail = wire.RunDetail(**dict(found), log=store.log(found), alerts=alerts)
        return wire.RunAnswer(data=detail)

    @router.get(
        "/monitors/{monitorId}/runs/{runId}/log", tags=["monitors"], responses=_refusals(404)
    )
    async def log(monitor_id: _MonitorId, run_id: _RunId, account: TokenOwner) -> wire.LogAnswer:
        """Retrieve the log output attached to a run."""
        content = store.log(require_run(account, monitor_id, run_id))
        return wire.LogAnswer(has_log=content is not None, content=content)

    @added("/monitors/{monitorId}/alerts", responses=_refusals(400, 404))
    async def alerts_of_monitor(
        monitor_id: _MonitorId, account: TokenOwner, limit: _Limit = 20, cursor: _Cursor = None
    ) -> wire.AlertsAnswer:
        """List a monitor's alerts, newest first."""
        require_monitor(account, monitor_id)
        return alerts_page(account, monitor_id, limit, cursor)

    @added("/monitors/{monitorId}/channels", responses=_refusals(404))
    async def channels_of_monitor(
        monitor_id: _MonitorId, account: TokenOwner
    ) -> wire.ChannelsAnswer:
        """List a monitor's channels with their latest deliveries."""
        require_monitor(account, monitor_id)
        return wire.ChannelsAnswer(data=channels_of(store.connection, account, monitor_id))

    @added("/alerts", responses=_refusals(400))
    async def alerts(
        account: TokenOwner, limit: _Limit = 20, cursor: _Cursor = None
    ) -> wire.AlertsAnswer:
        """List the alerts of all of the account's monitors, newest first."""
        return alerts_page(account, None, limit, cursor)

    @added("/channels")
    async def channels(account: TokenOwner) -> wire.ChannelsAnswer:
        """List the channels of all of the account's monitors with their latest deliveries."""
        return wire.ChannelsAnswer(data=channels_of(store.connection, account))

    return router


def event_routes(store: Store, hub: EventHub) -> APIRouter:
    """Return the endpoint of the event stream, which requires a user token."""
    router = APIRouter(prefix="/events", tags=[ADDITIONS], responses=_refusals(401, 413, 503))
    TokenOwner: TypeAlias = Annotated[Account, Depends(_owner_of_token(store))]
    stream: _Responses = {
        200: {
            "description": "A stream that does not end; docs/output.md describes its objects",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    }

    @router.get("", response_class=StreamingResponse, responses=stream)
    async def events(account: TokenOwner) -> StreamingResponse:
        """Follow the pings of the account's monitors as they arrive (server-sent events)."""
        headers = {"Cache-Control": "no-store"}
        return StreamingResponse(hub.stream(account), 200, headers, "text/event-stream")

    return router


def account_by_key(store: Store, key: str | None) -> Account:
    """Return the owner of the header `X-API-Key`. Raises Refusal (401)."""
    if not key:
        raise Refusal(401, "Missing API key: send it in the header X-API-Key")
    if account := store.account_by_key(key):
        return account
    raise Refusal(401, "Invalid API key")


def account_by_token(store: Store, token: str) -> Account:
    """Return the owner of a user token; an empty one is missing. Raises Refusal (401)."""
    if not token:
        raise Refusal(401, f"Missing user token: {_SEND_TOKEN}")
    if token.startswith(KEY_PREFIX):
        raise Refusal(401, f"An API key is not accepted here: {_SEND_TOKEN}")
    if account := store.account_by_row(read_token(store.signing_secret(), token)):
        return account
    raise Refusal(401, "Invalid token: its account no longer exists")


def _owner_of_key(store: Store) -> Callable[..., Awaitable[Account]]:
    """Return the dependency that finds the account of an API key."""

    async def find(key: Annotated[str | None, Security(_API_KEY)]) -> Account:
        return account_by_key(store, key)

    return find


def _owner_of_token(store: Store) -> Callable[..., Awaitable[Account]]:
    """Return the dependency that finds the account of a user token."""

    async def find(
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_USER_TOKEN)],
    ) -> Account:
        return account_by_token(store, bearer.credentials if bearer else "")

    return find
