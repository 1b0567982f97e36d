"""Who may ask: the API key for pings, the user's token for everything else.

Each is a FastAPI security scheme that finds the account itself, rather than a dependency on
one: every level of dependencies costs a ping as much as its database work.
"""

from fastapi import Request
from fastapi.openapi.models import APIKey, APIKeyIn, HTTPBearer
from fastapi.security.base import SecurityBase
from fastapi.security.utils import get_authorization_scheme_param

from crontify_cli.sandbox.identity import KEY_PREFIX
from crontify_cli.sandbox.records import Account, Refusal
from crontify_cli.sandbox.store import Store
from crontify_cli.sandbox.tokens import read_token


class KeyHolder(SecurityBase):
    """Finds the account of `X-API-Key`, or refuses with 401."""

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
        account = self._store.account_by_key(key)
        if not account:
            raise Refusal(401, "Invalid API key")
        return account


class TokenHolder(SecurityBase):
    """Finds the account of the user token, or refuses with 401."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.scheme_name = "userToken"
        self.model = HTTPBearer(
            bearerFormat="JWT",
            description="What crontify sandbox token prints; an API key is not accepted here.",
        )

    async def __call__(self, request: Request) -> Account:
        scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
        if scheme.lower() != "bearer" or not token:
            raise Refusal(
                401,
                "Missing user token: send it as Authorization: Bearer …"
                " (an API key is not accepted here)",
            )
        if token.startswith(KEY_PREFIX):
            raise Refusal(401, "An API key is not accepted here: send a user token")
        account = self._store.account_by_row(read_token(self._store.signing_secret(), token))
        if not account:
            raise Refusal(401, "Invalid token: its account is gone")
        return account
