"""User tokens: a JWT that names an account and ends by itself."""

import jwt

from crontify_cli.sandbox.records import Account, Millis, Refusal

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
