"""The three ping endpoints of the seed's document."""

from typing import Annotated

from fastapi import APIRouter, Path, Security

from crontify_cli.model import Ping
from crontify_cli.sandbox.access import KeyHolder
from crontify_cli.sandbox.committer import Committer
from crontify_cli.sandbox.documented import refusals
from crontify_cli.sandbox.events import Show, Taken
from crontify_cli.sandbox.identity import now
from crontify_cli.sandbox.pings import take_ping
from crontify_cli.sandbox.records import Account
from crontify_cli.sandbox.store import Store
from crontify_cli.sandbox.wire import FailBody, PingAnswer, SuccessBody, ping_answer

_MonitorId = Annotated[str, Path(alias="monitorId", examples=["backup"])]


def ping_routes(store: Store, committer: Committer, show: Show) -> APIRouter:
    """Return the routes; each ping is answered after the commit that contains it."""
    router = APIRouter(
        prefix="/ping/{monitorId}", tags=["pings"], responses=refusals(401, 404, 413, 429, 503)
    )
    holder = KeyHolder(store)

    async def take(account: Account, ping: Ping) -> PingAnswer:
        at = now()
        receipt = await committer.write(lambda: take_ping(committer.connection, account, ping, at))
        show(Taken(at, ping, receipt))
        return ping_answer(ping.monitor_id, receipt, at)

    @router.post("/start")
    async def start(
        monitor_id: _MonitorId, account: Annotated[Account, Security(holder)]
    ) -> PingAnswer:
        """Signal that a job has started."""
        return await take(account, Ping(monitor_id, "start"))

    @router.post("/success", responses=refusals(400, 415))
    async def success(
        monitor_id: _MonitorId,
        account: Annotated[Account, Security(holder)],
        body: SuccessBody | None = None,
    ) -> PingAnswer:
        """Signal that a job completed successfully."""
        return await take(account, (body or SuccessBody()).ping(monitor_id))

    @router.post("/fail", responses=refusals(400, 415))
    async def fail(
        monitor_id: _MonitorId,
        account: Annotated[Account, Security(holder)],
        body: FailBody | None = None,
    ) -> PingAnswer:
        """Signal that a job failed."""
        return await take(account, (body or FailBody()).ping(monitor_id))

    return router
