"""Who may ask: the API key for pings, the user's token for everything else."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from crontify_cli.sandbox.identity import KEY_PREFIX
from crontify_cli.sandbox.records import Account, Refusal
from crontify_cli.sandbox.store import Store
from crontify_cli.sandbox.tokens import read_token

_KEY = APIKeyHeader(
    name="X-API-Key", scheme_name="apiKey", description="ck_live_…", auto_error=False
)
_BEARER = HTTPBearer(
    scheme_name="userToken",
    bearerFormat="JWT",
    description="What crontify sandbox token prints; an API key is not accepted here.",
    auto_error=False,
)


def key_holder(store: Store) -> Callable[..., Awaitable[Account]]:
    """Return the dependency that finds the account of `X-API-Key`, or refuses with 401."""

    async def holder(key: Annotated[str | None, Security(_KEY)]) -> Account:
        if not key:
            raise Refusal(401, "Missing API key: send it in the header X-API-Key")
        account = store.account_by_key(key)
        if not account:
            raise Refusal(401, "Invalid API key")
        return account

    return holder


def token_holder(store: Store) -> Callable[..., Awaitable[Account]]:
    """Return the dependency that finds the account of the user token, or refuses with 401."""

    async def holder(
        sent: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    ) -> Account:
        if not sent:
            raise Refusal(
                401,
                "Missing user token: send it as Authorization: Bearer …"
                " (an API key is not accepted here)",
            )
        if sent.credentials.startswith(KEY_PREFIX):
            raise Refusal(401, "An API key is not accepted here: send a user token")
        account = store.account_by_row(read_token(store.signing_secret(), sent.credentials))
        if not account:
            raise Refusal(401, "Invalid token: its account is gone")
        return account

    return holder
