"""What a user reads back: monitors, runs, and a run's log."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Security

from crontify_cli.sandbox.access import TokenHolder
from crontify_cli.sandbox.documented import refusals
from crontify_cli.sandbox.pings import unknown_monitor
from crontify_cli.sandbox.records import Account, Refusal, RunStatus
from crontify_cli.sandbox.store import Store
from crontify_cli.sandbox.wire import (
    LogAnswer,
    MonitorAnswer,
    MonitorsAnswer,
    RunsAnswer,
    monitor_data,
    run_data,
)

_MonitorId = Annotated[str, Path(alias="monitorId", examples=["backup"])]


def monitor_routes(store: Store) -> APIRouter:
    """Return the routes, all of which want a user token."""
    router = APIRouter(prefix="/monitors", tags=["monitors"], responses=refusals(401, 413, 503))
    holder = TokenHolder(store)

    @router.get("")
    async def monitors(account: Annotated[Account, Security(holder)]) -> MonitorsAnswer:
        """List the account's monitors."""
        return MonitorsAnswer(data=[monitor_data(monitor) for monitor in store.monitors(account)])

    @router.get("/{monitorId}", responses=refusals(404))
    async def monitor(
        monitor_id: _MonitorId, account: Annotated[Account, Security(holder)]
    ) -> MonitorAnswer:
        """Show one monitor and its alert rules."""
        found = store.monitor(account, monitor_id)
        if not found:
            raise unknown_monitor()
        return MonitorAnswer(data=monitor_data(found))

    @router.get("/{monitorId}/runs", responses=refusals(400, 404))
    async def runs(
        monitor_id: _MonitorId,
        account: Annotated[Account, Security(holder)],
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: Annotated[
            str | None, Query(description="The nextCursor of the page before")
        ] = None,
        status: RunStatus | None = None,
    ) -> RunsAnswer:
        """List a monitor's runs, the newest first, without their logs."""
        if not store.monitor(account, monitor_id):
            raise unknown_monitor()
        before = None
        if cursor is not None:
            last = store.run(account, monitor_id, cursor)
            if not last:
                raise Refusal(400, "cursor: not the nextCursor of this monitor's runs")
            before = last.row
        # One more than asked for tells whether there is another page.
        page = store.runs(account, monitor_id, status=status, before=before, limit=limit + 1)
        more = page[limit - 1].id if len(page) > limit else None
        return RunsAnswer(data=[run_data(run) for run in page[:limit]], next_cursor=more)

    @router.get("/{monitorId}/runs/{runId}/log", responses=refusals(404))
    async def log(
        monitor_id: _MonitorId,
        run_id: Annotated[str, Path(alias="runId")],
        account: Annotated[Account, Security(holder)],
    ) -> LogAnswer:
        """Retrieve the log output attached to a run."""
        if not store.monitor(account, monitor_id):
            raise unknown_monitor()
        run = store.run(account, monitor_id, run_id)
        if not run:
            raise Refusal(404, "Run not found")
        content = store.log(run)
        return LogAnswer(has_log=content is not None, content=content)

    return router
