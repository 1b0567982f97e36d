"""Ids, API keys, user tokens and times, as the seed's examples write them."""

import hashlib
import random
import secrets
import string
import time
from datetime import UTC, datetime

import jwt

from crontify_cli.sandbox.records import Account, Millis, Refusal

KEY_PREFIX = "ck_live_"
_BASE36 = string.digits + string.ascii_lowercase
_BASE62 = string.digits + string.ascii_letters
# Ids are no secrets, and this generator is a tenth of the price of the system's.
_random = random.Random(secrets.randbits(128))


def now() -> Millis:
    """Return the time by the system's clock."""
    return time.time_ns() // 1_000_000


def timestamp(at: Millis) -> str:
    """Return `at` in the seed's form: `2025-01-01T09:00:00.000Z`."""
    whole = datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at % 1000:03d}Z"


def new_id(at: Millis) -> str:
    """Return an id of 25 characters: `cl`, the time, then chance, so that ids sort by time."""
    digits = ""
    while at:
        at, digit = divmod(at, 36)
        digits = _BASE36[digit] + digits
    return f"cl{digits:0>8}{''.join(_random.choices(_BASE36, k=15))}"


def new_key() -> str:
    """Return a new API key: 32 characters of the system's chance, 190 bits."""
    return KEY_PREFIX + "".join(secrets.choice(_BASE62) for _ in range(32))


def hash_key(key: str) -> bytes:
    """Return what is kept of a key. It is all chance, so a plain hash cannot be guessed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


ISSUER = "crontify-sandbox"
DEFAULT_DAYS = 30
DEFAULT_SECONDS = DEFAULT_DAYS * 86400.0
_ALGORITHM = "HS256"


def make_token(secret: bytes, account: Account, at: Millis, seconds: float) -> str:
    """Return a token for the account that is good from `at` for that many seconds."""
    issued = at // 1000
    claims = {
        "iss": ISSUER,
        "sub": str(account.row),
        "iat": issued,
        "exp": issued + round(seconds),
    }
    return jwt.encode(claims, secret, algorithm=_ALGORITHM)


def read_token(secret: bytes, token: str) -> int:
    """Return the row of the account that the token names.

    Raises Refusal (401) for a token that is not ours or has ended.
    """
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=[_ALGORITHM],
            issuer=ISSUER,
            options={"require": ["exp", "sub", "iss"]},
        )
        return int(claims["sub"])
    except jwt.ExpiredSignatureError:
        raise Refusal(401, "Token expired: crontify sandbox token makes another") from None
    except (jwt.InvalidTokenError, ValueError):
        raise Refusal(401, "Invalid token: crontify sandbox token makes one") from None
