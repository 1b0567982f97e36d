"""Ids, API keys, user tokens and timestamps, in the format of the API documentation."""

import hashlib
import random
import secrets
import string
import time
from datetime import datetime, timedelta

from crontify_cli.sandbox.records import Account, Millis, Refusal

KEY_PREFIX = "ck_live_"
ISSUER = "crontify-sandbox"
DEFAULT_DAYS = 30
DEFAULT_SECONDS = DEFAULT_DAYS * 86400.0
_EPOCH = datetime(1970, 1, 1)
_ALGORITHM = "HS256"
_BASE36 = string.digits + string.ascii_lowercase
_BASE62 = string.digits + string.ascii_letters
# Ids need not be unpredictable, and this generator is ten times faster than the system's.
_random = random.Random(secrets.randbits(128))


def now() -> Millis:
    """Return the current time of the system clock."""
    return time.time_ns() // 1_000_000


def timestamp(at: Millis) -> str:
    """Return `at` as the API writes it: `2025-01-01T09:00:00.000Z`."""
    # A list of monitors has thousands of these; strftime takes twice as long.
    return (_EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds") + "Z"


def new_id(at: Millis) -> str:
    """Return an id of 25 characters that sorts by time: `cl`, the time, then random characters."""
    digits = ""
    while at:
        at, digit = divmod(at, 36)
        digits = _BASE36[digit] + digits
    return f"cl{digits:0>8}{''.join(_random.choices(_BASE36, k=15))}"


def new_key() -> str:
    """Return a new API key with 32 random characters (190 bits)."""
    return KEY_PREFIX + "".join(secrets.choice(_BASE62) for _ in range(32))


def hash_key(key: str) -> bytes:
    """Return the hash of a key to store. Keys are random, so the hash needs no salt."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def make_token(secret: bytes, account: Account, at: Millis, seconds: float) -> str:
    """Return a token for the account, valid for that many seconds from `at` on."""
    import jwt  # the rest of this module works without it, up to the advice to install it

    issued = at // 1000
    expires = issued + round(seconds)
    claims = {"iss": ISSUER, "sub": str(account.row), "iat": issued, "exp": expires}
    return jwt.encode(claims, secret, algorithm=_ALGORITHM)


def read_token(secret: bytes, token: str) -> int:
    """Return the row of the account that the token was issued for.

    Raises Refusal (401) for a token that has expired or was not issued by this sandbox.
    """
    import jwt

    try:
        required = ["exp", "sub", "iss"]
        claims = jwt.decode(
            token, secret, algorithms=[_ALGORITHM], issuer=ISSUER, options={"require": required}
        )
        account = int(claims["sub"])
        if not 0 < account < 2**63:  # what SQLite takes
            raise ValueError
        return account
    except jwt.ExpiredSignatureError:
        problem = "Token expired"
    except (jwt.InvalidTokenError, ValueError):
        problem = "Invalid token"
    raise Refusal(401, f"{problem}: get a new one with crontify sandbox token")
