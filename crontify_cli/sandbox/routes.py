"""The endpoints: the documented pings and log, and the sandbox's lists of monitors and runs."""

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Path, Query, Request, Security
from fastapi.openapi.models import APIKey, APIKeyIn, HTTPBearer
from fastapi.security.base import SecurityBase
from fastapi.security.utils import get_authorization_scheme_param

from crontify_cli.model import Ping
from crontify_cli.sandbox import wire
from crontify_cli.sandbox.committer import Committer
from crontify_cli.sandbox.identity import KEY_PREFIX, now, read_token
from crontify_cli.sandbox.pings import record_ping, unknown_monitor
from crontify_cli.sandbox.records import AcceptedPing, Account, Monitor, OnEvent, Refusal, RunStatus
from crontify_cli.sandbox.refusals import refusals
from crontify_cli.sandbox.store import Store

_MonitorId = Annotated[str, Path(alias="monitorId", examples=["backup"])]
_SEND_TOKEN = "send a user token in the header Authorization: Bearer …"
_RunId = Annotated[str, Path(alias="runId")]
_Cursor = Annotated[str | None, Query(description="The nextCursor of the previous page")]


def ping_routes(store: Store, committer: Committer, on_event: OnEvent) -> APIRouter:
    """Return the ping endpoints; each ping is answered after it has been committed."""
    router = APIRouter(
        prefix="/ping/{monitorId}", tags=["pings"], responses=refusals(401, 404, 413, 429, 503)
    )
    KeyOwner: TypeAlias = Annotated[Account, Security(ApiKey(store))]

    async def answer(account: Account, ping: Ping) -> wire.PingAnswer:
        at = now()
        result = await committer.write(lambda: record_ping(committer.connection, account, ping, at))
        on_event(AcceptedPing(at, ping, result))
        return wire.ping_answer(ping.monitor_id, result, at)

    @router.post("/start")
    async def start(monitor_id: _MonitorId, account: KeyOwner) -> wire.PingAnswer:
        """Signal that a job has started."""
        return await answer(account, Ping(monitor_id, "start"))

    @router.post("/success", responses=refusals(400, 415))
    async def success(
        monitor_id: _MonitorId, account: KeyOwner, body: wire.SuccessBody | None = None
    ) -> wire.PingAnswer:
        """Signal that a job completed successfully."""
        return await answer(account, (body or wire.SuccessBody()).ping(monitor_id))

    @router.post("/fail", responses=refusals(400, 415))
    async def fail(
        monitor_id: _MonitorId, account: KeyOwner, body: wire.FailBody | None = None
    ) -> wire.PingAnswer:
        """Signal that a job failed."""
        return await answer(account, (body or wire.FailBody()).ping(monitor_id))

    return router


def monitor_routes(store: Store) -> APIRouter:
    """Return the monitor endpoints, all of which require a user token."""
    router = APIRouter(prefix="/monitors", tags=["monitors"], responses=refusals(401, 413, 503))
    TokenOwner: TypeAlias = Annotated[Account, Security(UserToken(store))]

    def require_monitor(account: Account, monitor_id: str) -> Monitor:
        if found := store.monitor(account, monitor_id):
            return found
        raise unknown_monitor()

    @router.get("")
    async def monitors(account: TokenOwner) -> wire.MonitorsAnswer:
        """List the account's monitors."""
        return wire.MonitorsAnswer(
            data=[wire.monitor_data(monitor) for monitor in store.monitors(account)]
        )

    @router.get("/{monitorId}", responses=refusals(404))
    async def monitor(monitor_id: _MonitorId, account: TokenOwner) -> wire.MonitorAnswer:
        """Show one monitor and its alert rules."""
        return wire.MonitorAnswer(data=wire.monitor_data(require_monitor(account, monitor_id)))

    @router.get("/{monitorId}/runs", responses=refusals(400, 404))
    async def runs(
        monitor_id: _MonitorId,
        account: TokenOwner,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
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
        return wire.RunsAnswer(data=[wire.run_data(run) for run in page[:limit]], next_cursor=more)

    @router.get("/{monitorId}/runs/{runId}/log", responses=refusals(404))
    async def log(monitor_id: _MonitorId, run_id: _RunId, account: TokenOwner) -> wire.LogAnswer:
        """Retrieve the log output attached to a run."""
        require_monitor(account, monitor_id)
        run = store.run(account, monitor_id, run_id)
        if not run:
            raise Refusal(404, "Run not found")
        content = store.log(run)
        return wire.LogAnswer(has_log=content is not None, content=content)

    return router


class ApiKey(SecurityBase):
    """Finds the account of the header `X-API-Key`, or refuses the request with 401."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.scheme_name = "apiKey"
        self.model = APIKey.model_validate(
            {"in": APIKeyIn.header, "name": "X-API-Key", "description": "ck_live_…"}
        )

    async def __call__(self, request: Request) -> Account:
        key = request.headers.get("x-api-key")
        if not key:
            raise Refusal(401, "Missing API key: send it in the header X-API-Key")
        if account := self._store.account_by_key(key):
            return account
        raise Refusal(401, "Invalid API key")


class UserToken(SecurityBase):
    """Finds the account of the user token, or refuses the request with 401."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.scheme_name = "userToken"
        self.model = HTTPBearer(
            bearerFormat="JWT",
            description="Printed by crontify sandbox token; an API key is not accepted here.",
        )

    async def __call__(self, request: Request) -> Account:
        scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
        if scheme.lower() != "bearer" or not token:
            raise Refusal(401, f"Missing user token: {_SEND_TOKEN}")
        if token.startswith(KEY_PREFIX):
            raise Refusal(401, f"An API key is not accepted here: {_SEND_TOKEN}")
        row = read_token(self._store.signing_secret(), token)
        if account := self._store.account_by_row(row):
            return account
        raise Refusal(401, "Invalid token: its account no longer exists")
